/* The lesson's world in closed form: a point one drags, its path, two crowds and two scales, drawn as one moves things.
   All of it is computed here, by world.js; the server is asked for nothing. */
import { changed, put } from './address.js';
import { listening } from './listening.js';
import { auc, crowd, density, draws, errors, place, schedule, step, walk } from './world.js';

const PICTURES = 200; // in each crowd
const REACH = { level: 6, coarse: 8, fine: 2 }; // ends of the axes, on both sides of 0
const FINE = [0.2, 0.4]; // spread of the fine axis on the left and the right hill: smooth pictures and detailed ones
const COARSE = { apart: 4, spread: 2.2 };
const LENS = { width: 112, height: 76 };

/* The data with two hills on one axis; with no distance it is one hill. */
export function hills(apart, spread) {
  const part = side => ({ weight: 0.5, mean: [(side * apart) / 2], variance: [spread ** 2] });
  return apart ? [part(-1), part(1)] : [{ ...part(0), weight: 1 }];
}

/* The data with a coarse and a fine axis, each stretched. */
export function scales(coarse, fine) {
  return [-1, 1].map((side, i) => ({
    weight: 0.5,
    mean: [(side * coarse * COARSE.apart) / 2, 0],
    variance: [(coarse * COARSE.spread) ** 2, (fine * FINE[i]) ** 2],
  }));
}

/* The multiple of k from k to the last one that is nearest to a wish. */
export function nearest(wanted, k, timesteps) {
  return Math.min(Math.max(Math.round(wanted / k), 1), Math.floor((timesteps - 1) / k)) * k;
}

/* A number in three significant digits. */
export function digits(value) {
  if (value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e7)) return String(Number(value.toPrecision(3)));
  const [mantissa, exponent] = value.toExponential(1).split('e');
  return `${mantissa}·10${[...String(Number(exponent))].map(one => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(one)]).join('')}`;
}

/* What an AUC says, in words. */
export function verdict(value, tSec) {
  const said = `AUC <b>${value.toFixed(2)}</b> at T_SEC ${tSec}: `;
  if (Math.abs(value - 0.5) < 0.05) return `${said}the error tells nothing here.`;
  return (
    said +
    (value > 0.5
      ? '<b>smaller</b> means generated, as in the paper.'
      : '<b>larger</b> means generated: the sign has turned.')
  );
}

/* How often values fall between `low` and `high` on a logarithmic axis, as shares in `bins`; the ends take what lies outside. */
export function bins(values, low, high, count) {
  const found = new Array(count).fill(0);
  for (const value of values) {
    const at = Math.floor((Math.log(value / low) / Math.log(high / low)) * count);
    found[Math.min(Math.max(at, 0), count - 1)] += 1 / values.length;
  }
  return found;
}

/* A round factor, at most `most`: 1, 2, 5, 10, 20 and so on. */
export function magnified(most) {
  const ten = 10 ** Math.floor(Math.log10(most));
  return ten * [5, 2, 1].find(one => one * ten <= most);
}

