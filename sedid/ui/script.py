"""The page's own JavaScript: the full-size view, and what a click or a slider asks of the server.

It runs once, in the `js_on_load` of one `gr.HTML`, where `trigger` sends a Gradio event with data:
`input` while T_SEC moves, `select` {k} when k was set, `apply` {k, t_sec} to go to another pair, `submit` {example}
or {image} to look at one, `edit` {detector} to open one. The last three bring the Inspect tab to the front.
The first two may come faster than they are answered; Gradio then skips to the last one but hands over the data of the
first (6.31), so their handlers read the sliders themselves.

It also mends Gradio's (6.31) sliders, on every tab. A range input takes only values that fit its `min`, `max` and
`step`, and Gradio sets these one after the other and not the value again: 990 of 330 to 990 by 330 became 825 of 165 to
990 by 330, and stayed 825 by 165, beside a number box that said 990.
"""

LIGHTBOX = """<dialog id="sed-lightbox" aria-label="Full size"><div class="sed-stage"></div>
<footer><button type="button" class="sed-prev" aria-label="Previous">&lsaquo;</button><span></span>
<button type="button" class="sed-next" aria-label="Next">&rsaquo;</button>
<button type="button" class="sed-close" aria-label="Close">Close</button></footer></dialog>"""

BRIDGE = """
window.sedidBridge?.abort();  // the page was rebuilt: the old listeners go
const control = window.sedidBridge = new AbortController();
const listen = (type, handler) => document.addEventListener(type, handler, {signal: control.signal});
const dialog = element.querySelector('dialog');
let group = [], at = 0;
function inspect() {
  const home = [...document.querySelectorAll('button[role=tab]')].find(tab => tab.textContent.trim() === 'Inspect');
  if (!home || home.ariaSelected === 'true') return;
  home.click();
  scrollTo(0, 0);
}

function show(index) {
  at = (index + group.length) % group.length;
  const button = group[at];
  dialog.querySelector('.sed-stage').innerHTML = button.innerHTML;
  dialog.querySelector('span').textContent = button.dataset.label;
  const alone = group.length < 2;
  dialog.querySelector('.sed-prev').hidden = dialog.querySelector('.sed-next').hidden = alone;
}

listen('click', event => {
  const target = event.target;
  const zoom = target.closest('.sed-zoom');
  if (zoom) {
    const family = zoom.closest('.sed-strip, .sed-pair');
    group = family ? [...family.querySelectorAll('.sed-zoom')] : [zoom];
    show(group.indexOf(zoom));
    dialog.showModal();
    return;
  }
  if (dialog.open) {
    if (target.closest('.sed-prev')) show(at - 1);
    else if (target.closest('.sed-next')) show(at + 1);
    else if (target.closest('.sed-close') || target === dialog) dialog.close();
    return;
  }
  const made = target.closest('.sed-open');
  if (made) { trigger('edit', {detector: made.dataset.detector}); inspect(); return; }
  const go = target.closest('.sed-go');
  if (go) { trigger('apply', {k: go.dataset.k, t_sec: +go.dataset.t}); inspect(); return; }
  const mistake = target.closest('.res-open');
  if (mistake) { trigger('submit', {image: mistake.querySelector('img').src}); inspect(); return; }
  const example = target.closest('.sed-example');
  if (example) { trigger('submit', {example: example.dataset.name}); return; }
  const plot = target.closest('.sed-curve .ch-plot');
  if (plot) {
    const box = plot.getBoundingClientRect();
    const slider = document.querySelector('#t-sec input[type=range]');
    slider.value = (event.clientX - box.left) / box.width * plot.dataset.timesteps;  // it takes the nearest of its steps
    slider.dispatchEvent(new Event('input', {bubbles: true}));
  }
});
listen('keydown', event => {
  if (!dialog.open) return;
  if (event.key === 'ArrowLeft') show(at - 1);
  if (event.key === 'ArrowRight') show(at + 1);
});
// T_SEC answers while it moves; k, which costs a new trajectory, once it is let go (or on each arrow key).
// The timeout lets Gradio take over the value first.
listen('input', event => {
  if (event.target.matches('#t-sec input[type=range]')) setTimeout(() => trigger('input'));
});
listen('change', event => {
  if (event.target.matches('#t-sec input[type=number]')) setTimeout(() => trigger('input'));
  if (event.target.matches('#k input')) setTimeout(() => trigger('select', {k: +event.target.value}));
});
// Told once all of an update's attributes are set.
const reach = new MutationObserver(changes => {
  for (const range of new Set(changes.map(change => change.target))) {
    const number = range.type === 'range' && range.closest('.block')?.querySelector('input[type=number]');
    if (number && number.value) range.value = number.value;
  }
});
reach.observe(document.body, {subtree: true, attributeFilter: ['min', 'max', 'step']});
control.signal.addEventListener('abort', () => reach.disconnect());
"""

BLEND = "value => { document.documentElement.style.setProperty('--sed-blend', value / 100); }"

# Both get the "seen" part as HTML, which names the example.
MARK = """(k, t_sec, seen) => {
  const example = /data-example="([^"]*)"/.exec(seen)?.[1];
  for (const button of document.querySelectorAll('.sed-example'))
    button.setAttribute('aria-pressed', button.dataset.name === example);
  return example;
}"""

REMEMBER = f"""(k, t_sec, seen, detector) => {{
  const url = new URL(location), example = ({MARK})(k, t_sec, seen);
  url.searchParams.set('k', /data-path="([0-9,]+)"/.exec(seen)?.[1] ?? k);
  url.searchParams.set('t_sec', t_sec);
  if (example) url.searchParams.set('example', example);
  else url.searchParams.delete('example');
  // Only entries of the menu can be linked to, and the app's own needs no naming.
  if (/^(job:|checkpoints\\/)/.test(detector)) url.searchParams.set('detector', detector);
  else url.searchParams.delete('detector');
  history.replaceState(history.state, '', url);
}}"""
