import { changed, put, visit } from './address.js';
import { viewAddress } from './view.js';

/* The address once a tab is open.
   ?tab=learn&step=3&example=real-2&t=330 opens the Learn tab there; ?k=165&t_sec=825&example=real-2 the Inspect tab,
   which is the first one and needs no naming; ?tab=compare&study=robustness a study; ?tab=guide&doc=limits a page of the
   guide. */
export function tabAddress(address, name, first, example) {
  const url = changed(address, {
    tab: first ? null : name,
    ...(name === 'learn' ? {} : { step: null, t: null, part: null }),
    ...(name === 'compare' ? {} : { study: null }),
    ...(name === 'guide' ? {} : { doc: null }),
    ...(example ? { example } : {}),
  });
  if (name !== 'guide') url.hash = '';
  return url;
}

/* Let the address follow when a tab is opened; `first` is the one that needs no naming. A tab is a place to come back to;
   where Back led to one, the address names it already. What else the address says is what the page shows now. */
export function follow(name, first) {
  // A page opens with the first tab, then goes where its address says.
  if (first && !window.sedidMoved && new URL(location).searchParams.has('tab')) return;
  window.sedidMoved = true;
  const shown = {
    inspect: document.querySelector('.sed-example[aria-pressed=true]')?.dataset.name,
    learn: document.querySelector('#learn .learn')?.dataset.example,
  };
  const here = window.sedidView ? viewAddress(location, ...window.sedidView) : location;
  const url = tabAddress(here, name, first, shown[name]);
  const asked = new URL(location).searchParams.get('tab');
  if (asked === url.searchParams.get('tab')) put(url);
  else visit(url);
}
