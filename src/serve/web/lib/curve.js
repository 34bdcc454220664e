// What a chart computes from the points of its lines. Pure: knows nothing of the page.

import { toNumber } from "./format.js";

/**
 * @typedef {object} Line
 * @property {string} name
 * @property {number} color  position in the palette, from 0
 * @property {number[]} x  sorted
 * @property {(number | string)[]} y  as JSON holds them: `"NaN"` and infinities are texts
 * @property {number} total  number of points that the line stands for
 * @property {boolean} [isDecimated]
 * @property {{low: number[], high: number[]}} [band]  around the line, at the same places
 * @property {[number, number][]} [odd]  places and values that are not finite, beside those in `y`
 */

/**
 * @typedef {object} Curve  a line as it is drawn
 * @property {Line} line
 * @property {number[]} x
 * @property {(number | null)[]} raw  `null` for what is not finite
 * @property {(number | null)[]} y  smoothed
 * @property {{low: number[], high: number[]} | null} band  smoothed
 * @property {[number, number][]} odd  places and values that are not finite
 */

/**
 * Prepares a line once for drawing.
 *
 * @param {Line} line
 * @param {number} smoothing  from 0, none, to below 1
 * @returns {Curve}
 */
export function curve(line, smoothing) {
  const odd = [...line.odd ?? []];
  const raw = line.y.map((value, i) => {
    const number = toNumber(value);
    if (Number.isFinite(number)) return number;
    if (number !== null) odd.push([line.x[i], number]);
    return null;
  });
  const band = line.band
    ? { low: smooth(line.band.low, smoothing), high: smooth(line.band.high, smoothing) } : null;
  return { line, x: line.x, raw, y: smooth(raw, smoothing), band, odd };
}

/**
 * Returns the mean of lines, with a band from their lowest to their highest value, at all places of
 * their points. Between two points a line is straight, and beyond its ends it does not count.
 *
 * @param {Line[]} lines
 * @returns {Pick<Line, "x" | "y" | "total" | "isDecimated" | "band" | "odd">}
 */
export function meanLine(lines) {
  const curves = lines.map((line) => curve(line, 0));
  const x = [...new Set(curves.flatMap((one) => one.x.filter((_, i) => one.raw[i] !== null)))]
    .sort((a, b) => a - b);
  const walks = curves.map(walk);
  const [y, low, high] = [[], [], []];
  for (const place of x) {
    const values = walks.map((valueAt) => valueAt(place)).filter((value) => value !== null);
    y.push(values.reduce((sum, value) => sum + value, 0) / values.length);
    low.push(Math.min(...values));
    high.push(Math.max(...values));
  }
  return {
    x, y, band: { low, high }, odd: curves.flatMap((one) => one.odd),
    total: lines.reduce((sum, line) => sum + line.total, 0),
    isDecimated: lines.some((line) => line.isDecimated),
  };
}

/** Returns a function of the value of a curve at places that rise from call to call. */
function walk({ x, raw }) {
  const points = x.map((place, i) => [place, raw[i]]).filter(([, value]) => value !== null);
  let i = 0;
  return (place) => {
    while (i < points.length - 1 && points[i + 1][0] <= place) i += 1;
    if (points.length === 0 || place < points[0][0] || place > points.at(-1)[0]) return null;
    const [from, value] = points[i];
    if (from === place) return value;
    const [to, next] = points[i + 1];
    return value + ((next - value) * (place - from)) / (to - from);
  };
}

/**
 * Smooths values by an exponential moving average that does not favour the first value.
 *
 * @param {(number | null)[]} values
 * @param {number} weight
 */
