/* Tables of results, sorted by a column: a heading is pressed by pointer or keyboard, once for the largest first (of words, for
   the first of the alphabet), again for the other way round. What was not measured stays last. */

const sedidTables = (() => {
  /* What a cell is sorted by: its number, without the interval below it; else its words; null where there is nothing. */
  function value(cell) {
    const copy = cell.cloneNode(true);
    for (const part of copy.querySelectorAll('small, sup')) part.remove();
    const words = copy.textContent.trim();
    if (!words || words === 'n/a' || words === '-') return null;
    const number = Number.parseFloat(words.replace(/[,\s]/g, '').replace('−', '-'));
    return /^[-+−≥<>]?\s*[\d.]/.test(words) && Number.isFinite(number) ? number : words.toLowerCase();
  }

  /* The order of rows by their values; equal ones keep their places. */
  function order(values, descending) {
    const turn = descending ? -1 : 1;
    const compare = (one, two) => {
      if (values[one] === null || values[two] === null) return (values[one] === null) - (values[two] === null);
      const both = typeof values[one] === 'number' && typeof values[two] === 'number';
      const [a, b] = both ? [values[one], values[two]] : [String(values[one]), String(values[two])];
      return turn * (both ? a - b : a.localeCompare(b)) || one - two;
    };
    return values.map((_, i) => i).sort(compare);
  }

  /* Heading cells that stand over one column, with its place; those over several are no headings of a column. */
  function columns(table) {
    const taken = [];
    const found = [];
    [...table.tHead.rows].forEach((row, y) => {
      let x = 0;
      for (const cell of row.cells) {
        while (taken[y]?.[x]) x += 1;
        for (let down = 0; down < cell.rowSpan; down += 1)
          for (let along = 0; along < cell.colSpan; along += 1) {
            taken[y + down] ??= [];
            taken[y + down][x + along] = true;
          }
        if (cell.colSpan === 1 && y + cell.rowSpan === table.tHead.rows.length) found.push([cell, x]);
        x += cell.colSpan;
      }
    });
    return found;
  }

  function sort(button) {
    const heading = button.closest('th');
    const table = heading.closest('table');
    const all = columns(table);
    const place = all.find(([cell]) => cell === heading)[1];
    const rows = [...table.tBodies[0].rows];
    const values = rows.map(row => value(row.cells[place]));
    const before = heading.getAttribute('aria-sort');
    const descending = before ? before === 'ascending' : values.some(one => typeof one === 'number');
    for (const [cell] of all) cell.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
    table.tBodies[0].append(...order(values, descending).map(i => rows[i]));
  }

  /* Tables come with what the server answers; each gets its buttons once. Cells over several rows would come apart. */
  function wake() {
    for (const table of document.querySelectorAll('.res-scroll > table:not([data-sorted])')) {
      table.dataset.sorted = '';
      const body = table.tBodies[0];
      if (!table.tHead || body.rows.length < 3 || body.querySelector('[rowspan], [colspan]')) continue;
      for (const [cell] of columns(table)) {
        if (!cell.textContent.trim()) continue;
        const button = document.createElement('button');
        Object.assign(button, { type: 'button', className: 'res-sort', title: 'Sort by this column' });
        button.append(...cell.childNodes);
        cell.append(button);
      }
    }
  }

  function start() {
    document.addEventListener('click', event => {
      const button = event.target instanceof Element ? event.target.closest('.res-sort') : null;
      if (button) sort(button);
    });
    wake();
    new MutationObserver(wake).observe(document.body, { childList: true, subtree: true });
  }

  return { value, order, start };
})();

if (document.body) sedidTables.start();
else document.addEventListener('DOMContentLoaded', sedidTables.start);
