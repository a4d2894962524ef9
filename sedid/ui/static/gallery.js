/* What the parts of the Gallery tab share: a click on what carries data-send tells the server its data; the focus
   returns to where it was once the part is redrawn. */

/* Of these numbers the one nearest to `wanted`. */
export function nearest(numbers, wanted) {
  const away = number => Math.abs(number - wanted);
  return numbers.reduce((best, number) => (away(number) < away(best) ? number : best));
}

export function start({ element, trigger }) {
  let back = null;
  element.addEventListener('click', event => {
    const sent = event.target.closest('[data-send]');
    if (sent) {
      event.stopPropagation();
      back = sent.id;
      trigger('select', { ...sent.dataset });
      return;
    }
    const plot = event.target.closest('.ch-plot[data-t-secs]');
    if (plot) {
      // of the chart here, not of the one in Inspect
      event.stopPropagation();
      const box = plot.getBoundingClientRect();
      const wanted = ((event.clientX - box.left) / box.width) * plot.dataset.timesteps;
      trigger('select', { t_sec: nearest(plot.dataset.tSecs.split(' ').map(Number), wanted) });
      return;
    }
    const row = event.target.closest('tr[data-row]');
    if (row && !event.target.closest('button, a') && !getSelection().toString())
      row.querySelector('.res-open')?.click();
  });
  new MutationObserver(() => {
    const again = back && document.getElementById(back);
    if (!again) return;
    back = null;
    const target = again.disabled ? again.parentElement.querySelector('button:enabled') : again;
    target?.focus({ preventScroll: true });
    if (again.closest('.gal-pages') && element.getBoundingClientRect().top < 0) element.scrollIntoView();
  }).observe(element, { childList: true, subtree: true });
}
