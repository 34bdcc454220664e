// A chart of curves in a card: legend with last, lowest and highest values, what is hidden or
// marked, zoom, exports, and the points as a table.

import { copyMenu, copyText } from "./copy.js";
import { curve, isLoss, isPositive, summary, xExtent, yRange } from "./curve.js";
import { fill, h } from "./dom.js";
import { csv } from "./exports.js";
import { savePng, saveSvg, saveText } from "./figure.js";
import { count, number, visible } from "./format.js";
import { colorOf, loadPlots, place, Plot } from "./plot.js";
import { table } from "./table.js";
import { onTheme } from "./theme.js";

/** Number of lines that the box at the pointer lists. */
const MOST_LISTED = 10;
/** Number of points that the table shows. */
const MOST_ROWS = 1000;

/**
 * @typedef {object} ChartView
 * @property {import("./plot.js").Axis} axis
 * @property {number} smoothing
 * @property {[number, number] | null} zoom  in units of the axis
 */

/**
 * Creates a chart, which is drawn when it comes near the visible part of the page.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {ChartView} options.view
 * @param {"line" | "point"} [options.mark]
 * @param {(range: [number, number] | null) => void} [options.onZoom]
 * @param {() => void} [options.onNear]  called once, when the lines are needed
 * @param {(index: number | null) => void} [options.onHover]  the line nearest to the pointer
 * @param {() => Promise<string[][]>} [options.rows]  all points, with a head, for the file of data
 */
