// The theme: the choice of the system, unless the user chose.

/** @typedef {"auto" | "light" | "dark"} Theme */

const KEY = "repro.theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const ICONS = { auto: "◐", light: "☀", dark: "☾" };
const NAMES = { auto: "as the system", light: "light", dark: "dark" };
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

/** Returns the chosen theme. */
export const theme = () => /** @type {Theme} */ (document.documentElement.dataset.theme ?? "auto");

/** Reports whether the page is dark now. */
export const isDark = () => theme() === "dark" || (theme() === "auto" && system.matches);

/**
 * Calls `fn` when the page becomes dark or light. Canvases draw again; CSS needs nothing.
 *
 * @param {(isDark: boolean) => void} fn
 * @returns {() => void}  ends it
 */
export function onTheme(fn) {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

/** Chooses the next theme: as the system, light, dark. */
export function nextTheme() {
  const next = NEXT[theme()];
  if (next === "auto") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, next);
    document.documentElement.dataset.theme = next;
  }
  tell();
}

/** Shows the theme on a button, which switches it. */
export function attachThemeButton(button) {
  const draw = () => {
    button.textContent = ICONS[theme()];
    button.ariaLabel = `Theme: ${NAMES[theme()]}`;
    button.title = `${button.ariaLabel} (t)`;
  };
  button.addEventListener("click", nextTheme);
  listeners.add(draw);
  draw();
}

function tell() {
  for (const fn of listeners) fn(isDark());
}

system.addEventListener("change", tell);
