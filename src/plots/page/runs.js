"use strict";
// The table of runs: what differs between their params, and their final metrics.

/** Up to this number of runs, each run is a column; otherwise each is a row. */
const MOST_COLUMNS = 4;
const GOALS = { max: "↑", min: "↓" };
const goalTitle = (goal) => (goal === "max" ? "higher is better" : "lower is better");

let showAll = false;
let sorted = { key: null, descending: false };

function runsSection() {
  const table = h("div", { class: "scroll", tabIndex: 0, role: "region", ariaLabel: "Runs" });
  const same = data.params.length - differingParams.length;
  const toggle = same > 0 && runs.length > 1 ? h("button", {
    type: "button",
    ariaPressed: "false",
    onclick: (event) => {
      showAll = !showAll;
      event.target.ariaPressed = String(showAll);
      draw();
    },
  }, `Show the ${count(same, "param")} that ${same === 1 ? "is" : "are"} equal`) : null;
  const draw = () => {
    const focused = table.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
    table.replaceChildren(runs.length > MOST_COLUMNS ? byRow() : byColumn());
    [...table.querySelectorAll("input")].find((input) => input.ariaLabel === focused)?.focus();
  };
  draw();
  onChange((key) => {
    if (["hidden", "colorBy", "theme"].includes(key)) draw();
  });
  return h("section", { id: "runs" }, h("h2", null, "Runs"), table, toggle);
}

function shownParams() {
  const equal = data.params.filter((param) => !param.differs);
  return runs.length === 1 ? data.params : showAll ? [...differingParams, ...equal] : differingParams;
}

function runHead(at, scope) {
  const run = data.runs[at];
  const toggle = h("input", {
    type: "checkbox",
    checked: isVisible(at),
    ariaLabel: `Show ${runs[at]}`,
    onchange: () => {
      const hidden = new Set(state.hidden);
      if (!hidden.delete(run.run)) hidden.add(run.run);
      change("hidden", hidden);
    },
  });
  const swatch = h("span", { class: "swatch", style: { background: colorOf(at) } });
  const status = run.status === "ok" ? null : h("span", { class: "status" }, run.status);
  const started = new Date(run.started).toLocaleString();
  return h("th", { scope, title: started, class: isVisible(at) ? "" : "hidden" },
    h("label", null, runs.length > 1 ? toggle : null, swatch, runs[at]), status);
}

function metricHead(metric, scope) {
  const goal = metric.goal
    ? h("abbr", { title: goalTitle(metric.goal) }, ` ${GOALS[metric.goal]}`) : null;
  return h("th", { scope, title: metric.key }, metric.key, goal);
}

function cell(value, isBest) {
  const isNumber = toNumber(value) !== null;
  const exact = typeof value === "number" ? String(value) : null;
  return h("td", { class: `${isNumber ? "number" : ""}${isBest ? " best" : ""}`, title: exact },
    showValue(value), isBest ? h("span", { class: "unseen" }, " (best)") : null);
}

function byColumn() {
  const body = [];
  const group = (name, list, head) => {
    if (list.length === 0) return;
    body.push(h("tr", { class: "group" },
      h("th", { colSpan: runs.length + 1, scope: "colgroup" }, name)));
    for (const row of list) {
      const isSame = runs.length > 1 && new Set(row.values.map((v) => JSON.stringify(v))).size === 1;
      body.push(h("tr", { class: isSame ? "same" : "" }, head(row),
        row.values.map((value, at) => cell(value, row.best?.includes(at)))));
    }
  };
  group("Params", shownParams(), (param) => h("th", { scope: "row" }, param.key));
  group("Final metrics", data.metrics, (metric) => metricHead(metric, "row"));
  const heads = runs.map((_, at) => runHead(at, "col"));
  return h("table", { class: "runs" },
    h("thead", null, h("tr", null, h("td", null), heads)), h("tbody", null, body));
}

function byRow() {
  const params = shownParams();
  const columns = [...params, ...data.metrics];
  const order = runs.map((_, at) => at);
  const by = columns.find((column) => column.key === sorted.key);
  if (by) {
    const direction = sorted.descending ? -1 : 1;
    order.sort((a, b) => {
      const [one, other] = [by.values[a], by.values[b]];
      const missing = (value) => value === null || value === undefined || isNaNText(value);
      // Missing values stay at the end in both directions.
      if (missing(one) || missing(other)) return compareValues(one, other);
      return direction * compareValues(one, other);
    });
  }
  const head = (column) => {
    const isSorted = sorted.key === column.key;
    const cell = column.best ? metricHead(column, "col") : h("th", { scope: "col" }, column.key);
    const button = h("button", {
      type: "button",
      class: "plain",
      onclick: () => {
        const first = column.goal === "max";
        sorted = { key: column.key, descending: isSorted ? !sorted.descending : first };
        const table = button.closest("table");
        const at = [...table.querySelectorAll("thead button")].indexOf(button);
        const next = byRow();
        table.replaceWith(next);
        next.querySelectorAll("thead button")[at]?.focus();
      },
    }, ...cell.childNodes, isSorted ? (sorted.descending ? " ▾" : " ▴") : "");
    cell.replaceChildren(button);
    if (isSorted) cell.ariaSort = sorted.descending ? "descending" : "ascending";
    return cell;
  };
  const row = (at) => h("tr", {
    onmouseenter: () => change("focus", at),
    onmouseleave: () => change("focus", null),
  }, runHead(at, "row"), columns.map((column) => cell(column.values[at], column.best?.includes(at))));
  const kinds = [[params, "Params"], [data.metrics, "Final metrics"]];
  const groups = kinds.filter(([list]) => list.length > 0).map(([list, name]) =>
    h("th", { colSpan: list.length, scope: "colgroup" }, name));
  return h("table", { class: "runs by-row" },
    h("thead", null, h("tr", { class: "group" }, h("td", null), groups),
      h("tr", null, h("th", { scope: "col" }, "run"), columns.map(head))),
    h("tbody", null, order.map(row)));
}
