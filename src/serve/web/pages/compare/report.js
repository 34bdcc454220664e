// The report of the server, and what all parts of the page read from it.

import { toNumber, value as format } from "../../lib/format.js";

/**
 * @typedef {object} Report
 * @property {{label: string, run: object | null}[]} sides
 * @property {{label: string, sides: number[]}[]} columns  sides that differ only in their seed are
 *   one column
 * @property {number} baseline  position of a column
 * @property {{key: string, differs: boolean, values: any[]}[]} params  by side
 * @property {Metric[]} metrics
 * @property {{key: string, goal: string | null, sides: number[]}[]} series
 * @property {{stage: string, path: string, differs: boolean, contents: any[]}[]} artifacts
 * @property {string[]} warnings
 */

/**
 * @typedef {object} Metric
 * @property {string} key
 * @property {"min" | "max" | null} goal
 * @property {boolean} differs
 * @property {any[]} each  by side; the other lists are by column
 * @property {any[]} means
 * @property {number[]} n
 * @property {(number | null)[]} sd
 * @property {any[]} differences
 * @property {(string | null)[]} verdicts
 * @property {number[]} best
 */

/** Number of colours of series; after them, lines are dashed. */
export const COLORS = 10;

/** Returns the token of the colour of a column. */
export const colorOf = (column) => `--series-${(column % COLORS) + 1}`;

/** Returns the text of a param in a column: all distinct values of its sides. */
export function paramText(param, column) {
  const texts = column.sides.map((side) => format(param.values[side]));
  return [...new Set(texts)].join(", ");
}

/** Returns the value of a param in a column, `null` if its sides differ. */
export function paramValue(param, column) {
  const [first, ...others] = column.sides.map((side) => param.values[side]);
  const isSame = others.every((other) => JSON.stringify(other) === JSON.stringify(first));
  return isSame ? first ?? null : null;
}

/** Returns the arrow and the words for the direction of a metric. */
export function directionOf(goal) {
  if (goal === "max") return ["↑", "higher is better"];
  return goal === "min" ? ["↓", "lower is better"] : ["", ""];
}

/** Reports whether any value of a metric is a finite number. */
export const isDrawable = (metric) =>
  metric.means.some((mean) => Number.isFinite(toNumber(mean)));

/** Returns the address of the page of a side; `null` if it is not a run. */
export const hrefOf = (side) => (side.run ? `/runs/${side.label}` : null);
