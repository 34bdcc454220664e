// The dialog that chooses columns: all names with a search, the chosen ones in their order.

import { fill, h } from "../../lib/dom.js";
import { count, visible } from "../../lib/format.js";
import { fit } from "../../lib/palette.js";

const MOST_SHOWN = 200;

/**
 * Opens the dialog.
 *
 * @param {{names: object, chosen: string[], apply: (keys: string[]) => void}} options  `apply` gets
 *   an empty list for the usual columns
 */
export function pickColumns({ names, chosen, apply }) {
  let keys = [...chosen];
  const all = choices(names);
  const search = h("input", {
    type: "search", ariaLabel: "Search columns", autocomplete: "off", spellcheck: false,
    placeholder: "Search, or a pattern: metrics.train.*",
  });
  const found = h("ul", { class: "choices", ariaLabel: "Columns that can be shown" });
  const picked = h("ol", { class: "choices", ariaLabel: "Columns that are shown" });
  const more = h("p", { class: "dim small" });
  const change = (next) => {
    keys = next;
    draw();
    apply(keys);
  };
  const toggle = (key) =>
    change(keys.includes(key) ? keys.filter((other) => other !== key) : [...keys, key]);

  function draw() {
    const query = search.value.trim();
    const matching = all.filter((key) => matches(key, query));
    fill(found, matching.slice(0, MOST_SHOWN).map((key) => h("li", null, h("label", null,
      h("input", { type: "checkbox", checked: keys.includes(key), onchange: () => toggle(key) }),
      h("span", { title: visible(key) }, visible(key))))));
    const left = matching.length - MOST_SHOWN;
    more.textContent = left > 0 ? `${count(left, "more column")}: search for them` : "";
    showAll.disabled = matching.length === 0 || matching.length > 100;
    showAll.textContent = `Show ${matching.length} found`;
    fill(picked, keys.map((key, at) => h("li", null,
      h("span", { class: "name", title: visible(key) }, visible(key)),
      button("↑", `Move ${key} up`, at > 0, () => change(moved(keys, at, at - 1))),
      button("↓", `Move ${key} down`, at + 1 < keys.length, () => change(moved(keys, at, at + 1))),
      button("×", `Hide ${key}`, true, () => toggle(key)))));
  }

  const showAll = h("button", {
    type: "button",
    onclick: () => {
      const query = search.value.trim();
      change([...new Set([...keys, ...all.filter((key) => matches(key, query))])]);
    },
  });
  const usual = h("button", {
    type: "button",
    class: "quiet",
    onclick: () => {
      apply([]);
      dialog.close();
    },
  }, "Usual columns");
  const close = () => dialog.close();
  const done = h("button", { type: "button", class: "primary", onclick: close }, "Done");
  const dialog = h("dialog", { class: "picker", ariaLabel: "Columns" },
    h("div", { class: "head" }, h("h2", null, "Columns"), h("span", null, usual, done)),
    h("div", { class: "panes" },
      h("section", null, h("div", { class: "toolbar" }, search, showAll), found, more),
      h("section", null, h("h3", null, "Shown"), picked)));
  search.addEventListener("input", draw);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  draw();
  document.body.append(dialog);
  dialog.showModal();
  search.focus();
}

/** Returns the keys of all columns that can be chosen. */
export function choices(names) {
  const metrics = names.metrics.map(({ name }) => name);
  return [
    ...names.attributes.filter((name) => name !== "run"),
    "tags",
    ...metrics.map((name) => `metrics.${name}`),
    ...names.params.map((name) => `params.${name}`),
    ...names.tags.map((name) => `tags.${name}`),
    ...names.metrics.flatMap(({ name, goal }) =>
      (goal ? [`best:${name}`] : [`min:${name}`, `max:${name}`])),
    ...metrics.map((name) => `curve:${name}`),
  ];
}

/** Reports whether a key fits a search: a pattern with `*`, or words that all occur. */
export function matches(key, query) {
  if (query === "") return true;
  if (query.includes("*")) {
    const parts = query.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`, "i").test(key);
  }
  return query.split(/\s+/).every((word) => fit(key, word) >= 2);
}

/** Returns a list with one entry moved. */
export function moved(list, from, to) {
  const rest = list.filter((_, at) => at !== from);
  return [...rest.slice(0, to), list[from], ...rest.slice(to)];
}

const button = (text, label, isEnabled, run) => h("button", {
  type: "button", class: "quiet icon", ariaLabel: visible(label), disabled: !isEnabled,
  onclick: run,
}, text);
