/* The slider of strengths tells the server when it is let go, on each arrow key and after typing; Gradio's own events
   miss the keys. */
import { listening } from './listening.js';

export function start({ trigger }) {
  const listen = event => {
    if (event.target.matches('#resave-strength input')) setTimeout(() => trigger('select'));
  };
  document.addEventListener('change', listen, { signal: listening('sedidResave') });
}
