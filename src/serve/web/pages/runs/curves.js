// Small curves of the runs in sight, fetched by column.

import { get, url } from "../../lib/api.js";

/** Number of pieces of a curve. */
const WIDTH = 50;

/** Curves by column and run. */
export class Curves {
  /** @type {Map<string, object | null>} */
  #known = new Map();
  #asked = new Set();
  #done;

  /** @param {() => void} done  called when curves arrived */
  constructor(done) {
    this.#done = done;
  }

  /** Returns a curve; `undefined` if it was not fetched yet, `null` if there is none. */
  of(column, run) {
    return this.#known.get(`${column.key} ${run}`);
  }

  /** Fetches the curves of a column that are not known; with `isAgain`, all of them. */
  async want(column, runs, { isAgain = false } = {}) {
    const id = (run) => `${column.key} ${run}`;
    const lacking = runs.filter((run) =>
      !this.#asked.has(id(run)) && (isAgain || !this.#known.has(id(run))));
    if (lacking.length === 0) return;
    lacking.forEach((run) => this.#asked.add(id(run)));
    const key = column.key.replace(/^curve:/, "");
    try {
      const query = { runs: lacking.join(","), key, width: WIDTH };
      const found = await get(url("/api/runs/curves", query));
      lacking.forEach((run) => this.#known.set(id(run), null));
      found.forEach((curve) => this.#known.set(id(curve.run), curve));
      this.#done();
    } catch (error) {
      console.warn(error.message);
    } finally {
      lacking.forEach((run) => this.#asked.delete(id(run)));
    }
  }
}
