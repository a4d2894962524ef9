import { changed, put } from './address.js';

/* The address once a tab is open.
   ?tab=learn&step=3&example=real-2&t=330 opens the Learn tab there; ?k=165&t_sec=825&example=real-2 the Inspect tab,
   which is the first one and needs no naming; ?tab=guide&doc=limits a page of the guide. */
export function tabAddress(address, name, first, example) {
  const url = changed(address, {
    tab: first ? null : name,
    ...(name === 'learn' ? {} : { step: null, t: null, part: null }),
    ...(name === 'guide' ? {} : { doc: null }),
    ...(example ? { example } : {}),
  });
  if (name !== 'guide') url.hash = '';
  return url;
}

/* Let the address follow when a tab is opened; `first` is the one that needs no naming. */
export function follow(name, first) {
  // A page opens with the first tab, then goes where its address says.
  if (first && !window.sedidMoved && new URL(location).searchParams.has('tab')) return;
  window.sedidMoved = true;
  const shown = {
    inspect: document.querySelector('.sed-example[aria-pressed=true]')?.dataset.name,
    learn: document.querySelector('#learn .learn')?.dataset.example,
  };
  put(tabAddress(location, name, first, shown[name]));
}
