// A large table that draws only the rows and columns in sight. Rows keep their elements while they
// stay in sight, and one that has the focus is kept wherever it is.

import { fill, h } from "./dom.js";

/**
 * @typedef {object} WindowedColumn
 * @property {string} key
 * @property {number} width  in pixels
 * @property {boolean} [isPinned]  stays at the left; pinned columns come first
 * @property {string} [className]
 */

/**
 * @typedef {object} WindowedOptions
 * @property {string} label  names the table for screen readers
 * @property {number} rowHeight  in pixels
 * @property {(column: WindowedColumn) => (Node | string)[]} head  content of a head
 * @property {(column: WindowedColumn) => "ascending" | "descending" | "none"} sortOf
 * @property {(index: number) => string} version  a text that changes when the row must be drawn
 *   again
 * @property {(index: number) => {className?: string, isSelected?: boolean}} row
 * @property {(index: number, column: WindowedColumn) => any} cell  content of a cell: a node, a
 *   text or a list
 * @property {(from: number, to: number) => void} onWindow  tells which rows are in sight
 */

/** Rows drawn beyond the visible ones on each side. */
const BEYOND = 12;
/** Pixels drawn beyond the visible columns on each side. */
const BEYOND_COLUMNS = 200;

/**
 * Creates a windowed table.
 *
 * @param {WindowedOptions} options
 */
