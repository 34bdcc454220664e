// The drawing of curves, by uPlot, which is loaded when the first chart needs it. Each curve has
// its own places, so the plots use uPlot's second mode.

import { logTicks, nearest } from "./curve.js";
import { h, token } from "./dom.js";
import { duration, number, time } from "./format.js";

const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
const COLORS = 10;
/** Opacity of a band. */
export const BAND = 0.18;
const FONT = "11px system-ui, sans-serif";
/** Distances of ticks on an axis of durations, in milliseconds. */
const SPANS = [1, 5, 10, 50, 100, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5,
  18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];

/** @typedef {"step" | "time" | "relative" | "value"} Axis */

/**
 * @typedef {object} View
 * @property {[number, number]} x
 * @property {[number, number]} y
 * @property {boolean} isLog
 * @property {Axis} axis
 * @property {"line" | "point"} [mark]
 */

let loading = null;

/** Loads uPlot once. */
export function loadPlots() {
  loading ??= new Promise((resolve, reject) => {
    const style = h("link", { rel: "stylesheet", href: "/assets/vendor/uplot/uPlot.min.css" });
    const script = h("script", { src: "/assets/vendor/uplot/uPlot.iife.min.js" });
    script.addEventListener("load", () => resolve(globalThis.uPlot));
    script.addEventListener("error", () => reject(new Error("uPlot did not load")));
    document.head.append(style, script);
  });
  return loading;
}

/** Returns the color of a line as a token: `var(--series-3)`. */
export const colorOf = (at) => `var(--series-${(at % COLORS) + 1})`;

/** Returns the dashes of a line; the first ten colors have none. */
export const dashOf = (at) => DASHES[Math.floor(at / COLORS) % DASHES.length];

/**
 * Formats a place on an axis.
 *
 * @param {Axis} axis
 * @param {number} x
 */
export function place(axis, x) {
  if (axis === "time") return time(x);
  if (axis === "relative") return x < 0 ? `−${duration(-x)}` : duration(x);
  return number(Math.abs(x - Math.round(x)) < 1e-9 ? Math.round(x) : x);
}

/** Curves in a box. */
export class Plot {
  #box;
  #onZoom;
  #plot = null;
  #curves = [];
  /** @type {View | null} */
  #view = null;
  #shape = "";

