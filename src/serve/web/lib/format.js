// Values as texts, in the form in which the command line prints them.

const DECIMALS = 4;

/**
 * Converts a number as JSON holds it: `NaN` and infinities are texts.
 *
 * @param {any} value
 * @returns {number | null}
 */
export function toNumber(value) {
  if (typeof value === "number") return value;
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return Number(value);
  return null;
}

/**
 * Formats a number for the eye: integers in full, others with four significant decimals.
 *
 * @param {number | string | null} value
 */
export function number(value) {
  const double = toNumber(value);
  if (double === null) return "–";
  if (Number.isNaN(double)) return "NaN";
  if (!Number.isFinite(double)) return double > 0 ? "∞" : "−∞";
  return plain(double).replaceAll("-", "−");
}

/** Formats a difference: a number with its sign, except for 0. */
export function difference(value) {
  const text = number(value);
  return toNumber(value) > 0 ? `+${text}` : text;
}

/**
 * Formats a param, a metric or a cell; control characters become visible.
 *
 * @param {any} value
 */
export function value(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value);
  return visible(typeof value === "string" ? value : JSON.stringify(value));
}

/**
 * Makes control characters visible, and those that change the direction of a text.
 *
 * @param {string} text
 */
export function visible(text) {
  return text.replace(HIDDEN, (char) => {
    const code = char.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? "␡" : `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** Control characters, marks of direction, and characters without width. */
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * Formats a duration in milliseconds: `850ms`, `7.3s`, `41s`, `3m12s`, `2h07m`.
 *
 * @param {number | null} millis
 */
export function duration(millis) {
  if (millis === null || millis === undefined) return "–";
  const seconds = Math.floor(millis / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (millis < 1000) return `${Math.round(millis)}ms`;
  if (seconds < 10) return `${seconds}.${Math.floor((millis % 1000) / 100)}s`;
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
}

/**
 * Formats a size: `999 B`, `1.5 kB`, `12 MB`.
 *
 * @param {number | null} size
 */
export function bytes(size) {
  if (size === null || size === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  while (size >= 999.5 && at < units.length - 1) {
    size /= 1000;
    at += 1;
  }
  return `${at > 0 && size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[at]}`;
}

/**
 * Formats a time in the zone of this browser: `2026-05-09 14:03:22`.
 *
 * @param {number | null} millis  since 1970
 */
export function time(millis) {
  const at = millis === null || millis === undefined ? new Date(NaN) : new Date(millis);
  if (Number.isNaN(at.getTime())) return "–";
  const two = (number) => String(number).padStart(2, "0");
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

/**
 * Formats a time relative to now: `just now`, `5m ago`, `3h ago`, `12d ago`.
 *
 * @param {number | null} millis  since 1970
 * @param {number} [now]
 */
export function ago(millis, now = Date.now()) {
  if (millis === null || millis === undefined) return "–";
  const minutes = Math.floor((now - millis) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes}m ago`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ago`;
  return `${Math.floor(minutes / 1440).toLocaleString("en")}d ago`;
}

/** Returns the counted noun: `1 run`, `3 runs`. */
export const count = (number, noun) =>
  `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/**
 * Orders values: numbers, then texts, then NaN, then missing ones.
 *
 * @param {any} a
 * @param {any} b
 */
export function compare(a, b) {
  const byRank = rank(a) - rank(b);
  if (byRank !== 0) return byRank;
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x !== null && y !== null) return Number.isNaN(x) || x === y ? 0 : x - y;
  return COLLATOR.compare(text(a), text(b));
}

const COLLATOR = new Intl.Collator("en", { numeric: true });
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? "");

function rank(value) {
  if (value === null || value === undefined) return 3;
  const number = toNumber(value);
  if (number === null) return 1;
  return Number.isNaN(number) ? 2 : 0;
}

function plain(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 2 ** 64) return BigInt(value).toString();
  if (size < 1e-4 || size >= 1e7) {
    return value.toExponential(DECIMALS - 1).replace(/\.?0*e/, "e").replace("e+", "e");
  }
  const zeros = Math.max(-Math.floor(Math.log10(size)) - 1, 0);
  for (let decimals = DECIMALS; decimals < 17; decimals += 1) {
    const text = value.toFixed(decimals + zeros).replace(/0+$/, "");
    // It would look like a whole number.
    if (!text.endsWith(".")) return text;
  }
  return String(value);
}
