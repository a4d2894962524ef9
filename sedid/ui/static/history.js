/* Back and Forward: the server opens the tab that the address names, tabs see to what is shown inside. */
import { put } from './address.js';
import { listening } from './listening.js';
import { viewAddress } from './view.js';

export function start({ trigger }) {
  const signal = listening('sedidHistory');
  const back = () => {
    // the detector and the view are those of now: only places are gone back to
    if (window.sedidView) put(viewAddress(location, ...window.sedidView));
    trigger('select');
  };
  addEventListener('popstate', back, { signal });
}
