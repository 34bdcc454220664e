// The palette of Ctrl-K: pages, actions of the page, and whatever else the page can find.

import { fill, h } from "./dom.js";

/**
 * @typedef {{title: string, note?: string, keys?: string, href?: string, run?: () => void}} Entry
 *   with either an address or an action
 */

const MOST_SHOWN = 40;
/** @type {Entry[]} */
const entries = [];
/** @type {((query: string) => Entry[] | Promise<Entry[]>)[]} */
const providers = [];

/**
 * Adds entries.
 *
 * @param {...Entry} added
 */
export const addEntries = (...added) => void entries.push(...added);

/**
 * Adds a source of entries that depend on what the user types.
 *
 * @param {(query: string) => Entry[] | Promise<Entry[]>} provider
 */
export const addProvider = (provider) => void providers.push(provider);

/** Opens the palette. */
export function openPalette() {
  if (document.querySelector("dialog.palette")) return;
  let shown = [];
  let at = 0;
  let asked = 0;
  const list = h("ul", { id: "palette-list", role: "listbox", ariaLabel: "Results" });
  const input = h("input", {
    type: "text", placeholder: "Go to a page, a run, a stage; or do something", role: "combobox",
    ariaLabel: "Search", "aria-controls": list.id, "aria-expanded": "true",
    "aria-autocomplete": "list", autocomplete: "off", spellcheck: false,
  });
  const dialog = h("dialog", { class: "palette", ariaLabel: "Palette" }, input, list);

  const choose = (entry) => {
    dialog.close();
    if (entry.href) location.assign(entry.href);
    else entry.run();
  };
  const mark = (next) => {
    at = Math.max(0, Math.min(next, shown.length - 1));
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
    const item = list.children[at];
    input.setAttribute("aria-activedescendant", item?.id ?? "");
    item?.scrollIntoView({ block: "nearest" });
  };
  const draw = (found) => {
    shown = found.slice(0, MOST_SHOWN);
    fill(list, shown.map((entry, i) => h("li", {
      id: `palette-${i}`, role: "option", onclick: () => choose(entry), onmousemove: () => mark(i),
    },
    h("span", { class: "title" }, entry.title),
    entry.note && h("span", { class: "note" }, entry.note),
    entry.keys && h("kbd", null, entry.keys))));
    if (shown.length === 0) fill(list, h("li", { class: "none" }, "Nothing found"));
    mark(0);
  };
  const search = async () => {
    const query = input.value.trim();
    const ticket = (asked += 1);
    const own = ranked(entries, query);
    draw(own);
    for (const provider of providers) {
      const more = await Promise.resolve(provider(query)).catch(() => []);
      if (ticket !== asked) return;
      if (more.length > 0) own.push(...more);
    }
    if (own.length !== shown.length) draw(own);
  };

  input.addEventListener("input", search);
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) mark(at + step);
    else if (event.key === "Enter" && shown[at]) choose(shown[at]);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  search();
}

/**
 * Orders entries by how well their titles fit; those that do not are left out.
 *
 * @template {{title: string}} T
 * @param {T[]} list
 * @param {string} query
 * @returns {T[]}
 */
export function ranked(list, query) {
  if (query === "") return [...list];
  const scored = list.map((entry) => ({ entry, score: fit(entry.title, query) }));
  return scored.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score)
    .map(({ entry }) => entry);
}

/**
 * Returns how well a text fits what was typed; 0 if it does not. A text that begins with it fits
 * best, then a word that does, then one that contains it, then one with its letters in order.
 *
 * @param {string} text
 * @param {string} query
 */
export function fit(text, query) {
  const [low, wanted] = [text.toLowerCase(), query.toLowerCase()];
  const at = low.indexOf(wanted);
  if (at === 0) return 4;
  if (at > 0) return /[\s._/@-]/.test(low[at - 1]) ? 3 : 2;
  let from = 0;
  for (const char of wanted) {
    from = low.indexOf(char, from) + 1;
    if (from === 0) return 0;
  }
  return 1 / (1 + from);
}