export function smooth(values, weight) {
  if (weight <= 0) return values;
  let [sum, total] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/**
 * Returns the place of the point nearest to `x`, -1 if there is none.
 *
 * @param {number[]} places  sorted
 * @param {number} x
 */
export function nearest(places, x) {
  let [low, high] = [0, places.length - 1];
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - places[low - 1] <= places[low] - x ? low - 1 : low;
}

/**
 * Returns the horizontal extent of curves.
 *
 * @param {Curve[]} curves
 * @returns {[number, number]}
 */
export function xExtent(curves) {
  let [low, high] = [Infinity, -Infinity];
  for (const { x } of curves) {
    if (x.length === 0) continue;
    low = Math.min(low, x[0]);
    high = Math.max(high, x.at(-1));
  }
  if (low > high) return [0, 1];
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

/** Share of the values on either side that outliers may be. */
const TAIL = 0.01;
/** Number of times that all values must be wider than the usual ones, to be clipped. */
const SQUASHED = 4;

/**
 * Returns the vertical range of curves between two places.
 *
 * @param {Curve[]} curves
 * @param {[number, number]} between
 * @param {{isLog: boolean, isClipped: boolean}} options
 * @returns {{range: [number, number], full: [number, number] | null, canClip: boolean}}
 *   `full` holds the lowest and the highest value; `canClip` if outliers squash the others
 */
export function yRange(curves, [from, to], { isLog, isClipped }) {
  const values = [];
  for (const { x, y, raw, band } of curves) {
    for (let i = 0; i < x.length; i += 1) {
      if (x[i] < from || x[i] > to || y[i] === null) continue;
      values.push(y[i]);
      if (raw !== y) values.push(raw[i]);
      if (band) values.push(band.low[i], band.high[i]);
    }
  }
  if (values.length === 0) return { range: isLog ? [0.1, 1] : [0, 1], full: null, canClip: false };
  const shown = isLog ? values.filter((value) => value > 0).map(Math.log10) : values;
  shown.sort((a, b) => a - b);
  const at = (share) => shown[Math.round(share * (shown.length - 1))];
  const [low, high] = [at(0), at(1)];
  const margin = (at(1 - TAIL) - at(TAIL)) * 0.5;
  const usual = [Math.max(low, at(TAIL) - margin), Math.min(high, at(1 - TAIL) + margin)];
  const canClip = shown.length >= 20 && usual[1] > usual[0]
    && high - low > SQUASHED * (usual[1] - usual[0]);
  const [bottom, top] = padded(canClip && isClipped ? usual : [low, high], isLog);
  const range = isLog ? [10 ** bottom, 10 ** top] : [bottom, top];
  const full = isLog ? [10 ** low, 10 ** high] : [low, high];
  return { range, full, canClip };
}

function padded([low, high], isLog) {
  const margin = (high - low) * 0.06 || (isLog ? 0.05 : Math.abs(high) * 0.1 || 0.5);
  return [low - margin, high + margin];
}

/** Greatest number of ticks on a vertical axis. */
const MOST_TICKS = 8;

/**
 * Returns the places of ticks on a logarithmic axis, whose ends are any positive numbers: the
 * finest of all digits, 1-2-5 and whole decades for which there is room. An axis of less than a
 * few digits has the ticks of a linear one.
 *
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
export function logTicks(low, high) {
  const from = Math.max(-323, Math.floor(Math.log10(low)));
  const to = Math.min(308, Math.ceil(Math.log10(high)));
  const every = Math.max(1, Math.ceil((to - from) / (MOST_TICKS - 1)));
  const ticks = (digits) => {
    const all = [];
    for (let power = from; power <= to; power += every) {
      for (const digit of digits) all.push(Number(`${digit}e${power}`));
    }
    return all.filter((tick) => tick >= low && tick <= high);
  };
  const found = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1]].map(ticks)
    .find((some) => some.length <= MOST_TICKS) ?? [];
  return found.length >= 3 ? found : linearTicks(low, high);
}

function linearTicks(low, high) {
  const least = (high - low) / (MOST_TICKS - 2);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].find((digit) => digit * power >= least) * power;
  const first = Math.ceil(low / step);
  const length = Math.max(0, Math.floor(high / step) - first + 1);
  return Array.from({ length }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Reports whether all finite values of curves are positive, as a logarithmic axis needs. */
export const isPositive = (curves) => curves.some(({ raw }) => raw.some((value) => value !== null))
  && curves.every(({ raw, band }) =>
    [...raw, ...band?.low ?? []].every((value) => value === null || value > 0));

/** Reports whether a name stands for a loss, which is shown on a logarithmic axis. */
export const isLoss = (name) => /loss|perplexity/i.test(name.split(/[./]/).at(-1) ?? "");

/**
 * Returns the last, the lowest and the highest value of a curve with their places; the last may
 * not be finite.
 *
 * @param {Curve} curve
 */
export function summary({ line, x, raw, odd }) {
  const last = x.length > 0 ? { x: x.at(-1), value: toNumber(line.y.at(-1)) } : null;
  let [low, high] = [null, null];
  raw.forEach((value, i) => {
    if (value === null) return;
    if (low === null || value < low.value) low = { x: x[i], value };
    if (high === null || value > high.value) high = { x: x[i], value };
  });
  return { last, low, high, odd: odd.length };
}
