"""The script that the HTML parts of the Gallery tab share; it runs in the `js_on_load` of each."""

RELAY = """
// A click on what carries data-send tells the server its data; the focus returns to where it was once the part is redrawn.
let back = null;
element.addEventListener('click', event => {
  const sent = event.target.closest('[data-send]');
  if (sent) {
    event.stopPropagation();
    back = sent.id;
    trigger('select', {...sent.dataset});
    return;
  }
  const plot = event.target.closest('.ch-plot[data-t-secs]');
  if (plot) {  // of the chart here, not of the one in Inspect
    event.stopPropagation();
    const box = plot.getBoundingClientRect(), {timesteps, tSecs} = plot.dataset;
    const away = t => Math.abs(t - (event.clientX - box.left) / box.width * timesteps);
    trigger('select', {t_sec: tSecs.split(' ').map(Number).reduce((best, t) => away(t) < away(best) ? t : best)});
    return;
  }
  const row = event.target.closest('tr[data-row]');
  if (row && !event.target.closest('button, a') && !getSelection().toString()) row.querySelector('.res-open')?.click();
});
new MutationObserver(() => {
  const again = back && document.getElementById(back);
  if (!again) return;
  back = null;
  (again.disabled ? again.parentElement.querySelector('button:enabled') : again)?.focus({preventScroll: true});
  if (again.closest('.gal-pages') && element.getBoundingClientRect().top < 0) element.scrollIntoView();
}).observe(element, {childList: true, subtree: true});
"""
