// Params and metrics side by side. Runs are the columns, or the rows if there are many.

import { copyMenu } from "../../lib/copy.js";
import { fill, h } from "../../lib/dom.js";
import { csv, latex, markdown } from "../../lib/exports.js";
import { compare, count, difference, number, visible } from "../../lib/format.js";
import { onKey } from "../../lib/keys.js";
import { colorOf, directionOf, hrefOf, paramText, paramValue } from "./report.js";

/** Number of columns from which runs become rows. */
const MANY = 7;

/**
 * @typedef {object} Line  a param or a metric
 * @property {string} key
 * @property {"param" | "metric"} kind
 * @property {string} goal
 * @property {boolean} differs
 * @property {{value: any, text: string, delta: string, verdict: string, isBest: boolean}[]} cells
 */

/**
 * Shows the table and the curves below it.
 *
 * @param {HTMLElement} body
 * @param {import("./report.js").Report} report
 * @returns {() => void}  ends it
 */
export function showValues(body, report, { state, focus, curves }) {
  const { all, rows, sort } = state.get();
  const lines = linesOf(report).filter((line) => all || line.differs);
  const byRun = rows === "" ? report.columns.length >= MANY : rows === "runs";
  const table = byRun ? runsAsRows(report, lines, state, sort) : keysAsRows(report, lines, state);
  fill(body,
    h("div", { class: "bar" },
      h("span", { class: "dim small" }, summary(report, all)),
      h("button", {
        type: "button", class: "quiet",
        onclick: () => state.set({ rows: byRun ? "keys" : "runs" }),
      }, byRun ? "Runs as columns" : "Runs as rows"),
      copyMenu(copies(report, lines, byRun), "Copy table")),
    lines.length === 0
      ? h("div", { class: "empty" }, h("h2", null, "Nothing differs"),
        h("p", null, "All params and metrics of these runs are equal."))
      : h("div", { class: "scroll matrix-box", tabIndex: 0, role: "region", ariaLabel: "Values" },
        table),
    curves.element);
  curves.update(report);
  const ends = [
    link(table, focus),
    onKey("j", "Emphasize the next run", () => focus.move(1, report.columns.length)),
    onKey("k", "Emphasize the run before", () => focus.move(-1, report.columns.length)),
  ];
  return () => ends.forEach((end) => end());
}

function summary(report, all) {
  const part = (list, noun) => {
    const differing = list.filter((row) => row.differs).length;
    return all ? `${count(list.length, noun)}, ${differing} differ`
      : `${differing} of ${count(list.length, noun)} differ`;
  };
  return `${part(report.params, "param")}; ${part(report.metrics, "metric")}`;
}

/** @returns {Line[]} */
function linesOf(report) {
  const params = report.params.map((param) => ({
    key: param.key,
    kind: "param",
    goal: null,
    differs: param.differs,
    cells: report.columns.map((column) => ({
      value: paramValue(param, column), text: paramText(param, column), delta: "", verdict: "",
      isBest: false,
    })),
  }));
  const metrics = report.metrics.map((metric) => ({
    key: metric.key,
    kind: "metric",
    goal: metric.goal,
    differs: metric.differs,
    cells: report.columns.map((_, at) => metricCell(metric, at, report.baseline)),
  }));
  return [...params, ...metrics];
}

function metricCell(metric, at, baseline) {
  const sd = metric.sd[at] === null ? "" : ` ± ${number(Number(metric.sd[at].toPrecision(2)))}`;
  const verdict = metric.verdicts[at] ?? "";
  const isShown = at !== baseline && verdict !== "" && verdict !== "same";
  const word = verdict === "changed" ? "" : ` ${verdict}`;
  return {
    value: metric.means[at],
    text: `${number(metric.means[at])}${sd}`,
    delta: isShown ? `${difference(metric.differences[at])}${word}` : "",
    verdict,
    isBest: metric.best.includes(at),
  };
}

function keysAsRows(report, lines, state) {
  const section = (title, kind) => {
    const own = lines.filter((line) => line.kind === kind);
    if (own.length === 0) return null;
    return h("tbody", null,
      h("tr", { class: "section" }, h("th", { scope: "rowgroup" }, title),
        h("td", { colSpan: report.columns.length * 2 })),
      own.map((line) => h("tr", { class: line.differs ? "" : "same" },
        h("th", { scope: "row", title: visible(line.key) }, keyOf(line)),
        line.cells.map((cell, at) => cellsOf(line, cell, at)))));
  };
  return h("table", { class: "matrix by-key" },
    h("caption", { class: "unseen" }, "Params and metrics of the runs"),
    h("thead", null, h("tr", null, h("td"), report.columns.map((column, at) =>
      h("th", { scope: "col", colSpan: 2, data: { column: at } }, runHead(report, at, state))))),
    section("Params", "param"), section("Metrics", "metric"));
}

