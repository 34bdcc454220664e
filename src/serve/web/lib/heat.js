// Confusion matrices as tables whose cells are darker the more of their row they hold.

import { get, url } from "./api.js";
import { h } from "./dom.js";
import { number, toNumber, visible } from "./format.js";

/**
 * Returns a function that finds the confusion matrix in a file of a run; `null` if the pipeline
 * does not declare the file as a plot that is one. What is drawn is fetched once, when the first
 * file is asked for.
 *
 * @param {string[]} runs
 * @returns {(run: string, stage: string, path: string) => Promise<object | null>}
 */
export function matrices(runs) {
  let drawn = null;
  return async (run, stage, path) => {
    drawn ??= get(url("/api/compare/figures", { run: runs })).catch(() => null);
    const plots = await drawn;
    const out = plots?.outs.find((one) => one.stage === stage && one.path === path);
    const at = plots?.runs.findIndex((one) => one.run === run);
    const isWanted = ({ kind, runs: of }) => kind === "matrix" && of.includes(at);
    return out?.figures.find(isWanted) ?? null;
  };
}

/**
 * @param {{title: string, classes: string[], cells: any[][], x: string, y: string}} figure
 *   a row per actual class
 */
export function heatMap({ title, classes, cells, x, y }) {
  const sums = cells.map((row) => row.reduce((sum, cell) => sum + (toNumber(cell) ?? 0), 0));
  const right = cells.reduce((sum, row, at) => sum + (toNumber(row[at]) ?? 0), 0);
  const total = sums.reduce((a, b) => a + b, 0);
  const share = (value, at) => (sums[at] > 0 ? (toNumber(value) ?? 0) / sums[at] : 0);
  return h("div", { class: "scroll", tabIndex: 0, role: "group", ariaLabel: visible(title) },
    h("table", { class: "heat" },
      h("caption", null, `${number(right)} of ${number(total)} on the diagonal`,
        total > 0 && `: ${((100 * right) / total).toFixed(1)} %`),
      h("thead", null, h("tr", null,
        h("td", { class: "dim small" }, `${visible(y)} ↓ ${visible(x)} →`),
        classes.map((name) => h("th", { scope: "col" }, visible(name))))),
      h("tbody", null, cells.map((row, at) => h("tr", null,
        h("th", { scope: "row" }, visible(classes[at] ?? "")),
        row.map((cell) => h("td", {
          class: "number", vars: { "--share": share(cell, at).toFixed(3) },
        }, number(cell))))))));
}
