/* Notes for words of the glossary: `.sed-term` becomes something to hover over, focus or tap; Escape closes its note.
   Each is described by a hidden paragraph, so that a screen reader needs no note to be open. */
import { listening } from './listening.js';

/* Where a note of this width stands: under its word, within the window. */
export function leftOf(word, width, window) {
  return Math.max(8, Math.min(word, window - width - 8));
}

export function start({ element }) {
  const signal = listening('sedidTerms');
  const listen = (type, handler) => document.addEventListener(type, handler, { signal });
  const note = element.querySelector('#sed-note');
  let shown = null;
  let leaving = null;

  function explain() {
    for (const term of document.querySelectorAll('.sed-term:not([tabindex])')) {
      const means = element.querySelector(`[data-means="${CSS.escape(term.dataset.term)}"]`);
      if (!means) continue;
      term.tabIndex = 0;
      term.setAttribute('role', 'button');
      term.setAttribute('aria-describedby', means.id);
    }
  }

  function show(term) {
    clearTimeout(leaving);
    if (shown === term) return;
    shown = term;
    note.textContent = document.getElementById(term.getAttribute('aria-describedby')).textContent;
    note.showPopover();
    const box = term.getBoundingClientRect();
    const below = box.bottom + 6;
    const fits = below + note.offsetHeight < innerHeight;
    note.style.left = `${leftOf(box.left, note.offsetWidth, innerWidth)}px`;
    note.style.top = `${fits ? below : box.top - note.offsetHeight - 6}px`;
  }

  function hide() {
    clearTimeout(leaving);
    if (!shown) return;
    shown = null;
    note.hidePopover();
  }

  const termOf = event => event.target.closest?.('.sed-term[tabindex]');
  listen('pointerover', event => {
    const term = termOf(event);
    if (term && event.pointerType === 'mouse') show(term);
    else if (event.target === note) clearTimeout(leaving); // the note itself may be pointed at
  });
  listen('pointerout', event => {
    if (event.pointerType === 'mouse' && (termOf(event) || event.target === note)) leaving = setTimeout(hide, 250);
  });
  listen('focusin', event => (termOf(event) ? show(termOf(event)) : hide()));
  listen('click', event => {
    const term = termOf(event);
    if (term) show(term);
    else if (event.target !== note) hide();
  });
  listen('keydown', event => {
    if (event.key === 'Escape') hide();
    const term = termOf(event);
    if (!term || (event.key !== 'Enter' && event.key !== ' ')) return;
    event.preventDefault();
    if (shown) hide();
    else show(term);
  });
  addEventListener('scroll', hide, { signal, capture: true, passive: true });

  const watcher = new MutationObserver(explain);
  watcher.observe(document.body, { childList: true, subtree: true });
  signal.addEventListener('abort', () => watcher.disconnect());
  explain();
}
