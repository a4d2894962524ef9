/* A world in closed form: data from a mixture of Gaussians, for which the best answer to "which noise was added?" is a
   formula. What `sedid.method.diffusion` computes with a network, computed with that formula; tests compare the two.

   Pure functions on numbers in double precision; nothing here knows a page. A mixture is a list of {weight, mean,
   variance}, mean and variance arrays with one number for each axis; `abar` is the noise schedule, alpha_bar of every
   timestep. Errors are squares of what is drawn: four times those of images, which count from 0 to 1. */

/* alpha_bar of the DDPM schedule: beta rises linearly. */
export function schedule(timesteps = 1000, first = 1e-4, last = 0.02) {
  let product = 1;
  return Array.from({ length: timesteps }, (_, t) => {
    product *= 1 - (first + ((last - first) * t) / (timesteps - 1));
    return product;
  });
}

/* What noise makes of a mixture: means sqrt(a) m and variances a v + 1 - a, with the logarithm of each part's height. */
function noised(mixture, a) {
  return mixture.map(({ weight, mean, variance }) => {
    const spread = variance.map(one => a * one + 1 - a);
    const height = spread.reduce((sum, one) => sum - Math.log(2 * Math.PI * one) / 2, Math.log(weight));
    return { mean: mean.map(one => Math.sqrt(a) * one), spread, height };
  });
}

/* The logarithm of a part's density at the point that begins at x[at]. */
function log({ mean, spread, height }, x, at) {
  let sum = height;
  for (let i = 0; i < mean.length; i++) sum -= (x[at + i] - mean[i]) ** 2 / spread[i] / 2;
  return sum;
}

/* The noised density p_t at each of the points x, which lie in one array, axis after axis. */
export function density(mixture, abar, x, t) {
  const parts = noised(mixture, abar[t]);
  const axes = parts[0].mean.length;
  return Float64Array.from({ length: x.length / axes }, (_, i) =>
    parts.reduce((sum, part) => sum + Math.exp(log(part, x, i * axes)), 0),
  );
}

/* The noise that the best network sees in the points x at timestep t: -sqrt(1 - abar_t) times the gradient of log p_t. */
export function eps(mixture, abar, x, t) {
  const parts = noised(mixture, abar[t]);
  const axes = parts[0].mean.length;
  const root = Math.sqrt(1 - abar[t]);
  const shares = new Float64Array(parts.length);
  const seen = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += axes) {
    let top = -Infinity;
    for (let j = 0; j < parts.length; j++) {
      shares[j] = log(parts[j], x, at);
      top = Math.max(top, shares[j]);
    }
    let whole = 0;
    for (let j = 0; j < parts.length; j++) {
      shares[j] = Math.exp(shares[j] - top);
      whole += shares[j];
    }
    for (let j = 0; j < parts.length; j++)
      for (let i = 0; i < axes; i++)
        seen[at + i] += ((root * shares[j]) / whole) * ((x[at + i] - parts[j].mean[i]) / parts[j].spread[i]);
  }
  return seen;
}

/* x moved from timestep t to u along the noise seen: phi if u > t, psi if u < t. */
export function step(abar, x, seen, t, u) {
  const ratio = Math.sqrt(abar[u] / abar[t]);
  const along = Math.sqrt(1 - abar[u]) - ratio * Math.sqrt(1 - abar[t]);
  return seen.map((one, i) => ratio * x[i] + along * one); // as the noise seen, an array of doubles
}

/* The reverse path of the points x from the data at timestep 0: {t, x, eps} at 0, k, 2k, ... up to `end`. */
export function walk(mixture, abar, x, k, end) {
  const points = [{ t: 0, x, eps: eps(mixture, abar, x, 0) }];
  for (let t = k; t <= end; t += k) {
    const near = points[points.length - 1];
    const moved = step(abar, near.x, near.eps, near.t, t);
    points.push({ t, x: moved, eps: eps(mixture, abar, moved, t) });
  }
  return points;
}

/* The t-errors of a walk at k, 2k, ...: {tSec, back, parts}: where the step back lands, and the squared miss along each
   axis. The squares are c^2 (eps_s - eps_t)^2, which is exact where the miss is tiny. */
export function errors(abar, points) {
  return points.slice(1).map((far, i) => {
    const near = points[i];
    const c = Math.sqrt(1 - abar[near.t]) - Math.sqrt(abar[near.t] / abar[far.t]) * Math.sqrt(1 - abar[far.t]);
    const parts = far.eps.map((one, at) => (c * (one - near.eps[at])) ** 2);
    return { tSec: far.t, back: step(abar, far.x, far.eps, far.t, near.t), parts };
  });
}

/* Numbers in [0, 1) that are the same on every visit (Marsaglia's xorshift on 32 bits). */
function dice(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/* What a crowd is drawn with: `count` draws {share, normal}, a number in [0, 1) that picks the part and a standard
   normal number for each axis. */
export function draws(count, axes, seed = 2463534242) {
  const next = dice(seed);
  return Array.from({ length: count }, () => ({
    share: next(),
    normal: Array.from({ length: axes }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())),
  }));
}

/* The point of a mixture that a draw picks. */
export function place(mixture, { share, normal }) {
  let part = 0;
  for (let sum = mixture[0].weight; share >= sum && part < mixture.length - 1; sum += mixture[part].weight) part++;
  const { mean, variance } = mixture[part];
  return normal.map((one, i) => mean[i] + Math.sqrt(variance[i]) * one);
}

/* The t-errors of pictures at k, 2k, ...: for each a list of one number a picture. A picture is `numbers` points of the
   mixture `from`, each drawn by itself, so their errors add up; `mixture` is the one that the formula knows. */
export function crowd(mixture, abar, from, drawn, numbers, k) {
  const x = Float64Array.from(drawn.flatMap(draw => place(from, draw)));
  const pictures = drawn.length / numbers;
  const size = x.length / pictures;
  return errors(abar, walk(mixture, abar, x, k, abar.length - 1)).map(({ parts }) => {
    const sums = new Float64Array(pictures);
    for (let i = 0; i < parts.length; i++) sums[Math.floor(i / size)] += parts[i];
    return sums;
  });
}

/* The share of pairs in which the generated one is smaller, equal ones count half: the AUC if smaller means generated. */
export function auc(real, generated) {
  const sorted = Float64Array.from(real).sort();
  const below = (value, equal) => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (equal ? sorted[middle] <= value : sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const above = generated.reduce((sum, one) => sum + sorted.length - (below(one, true) + below(one, false)) / 2, 0);
  return above / (sorted.length * generated.length);
}
