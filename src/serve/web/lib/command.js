// The strip at the foot of a page with the command that prints the same.

import { copyText } from "./copy.js";
import { fill, h } from "./dom.js";
import { visible } from "./format.js";

/**
 * Shows the command, or hides the strip.
 *
 * @param {string[] | null} words  without quotes: `["repro", "runs", "list"]`
 */
export function setCommand(words) {
  const strip = document.getElementById("command");
  const text = words ? words.map(quote).join(" ") : "";
  strip.hidden = words === null;
  if (strip.dataset.text === text) return;
  strip.dataset.text = text;
  fill(strip,
    h("span", { class: "label" }, "In the terminal"),
    h("code", { title: visible(text) }, visible(text)),
    h("button", { type: "button", class: "quiet", onclick: () => copyText(text, "the command") },
      "Copy"));
}

/**
 * Quotes a word for a POSIX shell; in double quotes if it contains single ones and nothing that
 * means something in double quotes.
 *
 * @param {string} word
 */
export function quote(word) {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (word.includes("'") && !/["$`\\!]/.test(word)) return `"${word}"`;
  return `'${word.replaceAll("'", "'\\''")}'`;
}