export function chart(options) {
  const nothing = () => {};
  const { title, mark = "line", onZoom = nothing, onNear = nothing, onHover = nothing } = options;
  let { view } = options;
  /** @type {import("./curve.js").Line[]} */
  let lines = [];
  let curves = [];
  let log = isLoss(title);
  let isClipped = true;
  let isReady = false;

  const box = h("div", { class: "plot", tabIndex: 0, role: "img", ariaLabel: `Chart of ${title}` });
  const tip = h("div", { class: "plot-tip", hidden: true, role: "status" });
  const message = h("div", { class: "plot-message" }, "…");
  const logButton = toggle("log", "Logarithmic vertical axis", () => {
    log = !log;
    draw();
  });
  const clipButton = toggle("outliers", "Show the outliers, too", () => {
    isClipped = !isClipped;
    draw();
  });
  clipButton.hidden = true;
  const resetButton = h("button", { type: "button", class: "quiet", hidden: true,
    title: "Show everything (0 in the chart)", onclick: () => onZoom(null) }, "reset zoom");
  const legend = h("table", { class: "legend plain" });
  const notes = h("ul", { class: "plot-notes" });
  const points = h("details", { class: "points" }, h("summary", null, "Points as a table"));
  points.addEventListener("toggle", () => drawPoints());
  const menu = copyMenu({}, "⋯");
  fill(menu.querySelector(".items"), [
    item("Copy the points as CSV", async () => copyText(csv(...headAndRows()), "the points")),
    item("Save all points as CSV", async () => {
      const [head, ...rows] = await (options.rows?.() ?? shownRows());
      saveText(`${title}.csv`, csv(head, rows), "text/csv");
    }),
    item("Save as SVG", () => saveSvg(title, plot.uplot, curves, view.axis)),
    item("Save as PNG", () => savePng(title, plot.uplot, curves)),
  ]);
  menu.querySelector("summary").ariaLabel = `Exports of ${title}`;
  const element = h("article", { class: "card chart", data: { title } },
    h("header", { class: "head" }, h("h3", { title: visible(title) }, visible(title)),
      h("div", { class: "end toolbar" }, resetButton, clipButton, logButton, menu)),
    h("div", { class: "plot-box" }, box, message, tip), legend, notes, points);
  const plot = new Plot(box, { onZoom });
  const endTheme = onTheme(() => plot.repaint());
  box.addEventListener("mousemove", hover);
  box.addEventListener("mouseleave", leave);
  box.addEventListener("keydown", press);
  whenNear(element, async () => {
    onNear();
    try {
      await loadPlots();
    } catch (error) {
      message.textContent = error.message;
      return;
    }
    isReady = true;
    draw();
  });

  function item(name, run) {
    return h("button", { type: "button", class: "item", onclick: () => {
      menu.open = false;
      if (plot.uplot) run();
    } }, name);
  }

  function draw() {
    if (!isReady || lines.length === 0) return;
    const canLog = isPositive(curves);
    const isLog = log && canLog;
    const x = view.zoom ?? xExtent(curves);
    const { range, full, canClip } = yRange(curves, x, { isLog, isClipped });
    logButton.ariaPressed = String(isLog);
    logButton.disabled = !canLog;
    logButton.title = canLog ? "Logarithmic vertical axis" : "Not all values are positive";
    clipButton.hidden = !canClip;
    clipButton.ariaPressed = String(!isClipped);
    resetButton.hidden = view.zoom === null;
    message.hidden = full !== null;
    message.textContent = curves.some(({ odd }) => odd.length > 0)
      ? "No finite values here" : "No points here";
    plot.draw(curves, { x, y: range, isLog, axis: view.axis, mark });
    fill(legend, legendRows(curves, view.axis));
    fill(notes, noteTexts({ curves, view, range, full, isHidden: canClip && isClipped })
      .map((text) => h("li", null, text)));
    box.ariaLabel = `Chart of ${title}: ${curves.map(describe).join("; ")}`;
    if (points.open) drawPoints();
  }

  function hover(event) {
    if (!plot.uplot) return;
    const bounds = plot.uplot.over.getBoundingClientRect();
    show(event.clientX - bounds.left, event.clientY - bounds.top);
  }

  function show(left, top) {
    const { first, all } = plot.near(left, top);
    if (!first) return leave();
    fill(tip, tipRows(first, all, view.axis));
    tip.hidden = false;
    const isRight = left > plot.uplot.over.clientWidth / 2;
    tip.classList.toggle("at-left", isRight);
    const u = plot.uplot.over;
    tip.style.setProperty("--x", `${isRight ? box.clientWidth - u.offsetLeft - left
      : u.offsetLeft + left}px`);
    const index = curves.indexOf(first.curve);
    plot.focus(index);
    onHover(index);
  }

  function leave() {
    tip.hidden = true;
    plot.focus(null);
    onHover(null);
  }

  /** Moves along the first line by the keyboard. */
  function press(event) {
    const u = plot.uplot;
    if (!u || curves.length === 0) return;
    const [from, to] = view.zoom ?? xExtent(curves);
    const zoom = (factor) => onZoom([(from + to) / 2 - (to - from) / 2 * factor,
      (from + to) / 2 + (to - from) / 2 * factor]);
    const actions = {
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      "+": () => zoom(0.5),
      "-": () => zoom(2),
      "0": () => onZoom(null),
      Escape: leave,
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  let at = -1;
  function step(by) {
    const { x, y } = curves[0];
    const [from, to] = view.zoom ?? xExtent(curves);
    const isShown = (i) => y[i] !== null && x[i] >= from && x[i] <= to;
    let next = at < 0 && by < 0 ? x.length : at;
    do next += by; while (next >= 0 && next < x.length && !isShown(next));
    if (next < 0 || next >= x.length) return;
    at = next;
    const left = plot.uplot.valToPos(x[at], "x");
    plot.uplot.setCursor({ left, top: plot.uplot.valToPos(y[at], "y") });
    show(left, plot.uplot.valToPos(y[at], "y"));
  }

  function headAndRows() {
    const [head, ...rows] = shownRows();
    return [head, rows];
  }

  function shownRows() {
    const hasBand = lines.some(({ band }) => band);
    const band = (line, i) => (hasBand
      ? ["low", "high"].map((end) => String(line.band?.[end][i] ?? "")) : []);
    return [["line", view.axis, "value", ...(hasBand ? ["lowest", "highest"] : [])],
      ...lines.flatMap((line) => line.x.map((x, i) =>
        [line.name, String(x), String(line.y[i]), ...band(line, i)]))];
  }

  function drawPoints() {
    if (!points.open) return;
    const rows = curves.flatMap(({ line }) => line.x.map((x, i) =>
      ({ line: line.name, x, value: line.y[i] })));
    const columns = [
      ...(curves.length > 1 ? [{ key: "line", title: "line" }] : []),
      { key: "x", title: view.axis, kind: "number", format: (x) => place(view.axis, x) },
      { key: "value", title: "value", kind: "number" },
    ];
    const caption = rows.length > MOST_ROWS
      ? `The first ${MOST_ROWS} of ${count(rows.length, "point")} as drawn`
      : `${count(rows.length, "point")} as drawn`;
    const shown = rows.slice(0, MOST_ROWS);
    fill(points, points.firstChild, table({ caption, columns, rows: shown }));
  }

  return {
    element,
    /** Replaces the lines; what is zoomed stays. */
    setLines(next) {
      lines = next;
      curves = lines.map((line) => curve(line, view.smoothing));
      draw();
    },
    /** Changes axis, smoothing or zoom. @param {ChartView} next */
    setView(next) {
      const isSmoothing = next.smoothing !== view.smoothing;
      view = next;
      if (isSmoothing) curves = lines.map((line) => curve(line, view.smoothing));
      draw();
    },
    /** Emphasizes a line, as the pointer does; `null` for none. */
    focus: (index) => plot.focus(index),
    setMessage(text) {
      message.textContent = text;
      message.hidden = false;
    },
    /** Width of the drawing in pixels of the screen, for the server. */
    width: () => Math.max(200, Math.round(box.clientWidth * globalThis.devicePixelRatio)),
    destroy: endTheme,
  };
}

const toggle = (label, title, onclick) => h("button", { type: "button", class: "quiet small", title,
  ariaPressed: "false", onclick }, label);

const swatch = (color) => h("span", { class: "swatch", vars: { background: colorOf(color) } });

function legendRows(curves, axis) {
  const value = (one) => (one === null ? "–"
    : [number(one.value), h("span", { class: "dim" }, ` at ${place(axis, one.x)}`)]);
  return [
    h("thead", { class: "unseen" }, h("tr", null,
      ["line", "last", "lowest", "highest"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, curves.slice(0, MOST_LISTED).map((one) => {
      const { last, low, high } = summary(one);
      return h("tr", null,
        h("th", { scope: "row", title: visible(one.line.name) }, swatch(one.line.color),
          h("span", { class: "name" }, visible(one.line.name))),
        h("td", null, h("b", null, last === null ? "–" : number(last.value))),
        h("td", { class: "small" }, h("span", { class: "dim" }, "min "), value(low)),
        h("td", { class: "small" }, h("span", { class: "dim" }, "max "), value(high)));
    }), curves.length > MOST_LISTED && h("tr", null, h("td", { class: "dim small", colSpan: 4 },
      `and ${curves.length - MOST_LISTED} more`))),
  ];
}

function tipRows(first, all, axis) {
  const near = all.length > MOST_LISTED ? listAround(first, all) : all;
  const x = first.curve.x[first.i];
  return [
    h("div", { class: "tip-head" }, axis === "step" ? `step ${place(axis, x)}` : place(axis, x)),
    ...near.map((found) => {
      const { line, raw, y, band } = found.curve;
      const beside = band
        ? ` ${number(band.low[found.i])} to ${number(band.high[found.i])}`
        : raw !== y && ` raw ${number(raw[found.i])}`;
      return h("div", { class: found === first ? "near" : null }, swatch(line.color),
        h("span", { class: "name" }, visible(line.name)), h("b", null, number(y[found.i])),
        beside && h("span", { class: "dim" }, beside));
    }),
    all.length > near.length && h("div", { class: "dim" }, `and ${all.length - near.length} more`),
  ];
}

/** Returns the entries around the nearest one. */
function listAround(first, all) {
  const at = all.indexOf(first);
  const start = Math.max(0, Math.min(at - MOST_LISTED / 2, all.length - MOST_LISTED));
  return all.slice(start, start + MOST_LISTED);
}

function noteTexts({ curves, view, range, full, isHidden }) {
  const notes = [];
  const thinned = curves.filter(({ line }) => line.isDecimated);
  if (thinned.length > 0) {
    const drawn = thinned.reduce((sum, { x }) => sum + x.length, 0);
    const total = thinned.reduce((sum, { line }) => sum + line.total, 0);
    notes.push(`Decimated: ${drawn.toLocaleString("en")} of ${total.toLocaleString("en")} points; `
      + "the lowest and the highest of each pixel column are kept. Zoom in for more.");
  }
  if (curves.some(({ band }) => band)) {
    notes.push("A band reaches from the lowest to the highest of its runs; its line is their mean.");
  }
  if (view.zoom !== null) notes.push("Zoomed: last, lowest and highest are of this part.");
  if (view.smoothing > 0) {
    notes.push(`Smoothed by ${view.smoothing}; the faint line is what was logged.`);
  }
  const odd = curves.flatMap((one) => one.odd.map(([x, value]) => ({ x, value })));
  if (odd.length > 0) {
    const what = [...new Set(odd.map(({ value }) => number(String(value))))].join(", ");
    notes.push(`${count(odd.length, "value")} not finite (${what}), the first at `
      + `${place(view.axis, odd[0].x)}; marked at the edge.`);
  }
  if (isHidden && full) {
    const [low, high] = range;
    const ends = [full[0] < low && full[0], full[1] > high && full[1]]
      .filter((end) => end !== false);
    notes.push(`Outliers up to ${ends.map(number).join(" and ")} are outside; triangles mark them.`);
  }
  return notes;
}

function describe(one) {
  const { last, low, high, odd } = summary(one);
  if (low === null) return `${one.line.name} has no finite values`;
  return `${one.line.name} ends at ${number(last.value)}, between ${number(low.value)} and `
    + `${number(high.value)}${odd > 0 ? `, ${odd} not finite` : ""}`;
}

/** Calls `run` once when an element comes near the visible part of the page. */
function whenNear(element, run) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    run();
  }, { rootMargin: "300px" });
  observer.observe(element);
}
