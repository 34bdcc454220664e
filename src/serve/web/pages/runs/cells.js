// The content of cells, by the kind of their column.

import { h, svg } from "../../lib/dom.js";
import { ago, difference, duration, number, time, toNumber, value as plain, visible }
  from "../../lib/format.js";
import { ownTags } from "../../lib/tags.js";

/** Width in pixels of a new column, by its kind. */
const WIDTHS = {
  attribute: 110, time: 86, duration: 76, metric: 96, variant: 96, param: 90, tag: 90, tags: 140,
  best: 140, curve: 120,
};
/** Kinds of columns with a value of a metric. */
const METRICS = ["metric", "variant", "best"];

/** Returns the width of a column, from its kind and its title. The end of the title fits. */
export function usualWidth({ kind, title, key }) {
  if (key === "note") return 180;
  const end = title.length - title.lastIndexOf(".", title.length - 2) - 1;
  const fitting = end * 6.6 + (title.length - end) * 2 + 36;
  return Math.round(Math.min(Math.max(WIDTHS[kind] ?? 110, fitting), 240));
}

/** Reports whether a column shows the value of a metric. */
export const isMetric = (column) => METRICS.includes(column.kind);

/** Reports whether a column holds numbers, which are aligned at the right. */
export const isNumeric = (column) => isMetric(column) || column.kind === "duration";

/** Returns the number in a cell of a metric; `null` if there is none. */
const numberIn = (column, value) =>
  toNumber(column.kind === "metric" ? value : value?.[0]);

/**
 * Formats a value without its unit or mark, for copying.
 *
 * @param {object} column
 * @param {object} row
 * @returns {string}
 */
