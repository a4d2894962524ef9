"""A page as somebody goes through it who has no mouse, or whose fingers are as large as fingers are."""

from typing import Any

FINGER = 44
"""Pixels, less a rounding, that a target is wide and high at least; words in a line of text are as high as it is."""

STOPS = """root => {
  const kinds = 'a[href], button, input, select, textarea, summary, [tabindex]';
  const seen = one => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
  const reached = one => one.type !== 'radio' || one.checked
    || ![...document.getElementsByName(one.name)].some(other => other.checked);  // Tab goes to one of a group
  const stops = [...document.querySelectorAll(kinds)]
    .filter(one => one.tabIndex >= 0 && !one.disabled && !one.closest('[inert]') && seen(one) && reached(one));
  const within = stops.filter(one => !root || one.closest(root));
  for (const stop of stops) stop.dataset.stop = within.indexOf(stop);  // -1: outside
  document.activeElement?.blur();
  scrollTo(0, 0);
  stops[stops.indexOf(within[0]) - 1]?.focus();
  return within.map(one => one.outerHTML.slice(0, 160));
}"""
"""Everything that Tab is to reach, in the page or in a part of it, marked; the focus is before it."""

HERE = """finger => new Promise(done => {
  const within = (value, most) => Math.min(Math.max(value, 1), most - 1);
  let frames = 0;
  requestAnimationFrame(function look() {
    const one = document.activeElement;
    if (!one || one === document.body) return done(null);
    const style = getComputedStyle(one), box = one.getBoundingClientRect(), label = one.closest('label') ?? one.labels?.[0];
    const target = label?.getBoundingClientRect() ?? box;
    const top = document.elementFromPoint(
      within(box.x + box.width / 2, innerWidth), within(box.y + box.height / 2, innerHeight));
    if (top?.role === 'option' && frames++ < 60) return requestAnimationFrame(look);  // the list of a menu that was left goes
    const wrong = {
      'has a focus that is not seen': style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2,
      'has the focus out of view': box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth,
      [`lies under ${top?.outerHTML.slice(0, 60)}`]: !(one.contains(top) || top?.contains(one) || label?.contains(top)),
      'is smaller than a finger': style.display !== 'inline' && one.matches('a, button, input, select, textarea, summary')
        && Math.min(Math.max(box.width, target.width), Math.max(box.height, target.height)) < finger - 0.5,
    };
    done({ stop: one.dataset.stop, said: one.outerHTML.slice(0, 160), wrong: Object.keys(wrong).filter(name => wrong[name]) });
  });
})"""
"""Where the focus is, and what is wrong with that."""


def walk(page: Any, root: str = "") -> list[str]:
    """What is wrong for who goes by Tab through a page from its top to its end, or through the part that is called `root`."""
    stops = page.evaluate(STOPS, root)
    wrong, met = [], set()
    for _ in range(2 * len(stops) + 60):  # what is drawn meanwhile has stops, too
        page.keyboard.press("Tab")
        here = page.evaluate(HERE, FINGER)
        if here is None:  # past the end, or what had the focus was drawn anew
            continue
        if here.get("stop") in met or here.get("stop") == "-1":
            break  # round once, or out of the part
        if "stop" in here:
            met.add(here["stop"])
        wrong += [f"{here['said']} {what}" for what in here["wrong"]]
    return wrong + [f"{said} is not reached" for place, said in enumerate(stops) if str(place) not in met]
