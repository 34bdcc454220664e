// A small table that can be sorted and copied. For many rows see `windowed.js`.

import { copyMenu } from "./copy.js";
import { fill, h } from "./dom.js";
import { csv, latex, markdown } from "./exports.js";
import { compare, value as format } from "./format.js";

/**
 * @typedef {object} Column
 * @property {string} key  names the value in a row
 * @property {string} title
 * @property {"number" | "text"} [kind]
 * @property {string} [hint]  shown in the head: a unit, a direction
 * @property {(value: any, row: object) => string} [format]
 * @property {(value: any, row: object) => Node | string} [render]  instead of the formatted text
 */

/**
 * Creates a table.
 *
 * @param {object} options
 * @param {string} options.caption  shown above it, and its name for screen readers
 * @param {Column[]} options.columns
 * @param {Record<string, any>[]} options.rows
 * @param {boolean} [options.canCopy]
 * @returns {HTMLElement & {setRows: (rows: Record<string, any>[]) => void}}
 */
export function table({ caption, columns, rows, canCopy = true }) {
  let sort = { key: "", isDescending: false };
  const heads = columns.map((column) => headOf(column, () => {
    const isSame = sort.key === column.key;
    // Numbers begin with the largest; a third click brings back the first order.
    const startsDescending = column.kind === "number";
    if (!isSame) sort = { key: column.key, isDescending: startsDescending };
    else if (sort.isDescending === startsDescending) {
      sort = { key: column.key, isDescending: !startsDescending };
    } else sort = { key: "", isDescending: false };
    draw();
  }));
  const body = h("tbody");
  const texts = () => sorted(rows, sort)
    .map((row) => columns.map((column) => textOf(column, row)));
  const head = columns.map((column) => column.title);
  const isNumber = columns.map((column) => column.kind === "number");

  function draw() {
    columns.forEach((column, at) => {
      if (column.title === "") return;
      const direction = sort.isDescending ? "descending" : "ascending";
      heads[at].ariaSort = column.key === sort.key ? direction : "none";
    });
    fill(body, sorted(rows, sort).map((row) => h("tr", null, columns.map((column) =>
      h("td", { class: column.kind === "number" ? "number" : null },
        column.render ? column.render(row[column.key], row) : textOf(column, row))))));
  }

  draw();
  const box = h("div", { class: "small-table" },
    canCopy && h("div", { class: "bar" }, h("span", { class: "dim small" }, caption), copyMenu({
      Markdown: () => markdown(head, texts(), isNumber),
      CSV: () => csv(head, texts()),
      LaTeX: () => latex(head, texts(), isNumber),
    })),
    h("div", { class: "scroll", tabIndex: 0, role: "group", ariaLabel: caption },
      h("table", null, h("caption", { class: "unseen" }, caption),
        h("thead", null, h("tr", null, heads)), body)));
  return Object.assign(box, {
    setRows(next) {
      rows = next;
      draw();
    },
  });
}

function headOf(column, onSort) {
  if (column.title === "") return h("td");
  return h("th", { scope: "col", class: column.kind === "number" ? "number" : null },
    h("button", { type: "button", class: "plain", onclick: onSort }, column.title,
      column.hint && h("span", { class: "hint" }, column.hint)));
}

const textOf = (column, row) => (column.format ?? format)(row[column.key], row);

function sorted(rows, { key, isDescending }) {
  if (key === "") return rows;
  return [...rows].sort((a, b) => {
    const [x, y] = [a[key], b[key]];
    // NaN and missing values stay last in both directions.
    const isLast = (value) => value === null || value === undefined || value === "NaN";
    const order = compare(x, y);
    return isDescending && !isLast(x) && !isLast(y) ? -order : order;
  });
}