export function textOf(column, row) {
  const value = row.values[column.key];
  if (column.kind === "tags") return tagTexts(row.tags).join(", ");
  if (value === null || value === undefined) return "";
  if (column.kind === "time") return time(value);
  if (column.kind === "duration") return duration(value);
  if (column.kind === "best" || column.kind === "variant") return String(value[0]);
  if (column.kind === "curve") return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const tagTexts = (tags) => Object.entries(ownTags(tags)).map(([key, value]) =>
  visible(value === "" ? key : `${key}: ${value}`));

/**
 * Creates the content of a cell.
 *
 * @param {object} column
 * @param {object} row
 * @param {{above?: object, base?: object}} context  the row above, and the baseline
 */
export function content(column, row, { above, base }) {
  const value = row.values[column.key];
  switch (column.kind) {
    case "tags": return tags(row);
    case "time": return value ? h("span", { title: time(value) }, ago(value)) : missing();
    case "duration": return value === null ? missing() : duration(value);
    case "metric": return metric(column, value, baseValue(column, row, base));
    case "variant": return variant(column, value, baseValue(column, row, base));
    case "best": return best(column, value, baseValue(column, row, base));
    case "param": return param(column, value, row, { above, base });
    default: return value === null || value === undefined ? missing() : text(value);
  }
}

const missing = () => h("span", { class: "missing" }, "–");
const text = (value) => h("span", { title: plain(value) }, plain(value));

function baseValue(column, row, base) {
  if (!base || base.run === row.run) return null;
  return numberIn(column, base.values[column.key]);
}

function metric(column, value, base) {
  if (value === null || value === undefined) return missing();
  return [change(column, value, base), aligned(column, value)];
}

/** Shows the best value among the variants of a matrix. */
function variant(column, value, base) {
  if (!value) return missing();
  const [number, name] = value;
  return [change(column, number, base), aligned(column, number, `${number} in ${visible(name)}`)];
}

function best(column, value, base) {
  if (!value) return missing();
  const [number, step] = value;
  return [change(column, number, base), aligned(column, number),
    h("span", { class: "step", title: "step of the best value" }, step === null ? "" : `@${step}`)];
}

/** Shows the difference to the baseline, with a mark that says what is better. */
function change(column, value, base) {
  const own = toNumber(value);
  if (base === null || own === null || !Number.isFinite(own - base) || own === base) return null;
  const isMore = own > base;
  const isBetter = column.goal && (column.goal === "max") === isMore;
  const judged = !column.goal ? "" : isBetter ? "good" : "bad";
  const word = !column.goal ? "" : isBetter ? "better: " : "worse: ";
  const mark = isMore ? "▲" : "▼";
  return h("span", { class: `change ${judged}`, title: `${word}${difference(own - base)}` },
    h("span", { class: "unseen" }, word), `${mark} ${number(Math.abs(own - base))}`);
}

/** Splits a number at its point. */
function split(value) {
  const shown = number(value);
  const at = shown.search(/[.e]/);
  return at < 0 ? [shown, ""] : [shown.slice(0, at), shown.slice(at)];
}

/** Returns the number of characters behind the point of the value in a cell of a metric. */
export function decimals(column, value) {
  const own = numberIn(column, value);
  return own === null ? 0 : split(own)[1].length;
}

/** Shows a number so that the numbers of a column align at their points. */
function aligned(column, value, title = String(value)) {
  const [whole, rest] = split(value);
  return h("span", { class: "aligned", title }, whole,
    h("span", { class: "rest", vars: { "--decimals": String(column.decimals) } }, rest));
}

function param(column, value, row, { above, base }) {
  if (value === null || value === undefined) return missing();
  const compared = base ?? above;
  const isSame = compared && compared.run !== row.run
    && JSON.stringify(compared.values[column.key]) === JSON.stringify(value);
  const shown = plain(value);
  const className = isSame ? "same" : base && base.run !== row.run ? "differs" : null;
  return h("span", { class: className, title: typeof value === "number" ? String(value) : shown },
    shown);
}

function tags(row) {
  const shown = tagTexts(row.tags);
  return h("button", {
    type: "button", class: "plain edit", data: { act: "tags", focus: "tags" },
    title: shown.length > 0 ? shown.join(", ") : "Add a tag", ariaLabel: `Tags of run-${row.run}`,
  }, shown.length > 0 ? shown.map((tag) => h("span", { class: "chip" }, tag))
    : h("span", { class: "hint" }, "+ tag"));
}

/** Creates the button that shows a note and edits it. */
export const note = (row) => h("button", {
  type: "button", class: "plain edit", data: { act: "note", focus: "note" },
  title: row.note ? visible(row.note) : "Add a note", ariaLabel: `Note of run-${row.run}`,
}, row.note ? visible(row.note) : h("span", { class: "hint" }, "+ note"));

/**
 * Draws a small curve: the range of each piece of the series, so that no spike is lost.
 *
 * @param {{low: (number | null)[], high: (number | null)[], count: number, first_step: number,
 *   last_step: number} | null | undefined} curve
 */
export function curve(curve) {
  if (!curve) return missing();
  const [width, height] = [100, 20];
  const lows = curve.low.filter((value) => value !== null);
  const highs = curve.high.filter((value) => value !== null);
  const [min, max] = [Math.min(...lows), Math.max(...highs)];
  const y = (value) => height - 2 - ((value - min) / (max - min || 1)) * (height - 4);
  const x = (at) => 1 + (at / Math.max(curve.low.length - 1, 1)) * (width - 2);
  const places = curve.low.map((_, at) => at).filter((at) => curve.low[at] !== null);
  const up = places.map((at) => `${x(at).toFixed(1)},${y(curve.high[at]).toFixed(1)}`);
  const down = places.map((at) => `${x(at).toFixed(1)},${y(curve.low[at]).toFixed(1)}`).reverse();
  const title = `${number(min)} to ${number(max)}, ${curve.count} points, `
    + `steps ${curve.first_step} to ${curve.last_step}`;
  return svg("svg", {
    class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title,
    preserveAspectRatio: "none",
  }, svg("title", null, title), svg("polygon", { points: [...up, ...down].join(" ") }));
}

/**
 * Shows the mean of a group with its standard deviation, and where the range lies among groups.
 *
 * @param {object | null} spread
 * @param {[number, number]} range  of the column
 */
export function spread(spread, [low, high]) {
  if (!spread) return missing();
  const at = (value) => `${(((toNumber(value) - low) / (high - low || 1)) * 100).toFixed(1)}%`;
  const mean = number(spread.mean);
  const sd = spread.sd === null ? "" : ` ± ${number(Number(Number(spread.sd).toPrecision(2)))}`;
  const lost = spread.nan > 0 ? `, ${spread.nan} NaN` : "";
  const title = `mean ${mean}${sd}; ${number(spread.min)} to ${number(spread.max)}; `
    + `n = ${spread.count}${lost}`;
  const hasBand = Number.isFinite(toNumber(spread.min)) && high > low;
  return h("span", { class: "spread", title },
    hasBand && h("span", {
      class: "band", vars: { "--from": at(spread.min), "--to": at(spread.max),
        "--mean": at(spread.mean) },
    }),
    h("span", { class: "mean" }, mean, sd && h("span", { class: "dim" }, sd),
      lost && h("span", { class: "warn" }, lost)));
}
