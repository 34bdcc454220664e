// Copies texts to the clipboard.

import { h } from "./dom.js";
import { toast } from "./toast.js";

/**
 * Copies a text and says so.
 *
 * @param {string} text
 * @param {string} [what]  names it in the message
 */
export async function copyText(text, what = "") {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    toast(["Copied", what].filter(Boolean).join(" "));
  } catch {
    toast("the browser does not allow to copy", { isError: true });
  }
}

/**
 * Creates a button that copies.
 *
 * @param {() => string} text
 * @param {{label?: string, what?: string}} [options]
 */
export const copyButton = (text, { label = "Copy", what = "" } = {}) =>
  h("button", { type: "button", class: "quiet", onclick: () => copyText(text(), what) }, label);

/**
 * Creates a menu of formats to copy in.
 *
 * @param {Record<string, () => string | Promise<string>>} formats  by label
 * @param {string} [label]
 */
export function copyMenu(formats, label = "Copy") {
  const items = Object.entries(formats).map(([name, text]) => h("button", {
    type: "button",
    class: "item",
    onclick: async () => {
      menu.open = false;
      await copyText(await text(), `as ${name}`);
    },
  }, name));
  const menu = h("details", { class: "menu" }, h("summary", { class: "button" }, label),
    h("div", { class: "items" }, items));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  return menu;
}

/** Copies on pages that are not from this machine, where browsers offer no clipboard. */
function copyBySelection(text) {
  const area = document.body.appendChild(h("textarea", { class: "unseen", value: text }));
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (!isCopied) throw new Error("not copied");
}