  /**
   * @param {HTMLElement} box  has the size
   * @param {{onZoom: (range: [number, number] | null) => void}} options
   */
  constructor(box, { onZoom }) {
    this.#box = box;
    this.#onZoom = onZoom;
    let width = 0;
    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = box;
      if (this.#plot && clientWidth > 0 && clientWidth !== width) {
        this.#plot.setSize({ width: clientWidth, height: clientHeight });
      }
      width = clientWidth;
    }).observe(box);
  }

  /** The plot of uPlot, for exports; `null` before anything is drawn. */
  get uplot() {
    return this.#plot;
  }

  /**
   * Draws curves. What was zoomed stays so, because the view says so.
   *
   * @param {import("./curve.js").Curve[]} curves
   * @param {View} view
   */
  draw(curves, view) {
    this.#curves = curves;
    this.#view = view;
    const isSmoothed = curves.some(({ raw, y }) => raw !== y);
    const faint = isSmoothed ? curves : [];
    const data = [null, ...faint.map(({ x, raw }) => [x, raw]),
      ...curves.map(({ x, y }) => [x, y])];
    const colors = curves.map(({ line }) => line.color).join();
    const shape = [colors, faint.length, view.isLog, view.axis, view.mark].join("|");
    if (this.#plot && shape === this.#shape) {
      this.#plot.setData(data, true);
      return;
    }
    this.#shape = shape;
    this.#plot?.destroy();
    const series = [...faint.map((one) => this.#series(one, true)),
      ...curves.map((one) => this.#series(one, false))];
    this.#plot = new globalThis.uPlot(this.#options(series), data, this.#box);
    this.#plot.over.addEventListener("dblclick", () => this.#onZoom(null));
  }

  /** Dims all lines but one; none if `index` is `null`. @param {number | null} index */
  focus(index) {
    if (!this.#plot || this.#curves.length < 2) return;
    const faint = this.#plot.series.length - 1 - this.#curves.length;
    this.#plot.setSeries(index === null ? null : faint + index + 1, { focus: true }, false);
  }

  /** Draws again with the colors of the theme. */
  repaint() {
    this.#shape = "";
    if (this.#view) this.draw(this.#curves, this.#view);
  }

  /**
   * Returns the points nearest to a place in pixels of the plot: one per curve, the nearest to the
   * pointer first, then by value.
   *
   * @param {number} left
   * @param {number} top
   */
  near(left, top) {
    const u = this.#plot;
    const x = u.posToVal(left, "x");
    const found = this.#curves.map((curve) => ({ curve, i: nearest(curve.x, x) }))
      .filter(({ curve, i }) => i >= 0 && curve.y[i] !== null)
      .map(({ curve, i }) => ({ curve, i, distance: Math.hypot(
        u.valToPos(curve.x[i], "x") - left, u.valToPos(curve.y[i], "y") - top) }));
    const first = found.reduce((a, b) => (b.distance < a.distance ? b : a), found[0]);
    return { first, all: found.sort((a, b) => b.curve.y[b.i] - a.curve.y[a.i]) };
  }

  #series({ line }, isFaint) {
    const color = token(`--series-${(line.color % COLORS) + 1}`);
    const { mark } = this.#view;
    return {
      facets: [{ scale: "x", auto: true }, { scale: "y", auto: true }],
      stroke: color,
      alpha: isFaint ? 0.28 : 1,
      width: isFaint ? 1 : 1.5,
      dash: dashOf(line.color),
      paths: mark === "point" ? () => null
        : (u, at) => globalThis.uPlot.paths.linear()(u, at, 0, u.data[at][0].length - 1),
      points: { show: false },
    };
  }

  #options(series) {
    const { isLog, axis } = this.#view;
    const [dim, grid] = [token("--dim"), token("--grid")];
    const look = {
      stroke: dim,
      grid: { stroke: grid, width: 1 },
      ticks: { stroke: grid, width: 1, size: 4 },
      border: { show: false },
      font: FONT,
    };
    const labels = (_, splits) => splits.map((value) => (value === null ? "" : number(value)));
    return {
      mode: 2,
      ms: 1,
      width: Math.max(this.#box.clientWidth, 120),
      height: Math.max(this.#box.clientHeight, 80),
      padding: [10, 12, 0, 0],
      legend: { show: false },
      focus: { alpha: 0.2 },
      cursor: {
        points: { show: false },
        y: false,
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => null },
      },
      scales: {
        x: { time: axis === "time", range: () => this.#view.x },
        y: { distr: isLog ? 3 : 1, range: () => this.#view.y },
      },
      axes: [
        { ...look, size: 28, ...xTicks(axis, labels) },
        { ...look, size: widthOf, values: labels, ...(isLog && LOG_TICKS) },
      ],
      series: [{}, ...series],
      hooks: {
        drawAxes: [(u) => drawBands(u, this.#curves)],
        draw: [(u) => drawMarks(u, this.#curves, this.#view)],
        setSelect: [(u) => {
          const { left, width } = u.select;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (width < 5) return;
          this.#onZoom([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
        }],
      },
    };
  }
}

function xTicks(axis, labels) {
  if (axis === "time") return {};
  if (axis !== "relative") return { values: labels, incrs: undefined };
  return { incrs: SPANS, values: (_, splits) => splits.map((x) => place("relative", x)) };
}

/** uPlot's own ticks of a logarithmic axis never end unless the axis begins at a round number. */
const LOG_TICKS = {
  splits: (_, index, low, high) => logTicks(low, high),
  filter: (_, splits) => splits,
};

function widthOf(_, labels) {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(38, 16 + longest * 6.3);
}

/** Draws the bands of curves, below all lines. */
function drawBands(u, curves) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const [x, y] = ["x", "y"].map((scale) => (value) => u.valToPos(value, scale, true));
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.globalAlpha = BAND;
  for (const { line, x: places, band } of curves) {
    if (!band) continue;
    ctx.fillStyle = token(`--series-${(line.color % COLORS) + 1}`);
    ctx.beginPath();
    places.forEach((place, i) => ctx.lineTo(x(place), y(band.high[i])));
    places.toReversed().forEach((place, i) => ctx.lineTo(x(place), y(band.low.at(-1 - i))));
    ctx.fill();
  }
  ctx.restore();
}

/** Draws points, lines of a single point, and marks at the edge for what cannot be placed. */
function drawMarks(u, curves, { mark, y: [low, high] }) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const ratio = globalThis.devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left - 4 * ratio, top - 6 * ratio, width + 8 * ratio, height + 12 * ratio);
  ctx.clip();
  for (const { line, x, y, odd } of curves) {
    ctx.strokeStyle = ctx.fillStyle = token(`--series-${(line.color % COLORS) + 1}`);
    ctx.lineWidth = 1.5 * ratio;
    const isAlone = y.filter((value) => value !== null).length === 1;
    if (mark === "point" || isAlone) drawPoints(u, x, y, (isAlone ? 3.5 : 2.5) * ratio);
    for (let i = 0; i < x.length; i += 1) {
      if (y[i] === null || (y[i] >= low && y[i] <= high)) continue;
      triangle(ctx, u.valToPos(x[i], "x", true), y[i] > high, { top, height, ratio });
    }
    for (const [at, value] of odd) {
      const px = u.valToPos(at, "x", true);
      if (Number.isNaN(value)) cross(ctx, px, { top, height, ratio });
      else chevron(ctx, px, value > 0, { top, height, ratio });
    }
  }
  ctx.restore();
}

function drawPoints(u, x, y, radius) {
  for (let i = 0; i < x.length; i += 1) {
    if (y[i] === null) continue;
    u.ctx.beginPath();
    u.ctx.arc(u.valToPos(x[i], "x", true), u.valToPos(y[i], "y", true), radius, 0, 2 * Math.PI);
    u.ctx.fill();
  }
}

function triangle(ctx, x, isAbove, { top, height, ratio }) {
  const [edge, base] = isAbove ? [top, top + 6 * ratio] : [top + height, top + height - 6 * ratio];
  ctx.beginPath();
  ctx.moveTo(x - 4 * ratio, base);
  ctx.lineTo(x, edge);
  ctx.lineTo(x + 4 * ratio, base);
  ctx.fill();
}

function chevron(ctx, x, isAbove, { top, height, ratio }) {
  const size = 4 * ratio;
  const [base, edge] = isAbove ? [top + 2 * size, top] : [top + height - 2 * size, top + height];
  ctx.beginPath();
  ctx.moveTo(x - size, base);
  ctx.lineTo(x, edge);
  ctx.lineTo(x + size, base);
  ctx.stroke();
}

function cross(ctx, x, { top, height, ratio }) {
  const size = 4 * ratio;
  const y = top + height - 1.5 * size;
  ctx.beginPath();
  ctx.moveTo(x - size, y - size);
  ctx.lineTo(x + size, y + size);
  ctx.moveTo(x + size, y - size);
  ctx.lineTo(x - size, y + size);
  ctx.stroke();
}
