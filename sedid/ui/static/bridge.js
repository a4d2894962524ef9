/* The full-size view, and what a click or a slider asks of the server.

   `trigger` sends a Gradio event with data: `input` while T_SEC moves, `select` {k} when k was set, `apply` {k, t_sec}
   to go to another pair (a mark of k keeps T_SEC), `submit` {example} or {image} to look at one, `edit` {detector} to open one. The last three
   bring the Inspect tab to the front. The first two may come faster than they are answered; Gradio then skips to the
   last one but hands over the data of the first (6.31), so their handlers read the sliders themselves.

   It also mends Gradio's (6.31) sliders, on every tab. A range input takes only values that fit its `min`, `max` and
   `step`, and Gradio sets these one after the other and not the value again: 990 of 330 to 990 by 330 became 825 of 165
   to 990 by 330, and stayed 825 by 165, beside a number box that said 990. */
import { listening } from './listening.js';

/* The place `by` steps on, round and round. */
export function turn(at, by, count) {
  return (at + by + count) % count;
}

export function start({ element, trigger }) {
  const signal = listening('sedidBridge');
  const listen = (type, handler) => document.addEventListener(type, handler, { signal });
  const dialog = element.querySelector('dialog');
  let group = [];
  let at = 0;

  function inspect() {
    const home = [...document.querySelectorAll('button[role=tab]')].find(tab => tab.textContent.trim() === 'Inspect');
    if (!home || home.ariaSelected === 'true') return;
    home.click();
    scrollTo(0, 0);
  }

  function show(index) {
    at = index;
    const button = group[at];
    dialog.querySelector('.sed-stage').innerHTML = button.innerHTML;
    dialog.querySelector('span').textContent = button.dataset.label;
    const alone = group.length < 2;
    dialog.querySelector('.sed-prev').hidden = alone;
    dialog.querySelector('.sed-next').hidden = alone;
  }
  const move = by => show(turn(at, by, group.length));

  listen('click', event => {
    const on = selector => event.target.closest(selector);
    const zoom = on('.sed-zoom');
    if (zoom) {
      const family = zoom.closest('.sed-strip, .sed-pair');
      group = family ? [...family.querySelectorAll('.sed-zoom')] : [zoom];
      show(group.indexOf(zoom));
      dialog.showModal();
      return;
    }
    if (dialog.open) {
      if (on('.sed-prev')) move(-1);
      else if (on('.sed-next')) move(1);
      else if (on('.sed-close') || event.target === dialog) dialog.close();
      return;
    }
    const [made, go, mistake, example] = ['.sed-open', '.sed-go', '.res-open', '.sed-example'].map(on);
    if (made) trigger('edit', { detector: made.dataset.detector });
    else if (go) trigger('apply', { k: go.dataset.k, t_sec: Number(go.dataset.t) });
    else if (mistake) trigger('submit', { image: mistake.querySelector('img').src });
    else if (example) trigger('submit', { example: example.dataset.name });
    if (made || go || mistake) inspect();
    const plot = on('.sed-curve .ch-plot');
    if (plot) {
      const box = plot.getBoundingClientRect();
      const slider = document.querySelector('#t-sec input[type=range]');
      slider.value = ((event.clientX - box.left) / box.width) * plot.dataset.timesteps; // it takes the nearest of its steps
      slider.dispatchEvent(new Event('input', { bubbles: true }));
    }
  });
  listen('keydown', event => {
    if (dialog.open && event.key === 'ArrowLeft') move(-1);
    if (dialog.open && event.key === 'ArrowRight') move(1);
  });
  // Gradio's (6.31) menus take the Tab that leaves them for a key pressed in them, and open their list over what comes next.
  const leave = event => {
    if (event.key === 'Tab' && event.target.role === 'combobox') event.stopPropagation();
  };
  document.addEventListener('keydown', leave, { capture: true, signal });
  // T_SEC answers while it moves; k, which costs a new trajectory, once it is let go (or on each arrow key).
  // The timeout lets Gradio take over the value first.
  listen('input', event => {
    if (event.target.matches('#t-sec input[type=range]')) setTimeout(() => trigger('input'));
  });
  listen('change', event => {
    if (event.target.matches('#t-sec input[type=number]')) setTimeout(() => trigger('input'));
    if (event.target.matches('#k-marks input:not([value=other])')) trigger('apply', { k: event.target.value });
    if (event.target.matches('#k input')) setTimeout(() => trigger('select', { k: Number(event.target.value) }));
  });
  // Told once all of an update's attributes are set.
  const reach = new MutationObserver(changes => {
    for (const range of new Set(changes.map(change => change.target))) {
      const number = range.type === 'range' && range.closest('.block')?.querySelector('input[type=number]');
      if (number?.value) range.value = number.value;
    }
  });
  reach.observe(document.body, { subtree: true, attributeFilter: ['min', 'max', 'step'] });
  signal.addEventListener('abort', () => reach.disconnect());
}
