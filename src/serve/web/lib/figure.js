// Saves what a chart shows: as SVG, as PNG, or its data as a text.

import { h, svg, token } from "./dom.js";
import { visible } from "./format.js";
import { BAND } from "./plot.js";

const LINE = 16;

/**
 * Saves a text as a file.
 *
 * @param {string} name
 * @param {string} text
 * @param {string} type  a media type
 */
export const saveText = (name, text, type) => saveBlob(name, new Blob([text], { type }));

/**
 * Saves the drawing of a plot as PNG, with title and legend.
 *
 * @param {string} title
 * @param {any} u  a plot of uPlot
 * @param {import("./curve.js").Curve[]} curves
 */
export function savePng(title, u, curves) {
  const ratio = globalThis.devicePixelRatio;
  const source = u.ctx.canvas;
  const head = Math.round(LINE * 1.75 * ratio);
  const canvas = h("canvas", { width: source.width,
    height: source.height + head + curves.length * LINE * ratio });
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = token("--raised");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.fillStyle = token("--ink");
  ctx.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  ctx.fillText(visible(title), 12 * ratio, 18 * ratio);
  ctx.drawImage(source, 0, head);
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  curves.forEach(({ line }, i) => {
    const y = head + source.height + (i * LINE + 10) * ratio;
    ctx.fillStyle = token(`--series-${(line.color % 10) + 1}`);
    ctx.fillRect(12 * ratio, y - 8 * ratio, 10 * ratio, 10 * ratio);
    ctx.fillStyle = token("--ink");
    ctx.fillText(visible(line.name), 28 * ratio, y);
  });
  canvas.toBlob((blob) => saveBlob(`${title}.png`, blob), "image/png");
}

/**
 * Saves the drawing of a plot as SVG, with title and legend.
 *
 * @param {string} title
 * @param {any} u  a plot of uPlot
 * @param {import("./curve.js").Curve[]} curves
 * @param {string} axis  name of the horizontal axis
 */
export function saveSvg(title, u, curves, axis) {
  const text = new XMLSerializer().serializeToString(drawing(title, u, curves, axis));
  saveText(`${title}.svg`, text, "image/svg+xml");
}

function drawing(title, u, curves, axis) {
  const ratio = globalThis.devicePixelRatio;
  const [left, top, width, height] =
    [u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height].map((size) => size / ratio);
  const [down, ink, dim, grid] = [28, token("--ink"), token("--dim"), token("--grid")];
  const total = { width: u.width, height: u.height + down + curves.length * LINE + 8 };
  const offset = { x: left, y: top + down };
  const at = (value, scale) => round(u.valToPos(value, scale) + offset[scale]);
  const [xTicks, yTicks] = u.axes.map((one) =>
    (one._splits ?? []).map((value, i) => ({ value, label: one._values?.[i] ?? "" }))
      .filter(({ value }) => value !== null));
  const label = (x, y, anchor, content) => svg("text", { x, y, "text-anchor": anchor, fill: dim,
    "font-size": 11 }, content);
  const bottom = top + down + height;
  return svg("svg", { xmlns: "http://www.w3.org/2000/svg", ...total,
    viewBox: `0 0 ${total.width} ${total.height}`, "font-family": "system-ui, sans-serif" },
  svg("rect", { ...total, fill: token("--raised") }),
  svg("text", { x: 12, y: 18, fill: ink, "font-size": 13, "font-weight": 600 }, visible(title)),
  svg("clipPath", { id: "plot" }, svg("rect", { x: left, y: top + down, width, height })),
  xTicks.map(({ value, label: name }) => [
    svg("path", { d: `M${at(value, "x")} ${top + down}V${bottom}`, stroke: grid }),
    label(at(value, "x"), bottom + 16, "middle", name)]),
  yTicks.map(({ value, label: name }) => [
    svg("path", { d: `M${left} ${at(value, "y")}H${left + width}`, stroke: grid }),
    label(left - 8, at(value, "y") + 4, "end", name)]),
  label(left + width, bottom + 27, "end", axis),
  svg("g", { "clip-path": "url(#plot)" }, curves.filter(({ band }) => band).map((one) =>
    svg("path", { d: around(one, at), "fill-opacity": BAND,
      fill: token(`--series-${(one.line.color % 10) + 1}`) }))),
  svg("g", { "clip-path": "url(#plot)" }, curves.map(({ line, x, y }) => svg("path", {
    d: path(x, y, at), fill: "none", stroke: token(`--series-${(line.color % 10) + 1}`),
    "stroke-width": 1.5, "stroke-linejoin": "round" }))),
  curves.map(({ line, odd }) => svg("path", { d: odd.map(([x, value]) =>
    mark(at(x, "x"), value, top + down, bottom)).join(""), fill: "none", "stroke-width": 1.5,
  stroke: token(`--series-${(line.color % 10) + 1}`) })),
  curves.map(({ line }, i) => svg("g", null,
    svg("rect", { x: 12, y: u.height + down + i * LINE, width: 10, height: 10, rx: 2,
      fill: token(`--series-${(line.color % 10) + 1}`) }),
    svg("text", { x: 28, y: u.height + down + i * LINE + 9, fill: ink, "font-size": 11 },
      visible(line.name)))));
}

function path(x, y, at) {
  let isOpen = false;
  let d = "";
  y.forEach((value, i) => {
    if (value === null) isOpen = false;
    else {
      d += `${isOpen ? "L" : "M"}${at(x[i], "x")} ${at(value, "y")}`;
      isOpen = true;
    }
  });
  return d;
}

/** Returns the outline of a band. */
const around = ({ x, band }, at) => `M${[
  ...x.map((place, i) => `${at(place, "x")} ${at(band.high[i], "y")}`),
  ...x.map((place, i) => `${at(place, "x")} ${at(band.low[i], "y")}`).reverse(),
].join("L")}Z`;

/** Draws a cross for NaN, and an arrow at the edge for an infinity. */
function mark(x, value, top, bottom) {
  if (Number.isNaN(value)) return `M${x - 4} ${bottom - 10}l8 8m0 -8l-8 8`;
  return value > 0 ? `M${x - 4} ${top + 8}l4 -8l4 8` : `M${x - 4} ${bottom - 8}l4 8l4 -8`;
}

const round = (value) => Math.round(value * 100) / 100;

function saveBlob(name, blob) {
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name.replace(/[/\\:]/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}
