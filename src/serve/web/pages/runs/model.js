// The runs that the table shows: their order, which stays as it is until the user asks for another
// one, and the values of those that are in sight.

import { get, isAborted, url } from "../../lib/api.js";

/** Number of runs whose values come with the order. */
const FIRST = 60;
/** Maximum number of runs in one request for values. */
const AT_ONCE = 100;

/**
 * @typedef {{run: number, uid: string, name: string | null, status: string, kind: string,
 *   note: string | null, tags: Record<string, string>, children: number,
 *   best: number | null, values: Record<string, any>, text: string}} Row
 */

/**
 * @typedef {{run: number, depth: number, group?: object}} Item  a row of the table; a group stands
 *   for its runs, and `run` is the first of them
 */

/** The order, the columns and the values of a view. */
export class Model {
  /** @type {Item[]} */
  items = [];
  /** @type {object[]} */
  columns = [];
  total = 0;
  isTree = false;
  /** Params that tell groups apart. */
  groupKeys = [];
  /** @type {Map<number, Row>} */
  rows = new Map();
  #wanted = new Set();
  #asked = null;
  #view = null;
  #loads = 0;
  /** Called with no argument when values arrived. */
  onRows = () => {};

  /**
   * Loads a view.
   *
   * @returns {Promise<boolean>}  false if a later view took its place
   */
  async load(view) {
    const load = (this.#loads += 1);
    const answer = await get(address(view, FIRST));
    if (load !== this.#loads) return false;
    this.#view = view;
    this.columns = answer.columns;
    this.total = answer.total;
    this.isTree = answer.is_tree ?? false;
    this.groupKeys = answer.keys ?? [];
    this.items = itemsOf(answer, view);
    if (answer.rows) this.#take(answer);
    return true;
  }

  /**
   * Compares the order with the one that the server has now.
   *
   * @returns {Promise<{added: number, isOther: boolean}>}
   */
  async changes() {
    const view = this.#view;
    if (!view || view.by) return { added: 0, isOther: false };
    const answer = await get(address(view, 0));
    if (view !== this.#view) return { added: 0, isOther: false };
    const known = new Set(this.items.map((item) => item.run));
    const added = answer.runs.filter((run) => !known.has(run)).length;
    const isOther = answer.runs.length !== this.items.length
      || answer.runs.some((run, at) => run !== this.items[at].run);
    return { added, isOther };
  }

  /** Asks for the values of runs that are not known; with `isAgain`, of all of them. */
  want(runs, { isAgain = false } = {}) {
    const keys = this.columns.map((column) => column.key);
    const lacks = (run) => {
      const row = this.rows.get(run);
      return !row || keys.some((key) => !(key in row.values));
    };
    this.#wanted = new Set(runs.filter((run) => isAgain || lacks(run)));
    if (!this.#asked) this.#ask();
  }

  async #ask() {
    const runs = [...this.#wanted].slice(0, AT_ONCE);
    runs.forEach((run) => this.#wanted.delete(run));
    if (runs.length === 0) return;
    this.#asked = runs;
    try {
      this.#take(await this.cells(runs));
    } catch (error) {
      if (!isAborted(error)) console.warn(error.message);
    } finally {
      this.#asked = null;
    }
    this.#ask();
  }

  /** Requests the values of runs. */
  cells(runs) {
    const columns = this.columns.map((column) => column.key).join(",");
    return get(url("/api/runs/cells", { runs: runs.join(","), columns }));
  }

  /** Reads the values of all runs of the view, for copying. */
  async all(runs) {
    const rows = [];
    for (let at = 0; at < runs.length; at += 500) {
      rows.push(...rowsOf(await this.cells(runs.slice(at, at + 500))));
    }
    return rows;
  }

  #take(answer) {
    let isChanged = false;
    for (const row of rowsOf(answer)) {
      const old = this.rows.get(row.run);
      if (old) row.values = { ...old.values, ...row.values };
      row.text = JSON.stringify({ ...row, text: "" });
      if (old?.text === row.text) continue;
      this.rows.set(row.run, row);
      isChanged = true;
    }
    if (isChanged) this.onRows();
  }
}

function address(view, count) {
  const { filter, sort, cols, tree, open, deleted, by } = view;
  const common = {
    filter, sort: sort.join(","), columns: cols.join(","), deleted: deleted ? "1" : "",
  };
  if (by) return url("/api/runs/groups", { ...common, by });
  return url("/api/runs", { ...common, tree, open: open.join(","), count });
}

function itemsOf(answer, view) {
  if (!answer.groups) {
    return answer.runs.map((run, at) => ({ run, depth: answer.depths[at] ?? 0 }));
  }
  return answer.groups.flatMap((group) => {
    const top = { run: group.runs[0], depth: 0, group };
    if (!view.open.includes(String(top.run))) return [top];
    return [top, ...group.runs.map((run) => ({ run, depth: 1 }))];
  });
}

/** Turns columns of values into rows. */
function rowsOf({ columns, rows }) {
  return rows.run.map((run, at) => ({
    run,
    uid: rows.uid[at],
    name: rows.name[at],
    status: rows.status[at],
    kind: rows.kind[at],
    note: rows.note[at],
    tags: rows.tags[at],
    children: rows.children[at],
    best: rows.best[at],
    values: Object.fromEntries(columns.map((column, i) => [column.key, rows.values[i][at]])),
    text: "",
  }));
}