const polyline = points => points.map(([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
const words = (x, y, text, style = '', anchor = 'middle') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" class="${style}">${text}</text>`;
const line = (x1, y1, x2, y2, style) =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" class="${style}"/>`;
const dot = (x, y, r, style) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${r}" class="${style}"/>`;

/* Whether a drawing has the room of a phone's screen alone. */
const narrow = width => width <= 380;

/* Where things stand in a drawing of a box's width. */
function frame(box, height, left, bottom, right = 12, top = 10) {
  const width = box.clientWidth;
  box.style.height = `${height}px`;
  const svg = box.querySelector('svg');
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  return { svg, width, height, left, top, right: width - right, bottom: height - bottom };
}

const along =
  ({ left, right }, low, high) =>
  value =>
    left + ((value - low) / (high - low)) * (right - left);
const upwards =
  ({ top, bottom }, low, high) =>
  value =>
    bottom - ((value - low) / (high - low)) * (bottom - top);

/* The walk of one point and what is drawn of it: the way from each point to the next, and the step back. */
function routes(abar, points, tSec, k) {
  const way = (point, to) =>
    Array.from({ length: 9 }, (_, i) => {
      const u = Math.round(point.t + ((to - point.t) * i) / 8);
      return { t: u, x: step(abar, point.x, point.eps, point.t, u) };
    });
  const until = points.filter(point => point.t <= tSec);
  const far = until[until.length - 1];
  return {
    until,
    far,
    near: until[until.length - 2],
    out: until.slice(0, -1).flatMap(point => way(point, point.t + k)),
    back: way(far, tSec - k),
  };
}

/* Shade a canvas by shares from 0 to 1, row after row, in its own colour. */
function shade(canvas, columns, rows, shares) {
  Object.assign(canvas, { width: columns, height: rows });
  const brush = canvas.getContext('2d', { willReadFrequently: true });
  brush.fillStyle = getComputedStyle(canvas).color;
  brush.fillRect(0, 0, 1, 1);
  const [red, green, blue] = brush.getImageData(0, 0, 1, 1).data;
  const image = brush.createImageData(columns, rows);
  for (let i = 0; i < shares.length; i++) image.data.set([red, green, blue, 150 * shares[i] ** 0.7], 4 * i);
  brush.putImageData(image, 0, 0);
}

/* Shares of the greatest value. */
function shares(values) {
  const top = values.reduce((most, one) => Math.max(most, one), 0);
  return values.map(one => one / top);
}

function lay(canvas, { left, top, right, bottom }) {
  Object.assign(canvas.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${right - left}px`,
    height: `${bottom - top}px`,
  });
}

/* Errors at every T_SEC as columns over the steps they measure; `parts` names the style of each axis. */
function drawErrors(box, found, tSec, k, timesteps, parts) {
  const on = frame(box, 128, 44, 24, 12, 18);
  const sums = found.map(one => one.parts.reduce((sum, part) => sum + part, 0));
  const most = Math.max(...sums);
  const [x, y] = [along(on, 0, timesteps - 1), upwards(on, 0, most)];
  const columns = found.map((one, i) => {
    const wide = x(one.tSec) - x(one.tSec - k);
    const gap = Math.min(2, wide / 4);
    let below = 0;
    const rects = [...one.parts].map((part, axis) => {
      const [high, low] = [y(below + part), y(below)];
      below += part;
      return `<rect x="${(x(one.tSec) - wide + gap / 2).toFixed(1)}" y="${high.toFixed(1)}" width="${(wide - gap).toFixed(1)}" height="${(low - high).toFixed(1)}" class="${parts[axis]}"/>`;
    });
    const label =
      one.tSec === tSec
        ? words(
            Math.min(Math.max(x(tSec) - wide / 2, on.left + 16), on.right - 20),
            y(sums[i]) - 5,
            digits(sums[i]),
            'world-strong',
          )
        : '';
    const hit = `<rect x="${(x(one.tSec) - wide).toFixed(1)}" y="0" width="${wide.toFixed(1)}" height="${on.height}" class="world-hit" data-t="${one.tSec}"/>`;
    return `<g class="${one.tSec === tSec ? 'world-on' : 'world-off'}">${rects.join('')}${label}</g>${hit}`;
  });
  const ends =
    words(on.left - 5, on.top + 4, digits(most), '', 'end') + words(on.left - 5, on.bottom + 1, '0', '', 'end');
  on.svg.innerHTML = `${line(on.left, on.bottom, on.right, on.bottom, 'world-axis')}${ends}${ticks(on, x, timesteps, 'T_SEC')}${columns.join('')}`;
  on.svg.setAttribute(
    'aria-label',
    `t-error by T_SEC: ${found.map((one, i) => `${one.tSec}: ${digits(sums[i])}`).join(', ')}`,
  );
}

/* Timesteps under a drawing, and the axis's name before the last one; `short` is the name where there is little room. */
function ticks(on, x, timesteps, name, short = name) {
  const last = timesteps - 1;
  const quarters = narrow(on.width) ? [0, 0.5] : [0, 0.25, 0.5, 0.75];
  const marks = quarters.map(share => words(x(share * timesteps), on.bottom + 16, share * timesteps));
  const [share, said] = narrow(on.width) ? [0.72, short] : [0.86, name];
  return `${marks.join('')}${words(x(share * last), on.bottom + 16, said, 'world-name')}${words(x(last), on.bottom + 16, last, '', 'end')}`;
}

/* Errors of both crowds at one T_SEC, on an axis that only the real ones decide. */
function drawCrowds(box, real, generated) {
  const on = frame(box, 170, 12, 38, 12, 8);
  const sorted = Float64Array.from(real).sort();
  const [low, high] = [sorted[Math.floor(sorted.length / 50)] / 2.5, sorted[Math.ceil(sorted.length * 0.98) - 1] * 2.5];
  const count = Math.min(28, Math.floor(on.width / 11));
  const both = [real, generated].map(values => bins(values, low, high, count));
  const most = Math.max(...both.flat());
  const [x, y] = [along(on, 0, count), upwards(on, 0, most)];
  const hills = both.map((found, i) => {
    const steps = found.flatMap((share, bin) => [
      [x(bin), y(share)],
      [x(bin + 1), y(share)],
    ]);
    return `<path d="${polyline([[on.left, on.bottom], ...steps, [on.right, on.bottom]])}Z" class="world-area ${i ? 'world-generated' : 'world-real'}"/>`;
  });
  const middle = Math.sqrt(low * high);
  const marks = [low, middle, high].map((value, i) =>
    words(x((i * count) / 2), on.bottom + 15, digits(value), '', ['start', 'middle', 'end'][i]),
  );
  on.svg.innerHTML =
    hills.join('') +
    line(on.left, on.bottom, on.right, on.bottom, 'world-axis') +
    marks.join('') +
    words((on.left + on.right) / 2, on.bottom + 31, 't-error, logarithmic', 'world-name');
}

/* The AUC by T_SEC. */
function drawAucs(box, values, tSec, k, timesteps) {
  const on = frame(box, 170, 28, 38, 12, 8);
  const [x, y] = [along(on, 0, timesteps - 1), upwards(on, 0, 1)];
  const at = i => [x((i + 1) * k), y(values[i])];
  const now = tSec / k - 1;
  const dots = values.map((_, i) =>
    dot(...at(i), i === now ? 5.5 : k < 80 ? 1.6 : 3, i === now ? 'world-now' : 'world-spot'),
  );
  const sides =
    words(on.right, on.top + 11, 'smaller means generated', 'world-name', 'end') +
    words(on.right, on.bottom - 6, 'larger means generated', 'world-name', 'end');
  const scale = [0, 0.5, 1].map(one => words(on.left - 5, y(one) + 4, one, '', 'end')).join('');
  const hits = values.map(
    (_, i) =>
      `<rect x="${(x((i + 0.5) * k)).toFixed(1)}" y="0" width="${(x(k) - x(0)).toFixed(1)}" height="${on.height}" class="world-hit" data-t="${(i + 1) * k}"/>`,
  );
  on.svg.innerHTML = `${line(on.left, y(0.5), on.right, y(0.5), 'world-half')}${line(on.left, on.bottom, on.right, on.bottom, 'world-axis')}${sides}${scale}<path d="${polyline(values.map((_, i) => at(i)))}" class="world-line"/>${dots.join('')}${[0, timesteps / 2, timesteps - 1].map((t, i) => words(x(t), on.bottom + 15, t, '', ['middle', 'middle', 'end'][i])).join('')}${words(x(timesteps / 2), on.bottom + 31, 'T_SEC', 'world-name')}${hits.join('')}`;
  on.svg.setAttribute(
    'aria-label',
    `AUC by T_SEC: ${values.map((one, i) => `${(i + 1) * k}: ${one.toFixed(2)}`).join(', ')}`,
  );
}

/* Fill the world that stands in an element, if there is one, and let it be moved; one that stood there before ends. */
export function openWorld(element) {
  const signal = listening('sedidWorld');
  const root = element.querySelector('.world');
  if (!root) return;
  const own = root.closest('.learn').dataset.place;
  const abar = schedule();
  const timesteps = abar.length;
  const listen = (one, type, handler) => one.addEventListener(type, handler, { signal, passive: false });
  const find = name => root.querySelector(`[data-world="${name}"]`);
  const slider = name => root.querySelector(`input[name="world-${name}"]`);
  const value = name => Number(slider(name).value);
  const draw = { point: drawPoint, crowds: drawTwoCrowds, scales: drawScales };
  const drawn = { 1: draws(16 * PICTURES, 1), 2: draws(16 * PICTURES, 2) };
  const kept = new Map(); // errors of crowds, which most moves leave as they are
  const rooms = new Map(); // where the axes of a drawing with a handle stand
  const at = { level: 1.2, coarse: 3, fine: 0.5 };
  let wanted = Number(new URL(location).searchParams.get('t')) || 330;
  let playing = null;
  let queued = 0;
  let telling = 0;

  const part = () => root.querySelector('input[name="world-part"]:checked').value;
  const k = () => value('k');
  const tSec = () => value('t');

  function drawPoint() {
    const data = hills(value('apart'), value('spread'));
    const points = walk(data, abar, Float64Array.of(at.level), k(), timesteps - 1);
    const found = errors(abar, points);
    const { until, far, near, out, back } = routes(abar, points, tSec(), k());
    const box = find('path');
    const under = narrow(box.clientWidth) ? LENS.height + 12 : 0; // there the glass would cover the drawing
    const on = frame(box, (box.clientWidth < 460 ? 250 : 310) + under, 44, 24 + under);
    const [x, y] = [along(on, 0, timesteps - 1), upwards(on, -REACH.level, REACH.level)];
    const canvas = box.querySelector('canvas');
    const [columns, rows] = [Math.ceil((on.right - on.left) / 3), 90];
    const levels = Float64Array.from({ length: rows }, (_, row) => REACH.level * (1 - (2 * row + 1) / rows));
    const shades = new Float64Array(columns * rows);
    for (let column = 0; column < columns; column++) {
      const heights = shares(density(data, abar, levels, Math.round((column / (columns - 1)) * (timesteps - 1))));
      for (let row = 0; row < rows; row++) shades[row * columns + column] = heights[row];
    }
    lay(canvas, on);
    shade(canvas, columns, rows, shades);
    const mark = ({ t, x: [one] }) => [x(t), y(one)];
    const landed = back[back.length - 1];
    const miss = Math.abs(landed.x[0] - near.x[0]);
    on.svg.querySelector('.world-live').innerHTML =
      [-6, -3, 0, 3, 6].map(one => words(on.left - 6, y(one) + 4, one, '', 'end')).join('') +
      ticks(on, x, timesteps, 'timestep t', 't') +
      line(x(tSec()), on.top, x(tSec()), on.bottom, 'world-rule') +
      `<path d="${polyline(out.map(mark))}" class="world-way"/><path d="${polyline(back.map(mark))}" class="world-back"/>` +
      until
        .slice(1)
        .map(point => dot(...mark(point), point === far ? 5 : k() < 80 ? 2 : 3.2, 'world-stop'))
        .join('') +
      dot(...mark(landed), 4.5, 'world-landed') +
      lens(
        under ? [(on.left + on.right - LENS.width) / 2, on.bottom + 28] : [on.right - LENS.width - 6, on.top + 6],
        near.x[0] - landed.x[0],
        y(0) - y(1),
      );
    hold(on, box, x(0), y(at.level), [at.level], `x = ${at.level.toFixed(2)}`);
    drawErrors(find('errors'), found, tSec(), k(), timesteps, ['world-bar']);
    const error = found[tSec() / k() - 1].parts[0];
    tell(
      `From x = <b>${at.level.toFixed(2)}</b> the path leads to ${digits(near.x[0])} at t = ${near.t} and ${digits(far.x[0])} at t = ${far.t}. ` +
        `One step back lands at ${digits(landed.x[0])}: a miss of ${digits(miss)}, so the t-error is ${digits(miss)}² = <b>${digits(error)}</b>.`,
    );
  }

  /* The miss under a magnifying glass: where the path was, and where the step back lands. */
  function lens([left, top], gap, unit) {
    const factor = magnified(Math.min(40 / Math.max(Math.abs(gap) * unit, 1e-9), 1e6));
    const half = (gap * unit * factor) / 2;
    const middle = top + 44;
    const [one, two] = [middle - half, middle + half];
    return (
      `<rect x="${left}" y="${top}" width="${LENS.width}" height="${LENS.height}" rx="8" class="world-lens"/>` +
      words(
        left + LENS.width / 2,
        top + 15,
        factor > 1 ? `the miss, ${factor.toLocaleString('en')} times` : 'the miss',
        'world-name',
      ) +
      line(left + 14, one, left + 56, one, 'world-way') +
      line(left + 14, two, left + 56, two, 'world-back') +
      line(left + 35, one, left + 35, two, 'world-gap') +
      words(left + 62, one + (one < two ? 0 : 8), 'path', '', 'start') +
      words(left + 62, two + (one < two ? 8 : 0), 'back', '', 'start')
    );
  }

  /* Errors of a crowd from `from`, computed once as long as it is the same. */
  function errorsOf(data, from, axes, numbers) {
    const key = JSON.stringify([data, from, numbers, k()]);
    if (!kept.has(key)) {
      if (kept.size > 3) kept.clear();
      kept.set(key, crowd(data, abar, from, drawn[axes].slice(0, numbers * PICTURES), numbers, k()));
    }
    return kept.get(key);
  }

  function compare(where, data, from, axes, numbers) {
    const [real, generated] = [data, from].map(one => errorsOf(data, one, axes, numbers));
    const values = real.map((one, i) => auc(one, generated[i]));
    const now = tSec() / k() - 1;
    drawCrowds(find(`${where}-histogram`), real[now], generated[now]);
    drawAucs(find(`${where}-auc`), values, tSec(), k(), timesteps);
    return values[now];
  }

  function drawTwoCrowds() {
    const [apart, spread, ratio, numbers] = ['apart-2', 'spread-2', 'ratio', 'numbers'].map(value);
    const [data, from] = [hills(apart, spread), hills(apart, spread * ratio)];
    const box = find('densities');
    const on = frame(box, 96, 12, 20, 12, 6);
    const levels = Float64Array.from({ length: 161 }, (_, i) => (i / 80 - 1) * REACH.level * 1.5);
    const both = [data, from].map(one => density(one, abar, levels, 0));
    const most = both.reduce((top, one) => Math.max(top, ...one), 0);
    const [x, y] = [along(on, levels[0], levels[160]), upwards(on, 0, most)];
    const curves = both.map(
      (one, i) =>
        `<path d="${polyline([[on.left, on.bottom], ...Array.from(one, (height, j) => [x(levels[j]), y(height)]), [on.right, on.bottom]])}Z" class="world-area ${i ? 'world-generated' : 'world-real'}"/>`,
    );
    on.svg.innerHTML =
      curves.join('') +
      line(on.left, on.bottom, on.right, on.bottom, 'world-axis') +
      [-6, -3, 0, 3, 6].map(one => words(x(one), on.bottom + 15, one)).join('');
    const found = compare('crowds', data, from, 1, 2 ** numbers);
    tell(
      `Generated pictures have ${ratio === 1 ? 'the same spread' : `${digits(ratio)} times the spread`}. ${verdict(found, tSec())}`,
    );
  }

  function drawScales() {
    const [coarse, fine, numbers] = ['coarse', 'fine', 'numbers-2'].map(value);
    const [data, from] = [scales(1, 1), scales(coarse, fine)];
    const box = find('plane');
    const on = frame(box, 250, 30, 38, 12, 8);
    const [x, y] = [along(on, -REACH.coarse, REACH.coarse), upwards(on, -REACH.fine, REACH.fine)];
    const canvas = box.querySelector('canvas');
    const [columns, rows] = [96, 72];
    const grid = new Float64Array(2 * columns * rows);
    for (let i = 0; i < columns * rows; i++) {
      grid[2 * i] = REACH.coarse * ((2 * (i % columns) + 1) / columns - 1);
      grid[2 * i + 1] = REACH.fine * (1 - (2 * Math.floor(i / columns) + 1) / rows);
    }
    lay(canvas, on);
    shade(canvas, columns, rows, shares(density(data, abar, grid, 0)));
    const points = walk(data, abar, Float64Array.of(at.coarse, at.fine), k(), timesteps - 1);
    const found = errors(abar, points);
    const { until, far, out, back } = routes(abar, points, tSec(), k());
    const mark = ({ x: [one, two] }) => [x(one), y(two)];
    const inside = ([one, two]) => Math.abs(one) < REACH.coarse && Math.abs(two) < REACH.fine;
    const crowded = (mixture, style) => {
      const seen = drawn[2].slice(0, 120).map(draw => place(mixture, draw));
      return seen
        .filter(inside)
        .map(([one, two]) => dot(x(one), y(two), 2, style))
        .join('');
    };
    on.svg.querySelector('.world-live').innerHTML =
      crowded(data, 'world-one-real') +
      crowded(from, 'world-one-generated') +
      [-6, -3, 0, 3, 6].map(one => words(x(one), on.bottom + 15, one)).join('') +
      [-2, -1, 0, 1, 2].map(one => words(on.left - 6, y(one) + 4, one, '', 'end')).join('') +
      words((on.left + on.right) / 2, on.bottom + 31, 'coarse, like the contrast of a picture', 'world-name') +
      `<path d="${polyline(out.map(mark))}" class="world-way"/><path d="${polyline(back.map(mark))}" class="world-back"/>` +
      until
        .slice(1)
        .map(point => dot(...mark(point), point === far ? 5 : 2.5, 'world-stop'))
        .join('') +
      dot(...mark(back[back.length - 1]), 4.5, 'world-landed');
    hold(
      on,
      box,
      x(at.coarse),
      y(at.fine),
      [at.coarse, at.fine],
      `coarse ${at.coarse.toFixed(1)}, fine ${at.fine.toFixed(2)}`,
    );
    drawErrors(find('parts'), found, tSec(), k(), timesteps, ['world-coarse', 'world-fine']);
    const [one, two] = found[tSec() / k() - 1].parts;
    const chance = compare('scales', data, from, 2, 2 ** numbers);
    tell(
      `At T_SEC ${tSec()}, ${Math.round((100 * two) / (one + two))} % of this point's error is of the fine axis. ${verdict(chance, tSec())}`,
    );
  }

  /* Put a handle where its point is. */
  function hold(on, box, x, y, now, said) {
    rooms.set(box, on);
    const handle = box.querySelector('.world-handle');
    handle.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    handle.setAttribute('aria-valuenow', now[0].toFixed(2));
    handle.setAttribute('aria-valuetext', said);
  }

  /* What the drawing says, in words; read aloud once things rest. */
  function tell(said) {
    const reading = root.querySelector(`[data-part="${part()}"] .world-reading`);
    reading.innerHTML = said;
    clearTimeout(telling);
    telling = setTimeout(() => {
      find('status').textContent = reading.textContent;
    }, 700);
  }

  function redraw() {
    queued = 0;
    if (signal.aborted || !root.clientWidth) return;
    const tick = slider('t');
    Object.assign(tick, { min: k(), max: Math.floor((timesteps - 1) / k()) * k(), step: k() });
    tick.value = nearest(wanted, k(), timesteps);
    for (const input of root.querySelectorAll('input[type=range]')) {
      const shown = {
        t: one => `${one}`,
        numbers: one => 2 ** one,
        'numbers-2': one => 2 ** one,
        ratio: one => `× ${one}`,
        coarse: one => `× ${one}`,
        fine: one => `× ${one}`,
      }[input.name.slice(6)];
      const text = String(shown ? shown(Number(input.value)) : input.value);
      input.closest('label').querySelector('output').textContent = text;
      input.setAttribute('aria-valuetext', text);
    }
    for (const section of root.querySelectorAll('section[data-part]')) section.hidden = section.dataset.part !== part();
    draw[part()]();
  }

  function soon() {
    if (!queued) queued = requestAnimationFrame(redraw);
  }

  function remember() {
    const step = new URL(location).searchParams.get('step') ?? own;
    if (step !== own || root.offsetParent === null) return; // the visitor is on the way to another place
    put(changed(location, { t: tSec(), part: part() === 'point' ? null : part() }));
  }

  function stop() {
    if (playing === null) return;
    clearInterval(playing);
    playing = null;
    face(false);
    remember();
  }

  function face(on) {
    const button = find('play');
    button.setAttribute('aria-label', on ? 'Pause' : 'Play');
    button.firstChild.textContent = on ? '❚❚' : '▶';
  }

  function play() {
    if (playing !== null) {
      stop();
      return;
    }
    const last = () => Number(slider('t').max);
    if (tSec() >= last()) {
      wanted = k();
      soon();
    }
    face(true);
    playing = setInterval(
      () => {
        if (root.offsetParent === null || tSec() >= last()) stop();
        else {
          wanted = tSec() + k();
          redraw();
        }
      },
      Math.min(600, Math.max(120, 3.6 * k())),
    );
  }

  listen(root, 'input', ({ target }) => {
    if (target.name === 'world-t') {
      stop();
      wanted = Number(target.value);
    }
    soon();
  });
  listen(root, 'change', remember);
  listen(root, 'click', event => {
    const hit = event.target.closest('.world-hit');
    if (event.target.closest('[data-world="play"]')) play();
    else if (hit) {
      stop();
      wanted = Number(hit.dataset.t);
      redraw();
      remember();
    }
  });

  /* A point that is dragged, clicked to, or moved by the arrow keys. `axes` are [name in `at`, step of a key]. */
  function movable(name, ...axes) {
    const box = find(name);
    const svg = box.querySelector('svg');
    const handle = box.querySelector('.world-handle');
    const set = (axis, to) => {
      at[axis] = Math.min(REACH[axis], Math.max(-REACH[axis], to));
      soon();
    };
    const follow = event => {
      const [seen, on] = [svg.getBoundingClientRect(), rooms.get(box)];
      const share = {
        across: (event.clientX - seen.left - on.left) / (on.right - on.left),
        up: (on.bottom - (event.clientY - seen.top)) / (on.bottom - on.top),
      };
      const [first, second] = axes;
      if (second) set(first[0], (2 * share.across - 1) * REACH[first[0]]);
      const upright = (second ?? first)[0];
      set(upright, (2 * share.up - 1) * REACH[upright]);
    };
    let held = false;
    listen(svg, 'pointerdown', event => {
      // A finger beside the point scrolls the page.
      if (event.button || (event.pointerType === 'touch' && !event.target.closest('.world-handle'))) return;
      event.preventDefault();
      handle.focus({ preventScroll: true });
      svg.setPointerCapture(event.pointerId);
      held = true;
      follow(event);
    });
    listen(handle, 'touchstart', event => event.preventDefault()); // the page stays where it is
    listen(svg, 'pointermove', event => held && follow(event));
    for (const end of ['pointerup', 'pointercancel'])
      listen(svg, end, () => {
        held = false;
      });
    listen(svg, 'click', event => event.pointerType === 'touch' && follow(event));
    listen(handle, 'keydown', event => {
      const [first, second = first] = axes;
      const moves = {
        ArrowRight: [first, 1],
        ArrowLeft: [first, -1],
        ArrowUp: [second, 1],
        ArrowDown: [second, -1],
        PageUp: [second, 10],
        PageDown: [second, -10],
      };
      const ends = { Home: -1, End: 1 };
      const move = moves[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey || !(move || event.key in ends)) return;
      event.preventDefault();
      event.stopPropagation(); // elsewhere in the lesson the arrow keys turn the page
      if (move) set(move[0][0], at[move[0][0]] + move[1] * move[0][1]);
      else set(second[0], ends[event.key] * REACH[second[0]]);
    });
  }

  movable('path', ['level', 0.1]);
  movable('plane', ['coarse', 0.2], ['fine', 0.05]);
  const asked = root.querySelector(
    `input[name="world-part"][value="${CSS.escape(new URL(location).searchParams.get('part') ?? '')}"]`,
  );
  if (asked) asked.checked = true;
  // The width decides how it is drawn; so does the theme, for the shading.
  const size = new ResizeObserver(soon);
  size.observe(root);
  const theme = new MutationObserver(soon);
  theme.observe(document.body, { attributeFilter: ['class'] });
  signal.addEventListener('abort', () => {
    size.disconnect();
    theme.disconnect();
    clearInterval(playing);
    clearTimeout(telling);
  });
}
