// The params of a run, with a mark at those that were overridden.

import { fill, h } from "../../lib/dom.js";
import { count, value, visible } from "../../lib/format.js";
import { onKey } from "../../lib/keys.js";
import { table } from "../../lib/table.js";

/** Creates the tab. */
export function paramsTab(page) {
  const { state } = page;
  const filter = h("input", { type: "search", placeholder: "Filter params", size: 26,
    ariaLabel: "Filter params (/)", value: state.get().q,
    oninput: () => state.set({ q: filter.value }, { replace: true }) });
  const box = h("div");
  const end = onKey("/", "Filter", () => filter.focus());
  const element = h("section", { class: "params" }, h("div", { class: "toolbar" }, filter), box);
  let drawn = "";

  function update() {
    const { params, overridden } = page.run();
    const words = state.get().q.toLowerCase().split(/\s+/).filter(Boolean);
    const key = JSON.stringify([params, overridden, words]);
    if (key === drawn) return;
    drawn = key;
    const marked = new Set(overridden);
    const rows = Object.entries(params).map(([name, of]) => ({
      name, value: of, mark: marked.has(name) ? "overridden" : "",
    })).filter((row) => words.every((word) =>
      `${row.name} ${value(row.value)} ${row.mark}`.toLowerCase().includes(word)));
    const total = Object.keys(params).length;
    const caption = rows.length < total ? `${rows.length} of ${count(total, "param")}`
      : count(total, "param");
    fill(box, total === 0 ? h("p", { class: "empty" }, "This run has no params.") : table({
      caption,
      columns: [
        { key: "name", title: "param", render: dimPrefix },
        { key: "value", title: "value",
          render: (of) => h("span", { class: "mono wrap" }, value(of)) },
        { key: "mark", title: "override",
          render: (mark) => (mark ? h("span", { class: "badge overridden" }, mark) : "") },
      ],
      rows,
    }));
  }
  return { element, update, leave: end, command: () => ["repro", "runs", "show", page.run().run] };
}

/** Dims all of a dotted key but its last part. */
function dimPrefix(name) {
  const at = name.lastIndexOf(".") + 1;
  return h("span", { class: "mono" }, h("span", { class: "dim" }, visible(name.slice(0, at))),
    visible(name.slice(at)));
}
