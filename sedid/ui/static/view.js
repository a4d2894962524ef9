/* What is under inspection: marked among the examples, and in the address. Both get the "seen" part as HTML, which
   names the example. */
import { changed, put } from './address.js';

export function exampleOf(seen) {
  return /data-example="([^"]*)"/.exec(seen)?.[1];
}

/* Only entries of the menu can be linked to, and the app's own needs no naming. */
export function viewAddress(address, k, t_sec, seen, detector) {
  const linked = /^(job:|checkpoints\/)/.test(detector) ? detector : null;
  const path = /data-path="([0-9,]+)"/.exec(seen)?.[1];
  return changed(address, { k: path ?? k, t_sec, example: exampleOf(seen), detector: linked });
}

export function mark(_k, _t_sec, seen) {
  const example = exampleOf(seen);
  for (const button of document.querySelectorAll('.sed-example'))
    button.setAttribute('aria-pressed', button.dataset.name === example);
}

/* What the strip shows, for those who do not see it: a live region must be there before its words. */
function say() {
  const calls = [...document.querySelectorAll('#strip .sed-calls p')].map(call => call.textContent.trim());
  const said = document.querySelector('#sed-said');
  if (said) said.textContent = calls.join('; ').replace(/\s+/g, ' ');
}

export function remember(k, t_sec, seen, detector) {
  mark(k, t_sec, seen);
  window.sedidView = [k, t_sec, seen, detector];
  say();
  put(viewAddress(location, k, t_sec, seen, detector));
}

/* How opaque heat maps lie over images, in percent. */
export function blend(value) {
  document.documentElement.style.setProperty('--sed-blend', value / 100);
}
