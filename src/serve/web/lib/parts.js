// The runs below another, such as the trials of a sweep: what each tried, and what came out.

import { get, url } from "./api.js";
import { fill, h } from "./dom.js";
import { count, duration, number, value, visible } from "./format.js";
import { table } from "./table.js";

/** Number of runs that are listed; the page of runs lists all. */
const MOST = 100;
/** Number of columns of metrics. */
const MOST_METRICS = 6;

const numberOf = (name) => name.slice("run-".length);

/**
 * Creates a card of the runs below a run; it is empty until `update` has an answer.
 *
 * @returns {{element: HTMLElement, update: (run: object) => Promise<void>}}
 */
export function partsCard() {
  const body = h("div", { class: "body" });
  const title = h("h2", null);
  const links = h("span", { class: "end small" });
  const element = h("section", { class: "card parts" },
    h("div", { class: "head" }, title, links), body);
  let shown = null;

  async function update({ run, kind, parts, children }) {
    title.textContent = kind === "sweep" ? "Trials" : "Runs below";
    if (parts.length === 0) {
      fill(body, h("p", { class: "dim" }, "No trial began yet."));
      return;
    }
    const numbers = parts.map(numberOf);
    const answer = await get(url("/api/runs/cells", { runs: numbers.slice(0, MOST).join(",") }));
    if (answer === shown) return;
    shown = answer;
    fill(links, h("a", { href: `/runs?open=${numberOf(run)}` }, "In the table"), " · ",
      h("a", { href: `/compare?runs=${numbers.slice(0, 50).join(",")}` }, "Compare"));
    fill(body, partsTable(answer, children?.best ?? null, parts.length));
  }
  return { element, update };
}

function partsTable({ columns, rows }, best, total) {
  const varies = (values) => new Set(values.map((one) => JSON.stringify(one))).size > 1;
  const params = columns.map((column, at) => ({ ...column, values: rows.values[at] }))
    .filter(({ kind, values }) => kind === "param" && varies(values));
  const metrics = columns.map((column, at) => ({ ...column, values: rows.values[at] }))
    .filter(({ kind, values }) => kind === "metric" && values.some((one) => one !== null))
    .slice(0, MOST_METRICS);
  const took = rows.values[columns.findIndex(({ key }) => key === "took")];
  const isNumber = ({ values }) => values.every((one) => one === null || typeof one === "number");
  const shown = (one, format) => (one === null ? "–" : format(one));
  return table({
    caption: total > rows.run.length ? `the first ${rows.run.length} of ${count(total, "run")}`
      : count(total, "run"),
    columns: [
      { key: "run", title: "run", format: (run) => `run-${run}`,
        render: (run, row) => [h("a", { class: "status", data: { status: row.status },
          href: `/runs/run-${run}`, title: row.status },
        row.name ? visible(row.name) : `run-${run}`, h("span", { class: "unseen" }, row.status)),
        `run-${run}` === best && h("span", { class: "badge" }, "best")] },
      ...params.map((param) => ({ key: param.key, title: visible(param.title),
        kind: isNumber(param) ? "number" : "text", format: (one) => shown(one, value) })),
      ...metrics.map(({ key, title, goal }) => ({ key, title: visible(title), kind: "number",
        hint: { max: "↑", min: "↓" }[goal], format: (one) => shown(one, number) })),
      { key: "took", title: "took", kind: "number", format: (one) => shown(one, duration) },
    ],
    rows: rows.run.map((run, at) => ({
      run, name: rows.name[at], status: rows.status[at], took: took?.[at] ?? null,
      ...Object.fromEntries([...params, ...metrics].map(({ key, values }) => [key, values[at]])),
    })),
  });
}
