// The column that is emphasized in the table and in all charts: the one under the pointer, else the
// one that was clicked.

export class Focus {
  #listeners = new Set();
  #pinned = null;
  #hovered = null;

  /** Position of a column, or `null`. */
  get column() {
    return this.#hovered ?? this.#pinned;
  }

  /** @param {number | null} column */
  hover(column) {
    this.#change(() => (this.#hovered = column));
  }

  /** Keeps a column emphasized; a second time lets it go. */
  pin(column) {
    this.#change(() => (this.#pinned = this.#pinned === column ? null : column));
  }

  /** Keeps the next of `count` columns emphasized, or the one before. */
  move(by, count) {
    const next = this.#pinned === null ? (by > 0 ? 0 : count - 1) : this.#pinned + by;
    this.#change(() => (this.#pinned = Math.min(Math.max(next, 0), count - 1)));
  }

  /**
   * Calls `fn` when another column is emphasized.
   *
   * @param {(column: number | null) => void} fn
   * @returns {() => void}  ends it
   */
  onChange(fn) {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  #change(edit) {
    const before = this.column;
    edit();
    if (this.column === before) return;
    for (const fn of this.#listeners) fn(this.column);
  }
}
