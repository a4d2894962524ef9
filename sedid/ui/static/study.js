/* The study of the Compare tab lies in the address (?tab=compare&study=robustness). */
import { changed, put, visit } from './address.js';
import { listening } from './listening.js';

/* What the server is asked: the study of the address, and the results selected. */
export function wish(_study, source) {
  return [new URL(location).searchParams.get('study') || '', source];
}

/* The visitor chose another one: a place to come back to. */
export function choose(study, source) {
  visit(changed(location, { study }));
  return [study, source];
}

/* The page turned to another one by itself. */
export function remember(study) {
  put(changed(location, { study }));
}

export function start({ element, trigger }) {
  const back = () => {
    // where Back leads here from another tab, the opening of this one asks
    const open = element.offsetParent !== null;
    if (open && new URL(location).searchParams.get('tab') === 'compare') trigger('select');
  };
  addEventListener('popstate', back, { signal: listening('sedidStudy') });
}