function runsAsRows(report, lines, state, sort) {
  const isDescending = sort.startsWith("-");
  const sorted = lines.find((line) => line.key === sort.replace(/^-/, ""));
  const order = report.columns.map((_, at) => at);
  if (sorted) {
    const sign = isDescending ? -1 : 1;
    const isLast = (value) => value === null || value === undefined || value === "NaN";
    order.sort((a, b) => {
      const [x, y] = [sorted.cells[a].value, sorted.cells[b].value];
      return compare(x, y) * (isLast(x) || isLast(y) ? 1 : sign);
    });
  }
  const head = (line) => h("th", {
    scope: "col", colSpan: line.kind === "metric" ? 2 : 1,
    ariaSort: line === sorted ? (isDescending ? "descending" : "ascending") : null,
  }, h("button", {
    type: "button", class: "plain", title: visible(line.key),
    onclick: () => state.set({ sort: sort === line.key ? `-${line.key}` : line.key }),
  }, keyOf(line)));
  return h("table", { class: "matrix by-run" },
    h("caption", { class: "unseen" }, "Params and metrics of the runs"),
    h("thead", null, h("tr", null, h("td"), lines.map(head))),
    h("tbody", null, order.map((at) => h("tr", null,
      h("th", { scope: "row", data: { column: at } }, runHead(report, at, state)),
      lines.map((line) => {
        const cells = cellsOf(line, line.cells[at], at);
        return line.kind === "metric" ? cells : cells[0];
      })))));
}

function keyOf(line) {
  const [arrow, words] = directionOf(line.goal);
  const at = line.key.lastIndexOf(".") + 1;
  return [
    h("span", { class: "prefix" }, visible(line.key.slice(0, at))), visible(line.key.slice(at)),
    arrow && h("abbr", { title: words }, ` ${arrow}`),
  ];
}

/** The value, and beside it the difference from the baseline with its judgement. */
function cellsOf(line, cell, at) {
  const data = { column: at };
  const classes = ["value", line.kind, cell.isBest && "best"].filter(Boolean).join(" ");
  const text = [cell.text, cell.isBest && h("span", { class: "unseen" }, " (best)")];
  return [
    h("td", { class: classes, data, title: cell.text }, text),
    h("td", { class: `delta ${cell.verdict.replace(" ", "-")}`, data }, cell.delta),
  ];
}

function runHead(report, at, state) {
  const column = report.columns[at];
  const [first] = column.sides;
  const { label, run } = report.sides[first];
  const isBaseline = at === report.baseline;
  const href = hrefOf(report.sides[first]);
  const others = column.sides.slice(1).map((side) => report.sides[side].label);
  const rest = report.columns.filter((other) => other !== column)
    .flatMap((other) => other.sides.map((side) => report.sides[side].label));
  return h("div", { class: "run-head" },
    h("span", { class: "swatch", vars: { "--color": `var(${colorOf(at)})` } }),
    href ? h("a", { href }, column.label) : column.label,
    others.length > 0 && h("span", { class: "unseen" }, ` with ${others.join(", ")}`),
    run?.name && h("span", { class: "dim name", title: visible(run.name) }, visible(run.name)),
    run && run.status !== "ok" && h("span", { class: "status small", data: { status: run.status } },
      run.status),
    h("span", { class: "acts" },
      isBaseline ? h("span", { class: "badge" }, "baseline") : h("button", {
        type: "button", class: "quiet small", title: `Compare the others with ${label}`,
        onclick: () => state.set({ base: label }),
      }, h("span", { class: "unseen" }, label), "as baseline"),
      rest.length > 1 && h("button", {
        type: "button", class: "quiet icon", ariaLabel: `Remove ${column.label}`, title: "Remove",
        onclick: () => state.set({ runs: rest, base: isBaseline ? "" : state.get().base }),
      }, "×")));
}

/** Connects the table with the charts: the column under the pointer is emphasized in both. */
function link(table, focus) {
  const columnAt = (event) => event.target.closest("[data-column]")?.dataset.column;
  const mark = (column) => {
    for (const cell of table.querySelectorAll("[data-column]")) {
      cell.classList.toggle("focused", column !== null && cell.dataset.column === String(column));
    }
  };
  table.addEventListener("pointerover", (event) => {
    const column = columnAt(event);
    focus.hover(column === undefined ? null : Number(column));
  });
  table.addEventListener("pointerleave", () => focus.hover(null));
  table.addEventListener("click", (event) => {
    const column = columnAt(event);
    if (column !== undefined && !event.target.closest("a, button")) focus.pin(Number(column));
  });
  mark(focus.column);
  return focus.onChange(mark);
}

/** Returns the table as texts, in the orientation that is shown. */
function copies(report, lines, byRun) {
  const labels = report.columns.map((column) => column.label);
  const text = (cell) => (cell.delta ? `${cell.text} (${cell.delta})` : cell.text);
  const head = byRun ? ["run", ...lines.map((line) => line.key)] : ["key", ...labels];
  const rows = byRun
    ? labels.map((label, at) => [label, ...lines.map((line) => text(line.cells[at]))])
    : lines.map((line) => [line.key, ...line.cells.map(text)]);
  const isNumber = head.map((_, at) => at > 0);
  return {
    Markdown: () => markdown(head, rows, isNumber),
    CSV: () => csv(head, rows),
    LaTeX: () => latex(head, rows, isNumber),
  };
}
