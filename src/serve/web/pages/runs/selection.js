// The selected runs, which the address holds.

import { fromRanges, ranges } from "./view.js";

/** The selection of a page; ranges go from the run that was selected last. */
export class Selection {
  #state;
  #last = null;

  /** @param {object} state  of the page */
  constructor(state) {
    this.#state = state;
  }

  /** Returns the selected runs, lowest number first. */
  runs() {
    return [...this.#set()].sort((a, b) => a - b);
  }

  has(run) {
    return this.#set().has(run);
  }

  /** Selects a run, or no longer. */
  toggle(run) {
    const set = new Set(this.#set());
    if (!set.delete(run)) set.add(run);
    this.#last = run;
    this.#write(set);
  }

  /**
   * Selects all runs between the one that was selected last and this one.
   *
   * @param {number} run
   * @param {number[]} order  all runs, as they are shown
   */
  extend(run, order) {
    const [from, to] = [order.indexOf(this.#last), order.indexOf(run)].sort((a, b) => a - b);
    const set = new Set(this.#set());
    for (const one of from < 0 ? [run] : order.slice(from, to + 1)) set.add(one);
    this.#last = run;
    this.#write(set);
  }

  /** Selects these runs, or none of them if all are selected. */
  toggleAll(runs) {
    const set = new Set(this.#set());
    const areAll = runs.every((run) => set.has(run));
    for (const run of runs) areAll ? set.delete(run) : set.add(run);
    this.#write(set);
  }

  clear() {
    this.#write(new Set());
  }

  #text = null;
  #cached = new Set();
  #set() {
    const text = this.#state.get().sel.join(",");
    if (text !== this.#text) {
      this.#text = text;
      this.#cached = fromRanges(this.#state.get().sel);
    }
    return this.#cached;
  }

  #write(set) {
    // Each step of a selection is no place to go back to.
    this.#state.set({ sel: ranges(set) }, { replace: true });
  }
}
