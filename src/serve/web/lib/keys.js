// Keys of a page: single ones and sequences of two, such as `g r`. They rest while the user types.

import { h } from "./dom.js";

/** Time in milliseconds within which the second key of a sequence counts. */
const SEQUENCE = 900;
/** @type {Map<string, {title: string, run: (event: KeyboardEvent) => void, isListed: boolean}>} */
const keys = new Map();
let first = "";
let pressedAt = 0;

/**
 * Adds a key.
 *
 * @param {string} key  `j`, `Enter`, `?`, `Shift+X`, `Ctrl+K`, `g r`
 * @param {string} title  for the list of keys
 * @param {(event: KeyboardEvent) => void} run  may leave the key to the browser with `return false`
 * @param {{isListed?: boolean}} [options]
 * @returns {() => void}  removes it
 */
export function onKey(key, title, run, { isListed = true } = {}) {
  keys.set(key, { title, run, isListed });
  return () => keys.delete(key);
}

/** Shows the list of keys. */
export function showKeys() {
  const rows = [...keys].filter(([, key]) => key.isListed).map(([name, { title }]) =>
    h("tr", null,
      h("td", null, title),
      h("td", { class: "number" }, name.split(" ").map((key) => [h("kbd", null, key), " "]))));
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const dialog = h("dialog", { class: "keys", ariaLabel: "Keys" },
    h("div", { class: "head" }, h("h2", null, "Keys"), close),
    h("table", { class: "plain" }, h("tbody", null, rows)));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

/** Reports whether an element takes typed characters. */
export function isTyping(element) {
  if (!(element instanceof HTMLElement)) return false;
  if (element.isContentEditable || element.matches("textarea, select")) return true;
  return element.matches("input:not([type=checkbox], [type=radio], [type=range], [type=button])");
}

function nameOf(event) {
  const key = event.key.length === 1 && event.shiftKey && /[a-z]/i.test(event.key)
    ? `Shift+${event.key.toUpperCase()}` : event.key;
  if (!event.ctrlKey && !event.metaKey) return key;
  return `Ctrl+${event.key.toUpperCase()}`;
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const hasModifier = event.ctrlKey || event.metaKey;
  if (!hasModifier && isTyping(event.target)) return;
  // Enter and space belong to what has the focus.
  const isPress = event.key === "Enter" || event.key === " ";
  if (isPress && event.target.closest?.("a, button, summary, dialog")) return;
  if (!hasModifier && document.querySelector("dialog[open]")) return;
  const name = nameOf(event);
  const isSecond = first !== "" && event.timeStamp - pressedAt < SEQUENCE;
  const key = (isSecond && keys.get(`${first} ${name}`)) || keys.get(name);
  first = "";
  if (key) {
    if (key.run(event) !== false) event.preventDefault();
  } else if ([...keys.keys()].some((other) => other.startsWith(`${name} `))) {
    first = name;
    pressedAt = event.timeStamp;
  }
});
