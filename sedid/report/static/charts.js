/* What the page adds to its charts (`sedid.report.charts`): values under the pointer, a finger and the arrow keys, and
   downloads. A chart carries its numbers (`data-chart`: {columns, series: [[name, numbers of column 1, ...], ...]}), so
   nothing is asked of the server. */

const sedidCharts = (() => {
  const SVG = 'http://www.w3.org/2000/svg';
  const STOPS = 120; // values of x that are read one by one; with more of them the axis is read in hundredths
  const SIZE = { width: 640, height: 320, left: 64, right: 30, gap: 18 }; // pixels of a drawing that is taken away
  const three = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

  const number = value =>
    value === 0 || Math.abs(value) >= 1e-3
      ? Number.isInteger(value)
        ? value.toLocaleString('en')
        : three.format(value)
      : value.toExponential(2);

  /* A scale written as "low high" or "low high log": where a value stands, 0 .. 1, and the value at a place. */
  function scale(words) {
    const [low, high, kind] = words.split(' ');
    const [one, two] = [Number(low), Number(high)].map(end => (kind ? Math.log10(end) : end));
    return {
      at: value => Math.min(1, Math.max(0, ((kind ? Math.log10(value) : value) - one) / (two - one))),
      value: at => (kind ? 10 ** (one + at * (two - one)) : one + at * (two - one)),
    };
  }

  /* A table as CSV. A name that a spreadsheet would compute is taken as text. */
  function csv({ columns, series }) {
    const safe = words => (/^[=+\-@\t\r]/.test(words) ? `'${words}` : words);
    const cell = value => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = [['series', ...columns].map(safe)];
    for (const [name, ...parts] of series)
      for (const row of parts[0].keys())
        lines.push([safe(name), ...columns.map((_, place) => String(parts[place]?.[row] ?? ''))]);
    return lines.map(line => `${line.map(cell).join(',')}\n`).join('');
  }

  /* y of a line at x, between its points as it is drawn; undefined where there is none. */
  function height(xs, ys, x, across, up) {
    let found;
    for (let i = 0; i < xs.length; i++) {
      if (xs[i] === x) found = ys[i] ?? undefined;
      else if (i && xs[i - 1] < x && x < xs[i] && ys[i - 1] !== null && ys[i] !== null) {
        const [a, b, at] = [xs[i - 1], xs[i], x].map(across.at);
        const share = b === a ? 0 : (at - a) / (b - a);
        found = up.value(up.at(ys[i - 1]) + share * (up.at(ys[i]) - up.at(ys[i - 1])));
      }
    }
    return found;
  }

  /* The places at which a chart can be read: where (0 .. 1 from the left and from the top) and what is said there.
     Lines are read at their own x, histograms bin by bin, points one by one. */
  function stops(kind, { columns, series }, across, up) {
    if (kind === 'bins') {
      const [, from, to] = series[0] ?? [null, [], []];
      return from.map((start, i) => ({
        x: (across.at(start) + across.at(to[i])) / 2,
        head: `${columns[0].replace(/ from$/, '')} ${number(start)} to ${number(to[i])}`,
        rows: series.map(([name, , , shares]) => ({ name, words: `${three.format(100 * shares[i])} %` })),
      }));
    }
    if (kind === 'points')
      return series
        .flatMap(([name, xs, ys]) => xs.map((x, i) => ({ name, x, y: ys[i] })).filter(({ y }) => y !== null))
        .sort((one, two) => across.at(one.x) - across.at(two.x))
        .map(({ name, x, y }) => ({
          x: across.at(x),
          y: 1 - up.at(y),
          head: name,
          rows: [{ words: `${columns[0]} ${number(x)}, ${columns[1]} ${number(y)}` }],
        }));
    const long = series.filter(([, xs]) => xs.length > 2);
    const own = [...new Set((long.length ? long : series).flatMap(([, xs]) => xs))];
    const every = own.length <= STOPS ? own : Array.from({ length: 101 }, (_, i) => across.value(i / 100));
    const read = x =>
      series.flatMap(([name, xs, ys, low, high]) => {
        const y = height(xs, ys, x, across, up);
        if (y === undefined) return [];
        const [from, to] = low ? [low, high].map(ends => height(xs, ends, x, across, up)) : [];
        return [{ name, words: number(y) + (from === undefined ? '' : ` (${number(from)} to ${number(to)})`) }];
      });
    return every
      .sort((one, two) => across.at(one) - across.at(two))
      .map(x => ({ x: across.at(x), head: `${columns[0]} ${number(x)}`, rows: read(x) }))
      .filter(stop => stop.rows.length);
  }

  /* The stop nearest to a place; only x counts where the stops have no height. */
  function nearest(all, x, y) {
    const away = stop => (stop.x - x) ** 2 + (stop.y === undefined ? 0 : (stop.y - y) ** 2);
    return all.reduce((best, stop, i) => (away(stop) < away(all[best]) ? i : best), 0);
  }

  /* Which stop a key leads to. In a grid up and down lead to the next row, to the cell above or below. */
  function after(key, all, at) {
    const last = all.length - 1;
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last }[key];
    if (by !== undefined) return Math.min(last, Math.max(0, at + by));
    if (all[at].row === undefined) return at;
    const row = all[at].row + (key === 'ArrowUp' ? -1 : 1);
    const cells = all.flatMap((stop, i) => (stop.row === row ? [i] : []));
    return cells.length
      ? cells[
          nearest(
            cells.map(i => ({ x: all[i].x })),
            all[at].x,
          )
        ]
      : at;
  }

  const slug = words =>
    words
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 90);

  // --- the page ----------------------------------------------------------------------------------------------------

  const places = new WeakMap(); // plot -> index of the stop that is shown
  let last = null; // the chart that has the focus: it may be drawn anew while it is read
  const keys = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End'];

  const named = key => key.textContent.replace(/\s+/g, ' ').trim();

  /* The names that are switched off in the legend. */
  const hidden = figure => new Set([...figure.querySelectorAll('.ch-keys label:has(input:not(:checked))')].map(named));

  function stopsOf(figure) {
    const { kind, chart, x, y } = figure.dataset;
    if (kind === 'grid') {
      const box = figure.querySelector('.ch-svg').getBoundingClientRect();
      const cells = [...figure.querySelectorAll('.ch-cell')].map(cell => {
        const rect = cell.querySelector('rect').getBoundingClientRect();
        return {
          cell,
          x: (rect.x + rect.width / 2 - box.x) / box.width,
          y: (rect.y + rect.height / 2 - box.y) / box.height,
          row: Math.round((rect.y - box.y) / rect.height),
          size: [rect.width, rect.height, rect.x - box.x, rect.y - box.y],
          head: cell.querySelector('title').textContent,
          rows: [],
        };
      });
      return cells.sort((one, two) => one.row - two.row || one.x - two.x);
    }
    const table = JSON.parse(chart);
    const off = hidden(figure);
    const shown = { columns: table.columns, series: table.series.filter(([name]) => !off.has(name)) };
    return stops(kind, shown, scale(x), y ? scale(y) : null);
  }

  const make = (tag, style, words = '') =>
    Object.assign(document.createElement(tag), { className: style, textContent: words });

  /* Show one stop of a chart; nothing for undefined. */
  function show(figure, all, index) {
    const plot = figure.querySelector('.ch-plot');
    let at = plot.querySelector('.ch-at');
    let box = plot.querySelector('.ch-read');
    if (!box) {
      at = make('div', 'ch-at');
      box = make('div', 'ch-read');
      box.setAttribute('role', 'status');
      plot.append(at, box);
    }
    const stop = all?.[index];
    if (!stop) {
      places.delete(plot);
      at.replaceChildren();
      box.replaceChildren();
      return;
    }
    places.set(plot, index);
    const sign = make('i', stop.cell ? 'ch-box' : stop.y === undefined ? '' : 'ch-ring');
    if (stop.cell) {
      const [width, height, left, top] = stop.size;
      Object.assign(sign.style, { width: `${width}px`, height: `${height}px`, left: `${left}px`, top: `${top}px` });
    } else
      Object.assign(sign.style, { left: `${100 * stop.x}%` }, stop.y === undefined ? {} : { top: `${100 * stop.y}%` });
    at.replaceChildren(sign);
    const swatches = new Map(
      [...figure.querySelectorAll('.ch-keys > *')].map(one => [named(one), one.querySelector('svg')]),
    );
    const lines = stop.rows.map(({ name, words }) => {
      const line = make('span', '');
      const sample = swatches.get(name)?.cloneNode(true);
      if (sample) line.append(sample);
      line.append(name === undefined ? words : `${name}: ${words}`);
      return line;
    });
    box.replaceChildren(make('b', '', stop.head), ...lines);
    const left = stop.x < 0.5;
    const room = Math.max(stop.x, 1 - stop.x) * plot.clientWidth - 16;
    const wide = room > 200;
    Object.assign(box.style, {
      left: wide && left ? `calc(${100 * stop.x}% + 16px)` : wide ? 'auto' : '0',
      right: wide && !left ? `calc(${100 - 100 * stop.x}% + 16px)` : 'auto',
      top: wide ? (stop.y === undefined ? '6px' : `clamp(0px, calc(${100 * stop.y}% - 30px), 100%)`) : 'auto',
      bottom: wide ? 'auto' : 'calc(100% + 4px)',
      maxWidth: `${wide ? Math.min(320, room) : plot.clientWidth}px`,
    });
  }

  const hide = except => {
    for (const box of document.querySelectorAll('.ch-read:not(:empty)'))
      if (box.parentElement !== except) show(box.closest('.chart'));
  };

  /* Take a stop as if it were clicked: a cell leads to Inspect, the t-error's curve moves T_SEC. */
  function take(plot, stop) {
    if (stop.cell) stop.cell.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    else {
      const box = plot.getBoundingClientRect();
      const [clientX, clientY] = [box.x + stop.x * box.width, box.y + box.height / 2];
      plot.querySelector('.ch-svg').dispatchEvent(new MouseEvent('click', { bubbles: true, clientX, clientY }));
    }
  }

  /* A chart as a drawing of its own, as it looks now: every colour and size written down, legend and words included.
     Lines that keep their width when the plot stretches also keep it where a pixel is made of several dots. */
  function drawing(figure, dots = 1) {
    const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const known = new Map();
    const rgb = colour => {
      if (!/^(oklab|oklch|color)\(/.test(colour)) return colour;
      if (!known.has(colour)) {
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        known.set(colour, `rgb(${[...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)].join(', ')})`);
      }
      return known.get(colour);
    };
    const usual = {
      ...{ fill: '', stroke: 'none', 'stroke-width': '1px', 'stroke-dasharray': 'none', 'stroke-linecap': 'butt' },
      ...{
        'fill-opacity': '1',
        'stroke-opacity': '1',
        'stroke-linejoin': 'miter',
        'paint-order': 'normal',
        'text-anchor': 'start',
      },
      ...{ 'vector-effect': 'none', 'font-size': '', 'font-weight': '400', overflow: '' },
    };
    const copy = element => {
      const made = element.cloneNode(false);
      const style = getComputedStyle(element);
      if (style.display === 'none') return document.createTextNode('');
      for (const name of [
        'class',
        'style',
        'tabindex',
        'role',
        'aria-label',
        'aria-roledescription',
        'data-k',
        'data-t',
      ])
        made.removeAttribute(name);
      const shape = !['g', 'title', 'desc', 'svg'].includes(element.tagName);
      for (const [name, plain] of Object.entries(usual)) {
        if (element.tagName === 'svg' ? name !== 'overflow' : !shape || name === 'overflow') continue;
        if (name.startsWith('font') && element.tagName !== 'text') continue;
        const value = style.getPropertyValue(name);
        if (value && value !== plain) made.setAttribute(name, rgb(value));
      }
      for (const child of element.childNodes)
        made.append(child.nodeType === Node.ELEMENT_NODE ? copy(child) : child.cloneNode());
      return made;
    };
    const put = (tag, values, ...inside) => {
      const made = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
      made.append(...inside);
      return made;
    };
    const plot = figure.querySelector('.ch-svg');
    const probe = figure.appendChild(make('i', ''));
    const ink = name => {
      probe.style.color = `var(${name})`;
      return rgb(getComputedStyle(probe).color);
    };
    const colours = { paper: ink('--sed-plane'), ink: ink('--sed-ink'), quiet: ink('--sed-quiet') };
    probe.remove();
    const total = SIZE.left + SIZE.width + SIZE.right;
    const [title, note] = [
      figure.querySelector('figcaption')?.firstChild?.textContent.trim() ?? '',
      figure.querySelector('figcaption small')?.textContent ?? '',
    ];
    const parts = [put('text', { x: SIZE.gap, y: 28, fill: colours.ink, 'font-size': 15, 'font-weight': 600 }, title)];
    pen.font = '13px sans-serif';
    let [across, top] = [SIZE.gap, 52];
    if (note) {
      parts.push(put('text', { x: SIZE.gap, y: 48, fill: colours.quiet, 'font-size': 13 }, note));
      top = 72;
    }
    for (const key of figure.querySelectorAll('.ch-keys > *:not(:has(input:not(:checked)))')) {
      const width = 34 + pen.measureText(key.textContent).width * 1.1 + 16;
      if (across > SIZE.gap && across + width > total) [across, top] = [SIZE.gap, top + 20];
      parts.push(
        put('g', { transform: `translate(${across} ${top - 11})` }, copy(key.querySelector('svg'))),
        put('text', { x: across + 34, y: top, fill: colours.ink, 'font-size': 13 }, key.textContent),
      );
      across += width;
    }
    const below = top + (figure.querySelector('.ch-keys > *') ? 38 : 16);
    const tall = figure.dataset.kind === 'grid' ? plot.getBoundingClientRect().height : SIZE.height;
    const inner = copy(plot);
    for (const [name, value] of Object.entries({ x: SIZE.left, y: below, width: SIZE.width, height: tall }))
      inner.setAttribute(name, value);
    const foot =
      [...figure.querySelectorAll('.ch-foot > span')].map(one => one.textContent).join('   ') ||
      figure.querySelector('.ch-foot')?.textContent;
    parts.push(
      inner,
      put(
        'text',
        {
          x: SIZE.left + SIZE.width / 2,
          y: below + tall + 44,
          fill: colours.quiet,
          'font-size': 13,
          'text-anchor': 'middle',
        },
        foot ?? '',
      ),
    );
    const height = below + tall + 60;
    const whole = put(
      'svg',
      {
        xmlns: SVG,
        width: total,
        height,
        viewBox: `0 0 ${total} ${height}`,
        'font-family': 'system-ui, sans-serif',
      },
      put('title', {}, plot.getAttribute('aria-label') ?? title),
      put('rect', { width: '100%', height: '100%', fill: colours.paper }),
      ...parts,
    );
    for (const line of whole.querySelectorAll('[vector-effect]'))
      for (const name of ['stroke-width', 'stroke-dasharray'])
        if (line.hasAttribute(name))
          line.setAttribute(
            name,
            line.getAttribute(name).replace(/[\d.]+/g, size => dots * size),
          );
    return { markup: new XMLSerializer().serializeToString(whole), width: total, height };
  }

  /* The same drawing in pixels, two for one. */
  async function pixels({ markup, width, height }) {
    const image = new Image(width, height);
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(markup)}`;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: 2 * width, height: 2 * height });
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise(done => canvas.toBlob(done, 'image/png'));
  }

  async function save(figure, kind) {
    const made = {
      svg: () => new Blob([drawing(figure).markup], { type: 'image/svg+xml' }),
      png: () => pixels(drawing(figure, 2)),
      csv: () => new Blob([csv(JSON.parse(figure.dataset.chart))], { type: 'text/csv' }),
    };
    const title = figure.querySelector('figcaption')?.firstChild?.textContent ?? 'chart';
    const part = figure.closest('[data-charts]') ?? figure.closest('[role=tabpanel]')?.querySelector('[data-charts]');
    const name = slug([part?.dataset.charts ?? 'sedid', title].join(' '));
    const link = Object.assign(document.createElement('a'), {
      href: URL.createObjectURL(await made[kind]()),
      download: `${name}.${kind}`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  const MENU = `<summary aria-label="Download this chart" title="Download this chart"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11"/></svg></summary>
<div>${['svg', 'png', 'csv'].map(kind => `<button type="button" data-save="${kind}">${kind.toUpperCase()}</button>`).join('')}</div>`;

  /* Charts come and change with what the server answers; each is given what it lacks. */
  function wake() {
    for (const figure of document.querySelectorAll('.chart')) {
      const plot = figure.querySelector('.ch-svg');
      if (plot && !plot.hasAttribute('tabindex')) {
        plot.setAttribute('tabindex', '0');
        plot.setAttribute('role', 'application');
        plot.setAttribute('aria-roledescription', 'chart, read with the arrow keys');
        if (plot === document.activeElement && places.has(plot.parentElement)) {
          const all = stopsOf(figure);
          show(figure, all, Math.min(places.get(plot.parentElement), all.length - 1));
        }
      }
      if (plot && figure.lastElementChild.className !== 'ch-save') {
        const menu = make('details', 'ch-save');
        menu.innerHTML = MENU;
        figure.append(menu);
      }
    }
    if (!last || document.activeElement !== document.body) return;
    const again = last.home.querySelectorAll('.ch-svg')[last.place];
    if (!again) return;
    const { index } = last;
    again.focus({ preventScroll: true });
    last.index = index;
    const all = stopsOf(again.closest('.chart'));
    if (index !== undefined) show(again.closest('.chart'), all, Math.min(index, all.length - 1));
  }

  function start() {
    const listen = (type, handler) => document.addEventListener(type, handler, { capture: true });
    const under = event => (event.target instanceof Element ? event.target.closest('.ch-plot') : null);
    const read = (event, plot) => {
      const box = plot.getBoundingClientRect();
      const all = stopsOf(plot.closest('.chart'));
      const index = nearest(all, (event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height);
      return [all, index];
    };
    let fresh = false; // a finger has just come to the stop that is shown

    listen('pointermove', event => {
      const plot = under(event);
      if (plot) show(plot.closest('.chart'), ...read(event, plot));
    });
    listen('pointerdown', event => {
      const plot = under(event);
      if (!plot) last = null;
      hide(plot);
      if (!plot) return;
      const [all, index] = read(event, plot);
      fresh = event.pointerType === 'touch' && places.get(plot) !== index;
      show(plot.closest('.chart'), all, index);
    });
    listen('pointerout', event => {
      const plot = under(event);
      if (
        plot &&
        event.pointerType !== 'touch' &&
        !plot.contains(event.relatedTarget) &&
        !plot.contains(document.activeElement)
      )
        show(plot.closest('.chart'));
    });
    listen('click', event => {
      const target = event.target instanceof Element ? event.target : null;
      for (const menu of document.querySelectorAll('.ch-save[open]')) if (!menu.contains(target)) menu.open = false;
      const button = target?.closest('[data-save]');
      if (button?.closest('.ch-save')) {
        save(button.closest('.chart'), button.dataset.save);
        button.closest('.ch-save').open = false;
        return;
      }
      const plot = under(event);
      if (!plot || !event.isTrusted || plot.closest('.chart').dataset.kind !== 'grid') return;
      event.stopPropagation();
      if (fresh) return; // the first tap reads a cell, the next one goes there
      const [all, index] = read(event, plot);
      take(plot, all[index]);
    });
    listen('keydown', event => {
      const plot =
        event.target instanceof Element && event.target.matches('.ch-svg') ? event.target.parentElement : null;
      if (event.key === 'Escape') {
        for (const menu of document.querySelectorAll('.ch-save[open]')) menu.open = false;
        hide(null);
      }
      if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
      const figure = plot.closest('.chart');
      const all = stopsOf(figure);
      const at = places.get(plot);
      if (keys.includes(event.key) && all.length)
        show(
          figure,
          all,
          at === undefined
            ? event.key === 'End'
              ? all.length - 1
              : 0
            : after(event.key, all, Math.min(at, all.length - 1)),
        );
      else if (event.key === 'Enter' && all[at]) take(plot, all[at]);
      else return;
      if (last) last.index = places.get(plot);
      event.preventDefault();
      event.stopPropagation();
    });
    listen('focusin', event => {
      const plot = event.target;
      last = null;
      if (!(plot instanceof Element) || !plot.matches('.ch-svg')) return;
      const home = plot.closest('[id]') ?? document.body;
      last = { home, place: [...home.querySelectorAll('.ch-svg')].indexOf(plot), index: undefined };
    });
    listen('focusout', event => {
      if (event.relatedTarget) last = null; // it is left, not drawn anew
      if (event.target instanceof Element && event.target.matches('.ch-svg')) show(event.target.closest('.chart'));
    });
    wake();
    new MutationObserver(wake).observe(document.body, {
      childList: true,
      subtree: true,
      attributeFilter: ['tabindex'],
    });
  }

  return { scale, csv, stops, nearest, after, start };
})();

if (typeof module !== 'undefined') module.exports = sedidCharts;
else if (document.body) sedidCharts.start();
else document.addEventListener('DOMContentLoaded', sedidCharts.start);
