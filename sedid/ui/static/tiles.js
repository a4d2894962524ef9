/* Tiles say their score, move by arrow key and open; none of it but the last asks the server. */
import { listening } from './listening.js';

/* How many tiles further an arrow key leads; undefined for other keys. */
export function tileStep(key, columns) {
  return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
}

/* Which tile is open, from what the detector sees; -1 if none is. */
export function openTile(seen) {
  return Number(/<li>tile (\d+) of /.exec(seen)?.[1] ?? 0) - 1;
}

export function start({ trigger }) {
  const signal = listening('sedidTiles');
  const listen = (type, handler) =>
    document.addEventListener(
      type,
      event => {
        const tile = event.target.closest?.('.sed-tile[data-tile]');
        if (tile) handler(tile, event);
      },
      { signal },
    );
  const tell = tile => {
    tile.closest('.sed-map').querySelector('.sed-told').textContent = tile.getAttribute('aria-label');
  };
  listen('mouseover', tell);
  listen('focusin', tell);
  listen('keydown', (tile, event) => {
    const step = tileStep(event.key, Number(tile.parentElement.dataset.columns));
    const next = step && tile.parentElement.querySelector(`[data-tile="${Number(tile.dataset.tile) + step}"]`);
    if (!next) return;
    event.preventDefault();
    tile.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  listen('click', tile => trigger('select', { tile: Number(tile.dataset.tile) }));
}

/* What is open is marked on the map; the visitor is taken to what is said about it. */
export function opened(seen) {
  const open = openTile(seen);
  for (const tile of document.querySelectorAll('.sed-tile[data-tile]'))
    tile.setAttribute('aria-pressed', Number(tile.dataset.tile) === open);
  if (open < 0) return;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  document.querySelector('#verdicts').scrollIntoView({ behavior: calm ? 'auto' : 'smooth' });
}
