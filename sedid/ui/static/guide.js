/* The Guide: its pages lie in the address (?tab=guide&doc=limits#base-rates) and are fetched when they are opened. */
import { changed, visit } from './address.js';
import { listening } from './listening.js';

/* What the server is asked: the page of the address. */
export function wish() {
  return [new URL(location).searchParams.get('doc') || ''];
}

/* The name of a heading in an address, as GitHub makes it. */
export function slug(words) {
  return words
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');
}

/* Whether a link leads to a page of the guide of this very app. */
export function inGuide(link, here) {
  const [to, from] = [new URL(link), new URL(here)];
  return to.origin + to.pathname === from.origin + from.pathname && to.searchParams.get('tab') === 'guide';
}

export function start({ element, trigger }) {
  const signal = listening('sedidGuide');
  const home = element.closest('#guide');
  const links = [...element.querySelectorAll('a')];
  let moved = Boolean(location.hash); // a link into a page: go there once it is drawn

  function open() {
    const name = new URL(location).searchParams.get('doc');
    return links.find(link => link.dataset.page === name) || links[0];
  }

  function mark() {
    for (const link of links) link.removeAttribute('aria-current');
    const link = open();
    if (!link) return;
    const list = link.closest('ul');
    link.setAttribute('aria-current', 'page');
    list.scrollLeft = link.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
  }

  // The wanted page may be drawn by now.
  function arrive() {
    const title = home.querySelector('#guide-text h1');
    if (!moved || title?.textContent.trim() !== open()?.dataset.title) return;
    const wanted = decodeURIComponent(location.hash.slice(1));
    const headings = [...home.querySelectorAll('#guide-text :is(h2, h3)')];
    const place = wanted && headings.find(one => slug(one.textContent) === wanted);
    if (wanted && !place && !home.querySelector('#guide-text h2')) return; // the rest is still to come
    moved = false;
    const target = place || title;
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    if (place) place.scrollIntoView();
    else if (home.getBoundingClientRect().top < 0) home.scrollIntoView();
  }

  function go(event) {
    const link = event.target.closest('#guide a');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (!inGuide(link.href, location)) return;
    event.preventDefault();
    const to = new URL(link.href);
    const before = open();
    const url = changed(location, { doc: to.searchParams.get('doc') });
    url.hash = to.hash;
    visit(url);
    follow(before);
  }

  // The address names another page, or another place of this one.
  function follow(before) {
    moved = true;
    mark();
    if (open() === before) arrive();
    else trigger('select');
  }

  function back() {
    if (new URL(location).searchParams.get('tab') === 'guide')
      follow(links.find(link => link.getAttribute('aria-current')));
  }

  document.addEventListener('click', go, { signal });
  addEventListener('popstate', back, { signal });
  const watcher = new MutationObserver(arrive);
  watcher.observe(home, { childList: true, subtree: true });
  signal.addEventListener('abort', () => watcher.disconnect());
  mark();
}
