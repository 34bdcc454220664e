// The heads of columns: sorting by a click, a menu, resizing and moving by the pointer.

import { fill, h } from "../../lib/dom.js";
import { visible } from "../../lib/format.js";
import { isNumeric } from "./cells.js";
import { directionOf } from "./view.js";

const MIN_WIDTH = 48;

/**
 * Creates the content of a head.
 *
 * @param {object} column  a column of the server, or of runs
 * @param {object} actions  `sort`, `menu`, `resize`, `move`
 * @param {object} view
 */
export function headOf(column, actions, view) {
  const direction = directionOf(view.sort, column.key);
  const arrow = { asc: "↑", desc: "↓" }[direction] ?? "";
  const goal = { max: "↗", min: "↘" }[column.goal];
  const label = h("button", {
    type: "button", class: "plain sort", data: { focus: "sort" }, title: visible(column.key),
    disabled: !canSort(column), onclick: () => actions.sort(column),
  },
  h("span", { class: "title" }, middle(visible(column.title))),
  goal && h("span", { class: "hint", title: `better: ${column.goal}imal values` }, goal),
  arrow && h("span", { class: "arrow" }, arrow));
  const menu = h("button", {
    type: "button", class: "plain more", ariaLabel: `Menu of ${visible(column.title)}`,
    "aria-haspopup": "menu", data: { focus: "menu" },
    onclick: (event) => actions.menu(column, event.currentTarget),
  }, "⋯");
  const grip = h("span", { class: "grip", title: "Drag to resize" });
  grip.addEventListener("pointerdown", (event) => startResize(event, column, actions));
  label.draggable = !column.isFixed;
  label.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData("text/plain", column.key);
    event.dataTransfer.effectAllowed = "move";
  });
  label.addEventListener("dragover", (event) => event.preventDefault());
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    actions.move(event.dataTransfer.getData("text/plain"), column.key);
  });
  return [label, menu, grip];
}

/** Reports whether the server can sort by a column. */
export const canSort = (column) => !["tags", "curve"].includes(column.kind);

/** Returns the direction of the first click on a head. */
export function usualDirection(column) {
  if (column.goal) return column.goal === "min" ? "asc" : "desc";
  return isNumeric(column) || column.kind === "time" || column.isFixed ? "desc" : "asc";
}

/** Splits a name after its stage or section, so that its end stays visible when it is cut. */
function middle(text) {
  const at = text.lastIndexOf(".", text.length - 2) + 1;
  return at > 0 ? [h("span", { class: "start" }, text.slice(0, at)),
    h("span", { class: "rest" }, text.slice(at))] : h("span", { class: "rest" }, text);
}

function startResize(event, column, actions) {
  event.preventDefault();
  const grip = event.currentTarget;
  const [x, width] = [event.clientX, column.width];
  const at = (other) => Math.max(MIN_WIDTH, Math.round(width + other.clientX - x));
  grip.setPointerCapture(event.pointerId);
  const drag = (other) => actions.resize(column, at(other), { isDone: false });
  grip.addEventListener("pointermove", drag);
  grip.addEventListener("pointerup", (other) => {
    grip.removeEventListener("pointermove", drag);
    actions.resize(column, at(other), { isDone: true });
  }, { once: true });
}

/**
 * Shows a menu at an element.
 *
 * @param {HTMLElement} place
 * @param {string} label
 * @param {({title: string, run: () => void} | null)[]} entries  `null` is left out
 */
export function showMenu(place, label, entries) {
  document.querySelector(".popup-menu")?.remove();
  const { left, bottom } = place.getBoundingClientRect();
  const menu = h("div", { class: "popup-menu", role: "menu", ariaLabel: label, tabIndex: -1 });
  const close = () => {
    menu.remove();
    removeEventListener("pointerdown", outside, true);
  };
  const outside = (event) => menu.contains(event.target) || close();
  fill(menu, entries.filter(Boolean).map(({ title, run }) => h("button", {
    type: "button", role: "menuitem", class: "item",
    onclick: () => {
      close();
      place.isConnected && place.focus();
      run();
    },
  }, title)));
  menu.style.setProperty("--x", `${Math.max(8, Math.min(left, innerWidth - 220))}px`);
  const lowest = innerHeight - entries.length * 30 - 16;
  menu.style.setProperty("--y", `${Math.min(bottom + 4, lowest)}px`);
  menu.addEventListener("keydown", (event) => {
    const items = [...menu.children];
    const at = items.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) items[(at + step + items.length) % items.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") {
      close();
      place.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  addEventListener("pointerdown", outside, true);
  document.body.append(menu);
  menu.firstChild?.focus();
}
