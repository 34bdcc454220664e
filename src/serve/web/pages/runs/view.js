// The state of the page, as its address holds it.

import { queryState } from "../../lib/state.js";

export const DEFAULTS = {
  filter: "",
  /** `FIELD`, `FIELD:asc` or `FIELD:desc`. */
  sort: [],
  /** Columns in order; the usual ones if empty. */
  cols: [],
  /** Columns that stay at the left. */
  pin: [],
  /** Widths that differ: `KEY~120`. */
  w: [],
  /** `1` a tree, `0` a list; else a tree unless there is a filter or an order. */
  tree: "",
  /** `sweep`, `-seed`, or params. */
  by: "",
  /** Number of the baseline. */
  base: "",
  /** Runs, or groups by the number of their first run, whose members are shown. */
  open: [],
  /** Selected runs: `12,15-18`. */
  sel: [],
  deleted: false,
  /** Number of an experiment, in an address that MLflow's client printed. */
  experiment: "",
};

const REMEMBERED = "repro.runs.columns";

/** Creates the state; columns that the user chose before are put into an address without any. */
export function viewState() {
  const state = queryState(DEFAULTS);
  if (state.get().cols.length === 0) {
    const known = readRemembered();
    if (known.length > 0) state.set({ cols: known }, { replace: true });
  }
  state.onChange((now, before) => {
    if (String(now.cols) !== String(before.cols)) {
      if (now.cols.length > 0) localStorage.setItem(REMEMBERED, JSON.stringify(now.cols));
      else localStorage.removeItem(REMEMBERED);
    }
  });
  return state;
}

function readRemembered() {
  try {
    const known = JSON.parse(localStorage.getItem(REMEMBERED) ?? "[]");
    return Array.isArray(known) ? known.filter((key) => typeof key === "string") : [];
  } catch {
    return [];
  }
}

/**
 * Writes numbers as ranges: `12`, `15-18`.
 *
 * @param {Iterable<number>} numbers
 * @returns {string[]}
 */
export function ranges(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const found = [];
  for (const number of sorted) {
    const last = found.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`));
}

/** Maximum number of runs that an address selects. */
const MOST_SELECTED = 100_000;

/**
 * Reads what {@link ranges} wrote; anything else is left out.
 *
 * @param {string[]} texts
 * @returns {Set<number>}
 */
export function fromRanges(texts) {
  const numbers = new Set();
  for (const text of texts) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(text);
    if (!match) continue;
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    for (let n = from; n <= to && numbers.size < MOST_SELECTED; n += 1) numbers.add(n);
  }
  return numbers;
}

/**
 * Returns the order that a click on the head of a column leads to: the usual direction, the other
 * one, none.
 *
 * @param {string[]} sort
 * @param {string} key
 * @param {"asc" | "desc"} usual
 * @returns {string[]}
 */
export function nextSort(sort, key, usual) {
  const other = usual === "asc" ? "desc" : "asc";
  const current = directionOf(sort, key);
  if (current === null) return [`${key}:${usual}`];
  return current === usual ? [`${key}:${other}`] : [];
}

/**
 * Returns the direction in which a column is sorted first; `null` if it is not.
 *
 * @param {string[]} sort
 * @param {string} key
 * @returns {"asc" | "desc" | null}
 */
export function directionOf(sort, key) {
  const first = sort[0] ?? "";
  const match = /^(.*):(asc|desc)$/.exec(first);
  const [name, direction] = match ? [match[1], match[2]] : [first, "desc"];
  return name === key ? direction : null;
}
