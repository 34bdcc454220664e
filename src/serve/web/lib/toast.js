// Short messages at the edge of the page, with at most one action.

import { h } from "./dom.js";

/** Time in milliseconds for which a message without an action stays. */
const SHOWN = 5000;
/** Time in milliseconds for which a message with an action stays. */
const SHOWN_WITH_ACTION = 12_000;

/**
 * Shows a message.
 *
 * @param {string} text
 * @param {{action?: string, run?: () => void, isError?: boolean}} [options]  `action` labels a
 *   button that calls `run`
 */
export function toast(text, { action, run, isError = false } = {}) {
  const close = () => element.remove();
  const button = action && h("button", {
    type: "button",
    onclick: () => {
      close();
      run?.();
    },
  }, action);
  const dismiss = h("button", {
    type: "button", class: "quiet icon", ariaLabel: "Dismiss", onclick: close,
  }, "×");
  const element = h("div", { class: isError ? "toast bad" : "toast" },
    h("span", null, text), button, dismiss);
  document.getElementById("toasts").append(element);
  let timer = setTimeout(close, action ? SHOWN_WITH_ACTION : SHOWN);
  // A message that is being read stays.
  element.addEventListener("mouseenter", () => clearTimeout(timer));
  element.addEventListener("mouseleave", () => (timer = setTimeout(close, SHOWN)));
}

/**
 * Shows an error of a request.
 *
 * @param {Error & {hint?: string | null}} error
 */
export function toastError(error) {
  toast([error.message, error.hint].filter(Boolean).join("; "), { isError: true });
}