export function windowed(options) {
  /** @type {WindowedColumn[]} */
  let columns = [];
  let count = 0;
  let offsets = [];
  /** @type {Map<number, HTMLElement>} */
  const drawn = new Map();
  let columnRange = "";
  let scheduled = 0;
  let told = "";
  // What is in sight, as last measured: to measure after a change makes the browser lay out first.
  let seen = { left: 0, top: 0, width: 0, height: 0 };
  const head = h("div", { class: "w-head", role: "row", "aria-rowindex": 1 });
  const body = h("div", { class: "w-body", role: "rowgroup" });
  const table = h("div", { class: "w-table", role: "table", ariaLabel: options.label },
    h("div", { class: "w-heads", role: "rowgroup" }, head), body);
  const scroller = h("div", { class: "windowed", tabIndex: -1 }, table);

  function measure() {
    seen = {
      left: scroller.scrollLeft, top: scroller.scrollTop,
      width: scroller.clientWidth, height: scroller.clientHeight - head.offsetHeight,
    };
  }

  /** Sets a property of the table, whose change concerns the style of all cells. */
  function setProperty(name, value) {
    if (table.style.getPropertyValue(name) !== value) table.style.setProperty(name, value);
  }

  /** Changes the columns; the caller draws. */
  function setColumns(next) {
    columns = next;
    offsets = [];
    let [left, pinned] = [0, 0];
    columns.forEach((column, at) => {
      offsets.push(left);
      left += column.width;
      if (column.isPinned) pinned = left;
      setProperty(`--left-${at}`, `${offsets[at]}px`);
    });
    setProperty("--template", columns.map(({ width }) => `${width}px`).join(" "));
    setProperty("--width", `${left}px`);
    scroller.style.scrollPaddingLeft = `${pinned}px`;
    table.setAttribute("aria-colcount", String(columns.length));
    columnRange = "";
    drawHead();
  }

  function setCount(next) {
    count = next;
    body.style.height = `${count * options.rowHeight}px`;
    table.setAttribute("aria-rowcount", String(count + 1));
  }

  /** Returns the places of the columns in sight; pinned ones always are. */
  function columnsInSight() {
    const from = seen.left - BEYOND_COLUMNS;
    const to = seen.left + seen.width + BEYOND_COLUMNS;
    return columns.map((_, at) => at).filter((at) => columns[at].isPinned
      || (offsets[at] < to && offsets[at] + columns[at].width > from));
  }

  function place(element, at) {
    element.style.gridColumn = String(at + 1);
    element.setAttribute("aria-colindex", String(at + 1));
    if (columns[at].isPinned) element.style.left = `var(--left-${at})`;
    const isLast = columns[at].isPinned && !columns[at + 1]?.isPinned;
    element.className = ["w-cell", columns[at].className, columns[at].isPinned && "pinned",
      isLast && "last-pinned"].filter(Boolean).join(" ");
    return element;
  }

  function drawHead() {
    const focused = head.contains(document.activeElement)
      ? document.activeElement.dataset.focus : null;
    fill(head, columns.map((column, at) => {
      const cell = h("div", {
        role: "columnheader", "aria-sort": options.sortOf(column), data: { key: column.key },
      }, options.head(column));
      return place(cell, at);
    }));
    if (focused) head.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  function drawRow(index, sight) {
    const version = `${options.version(index)}|${columnRange}`;
    let element = drawn.get(index);
    if (element?.dataset.version === version) return;
    if (!element) {
      element = h("div", { role: "row", "aria-rowindex": index + 2, data: { index } });
      element.style.transform = `translateY(${index * options.rowHeight}px)`;
      drawn.set(index, element);
      body.append(element);
    }
    const { className = "", isSelected = false } = options.row(index);
    element.dataset.version = version;
    element.className = `w-row ${className}`;
    element.toggleAttribute("data-selected", isSelected);
    const focused = element.contains(document.activeElement)
      ? document.activeElement.dataset.focus : null;
    fill(element, sight.map((at) => {
      const role = at === 0 ? "rowheader" : "cell";
      return place(fill(h("div", { role }), options.cell(index, columns[at])), at);
    }));
    if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  function visible() {
    const height = Math.max(seen.height, options.rowHeight);
    const first = Math.floor(seen.top / options.rowHeight);
    return [first, Math.min(first + Math.ceil(height / options.rowHeight) + 1, count)];
  }

  function draw() {
    if (seen.width === 0) measure();
    const sight = columnsInSight();
    columnRange = `${sight[0]}-${sight.at(-1)}-${sight.length}`;
    const [first, last] = visible();
    const [from, to] = [Math.max(first - BEYOND, 0), Math.min(last + BEYOND, count)];
    for (const [index, element] of drawn) {
      const isOut = index < from || index >= to;
      if (index >= count || (isOut && !element.contains(document.activeElement))) {
        element.remove();
        drawn.delete(index);
      }
    }
    for (let index = from; index < to; index += 1) drawRow(index, sight);
    const range = `${first}-${last}`;
    if (range !== told) {
      told = range;
      options.onWindow(first, last);
    }
  }

  function schedule() {
    scheduled ||= requestAnimationFrame(() => {
      scheduled = 0;
      measure();
      draw();
    });
  }

  scroller.addEventListener("scroll", schedule, { passive: true });
  new ResizeObserver(schedule).observe(scroller);

  return {
    element: scroller,
    setColumns,
    /** Changes the number of rows; the caller draws once it has changed everything else. */
    setCount,
    /** Draws again what changed. */
    refresh: schedule,
    /** Draws again now what changed. */
    draw,
    /** Draws the heads again. */
    refreshHead: drawHead,
    /** Forgets which rows were told to be in sight, so that they are told again. */
    retell() {
      told = "";
      schedule();
    },
    visible,
    /** Returns the place of the row that contains an element; -1 if none does. */
    indexOf: (element) => Number(element?.closest?.(".w-row")?.dataset.index ?? -1),
    /** Returns the element of a row, if it is drawn. */
    rowElement: (index) => drawn.get(index),
    /** Scrolls as little as is needed to see a row, and draws it. */
    reveal(index) {
      measure();
      const top = index * options.rowHeight;
      if (top < seen.top) scroller.scrollTop = top;
      const bottom = top + options.rowHeight - seen.height;
      if (bottom > seen.top) scroller.scrollTop = bottom;
      measure();
      draw();
    },
    scrollToTop() {
      scroller.scrollTop = 0;
      seen.top = 0;
    },
  };
}
