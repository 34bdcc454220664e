// The state of a page in the query of its address. Defaults leave no trace, and characters that a
// query may contain stay readable.

/** @typedef {string | number | boolean | string[]} Value */

/** Characters that are kept in a query beyond those of `encodeURIComponent`. */
const READABLE = /%(?:20|2F|3A|40|3C|3E|3D|5B|5D)/g;
const KEPT = {
  "%20": "+", "%2F": "/", "%3A": ":", "%40": "@", "%3C": "<", "%3E": ">", "%3D": "=",
  "%5B": "[", "%5D": "]",
};

/**
 * Connects a state with the address.
 *
 * @template {Record<string, Value>} T
 * @param {T} defaults  also give the types; a list is written `a,b`
 * @returns {{
 *   get: () => T,
 *   set: (part: Partial<T>, options?: {replace?: boolean}) => void,
 *   onChange: (fn: (state: T, before: T) => void) => void,
 *   href: (part?: Partial<T>) => string,
 * }}  `set` adds an entry to the history unless `replace` is set; Back calls the listeners, too
 */
export function queryState(defaults) {
  const listeners = [];
  let state = parse(location.search, defaults);
  const change = (next) => {
    const before = state;
    state = next;
    for (const fn of listeners) fn(state, before);
  };
  addEventListener("popstate", () => change(parse(location.search, defaults)));
  return {
    get: () => state,
    set(part, { replace = false } = {}) {
      const next = { ...state, ...part };
      const query = write(next, defaults);
      if (query === write(state, defaults)) return;
      const address = location.pathname + query + location.hash;
      history[replace ? "replaceState" : "pushState"](null, "", address);
      change(next);
    },
    onChange: (fn) => listeners.push(fn),
    href: (part = {}) => location.pathname + write({ ...state, ...part }, defaults),
  };
}

/**
 * Reads a query.
 *
 * @template {Record<string, Value>} T
 * @param {string} query
 * @param {T} defaults
 * @returns {T}
 */
export function parse(query, defaults) {
  const state = { ...defaults };
  for (const pair of query.replace(/^\?/, "").split("&")) {
    const at = pair.indexOf("=");
    const [key, raw] = at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    if (!Object.hasOwn(defaults, key)) continue;
    state[key] = parseValue(raw, defaults[key]);
  }
  return state;
}

/**
 * Writes a query; the empty text if all values are defaults.
 *
 * @param {Record<string, Value>} state
 * @param {Record<string, Value>} defaults
 */
export function write(state, defaults) {
  const pairs = Object.keys(defaults)
    .filter((key) => writeValue(state[key]) !== writeValue(defaults[key]))
    .map((key) => `${key}=${writeValue(state[key])}`);
  return pairs.length > 0 ? `?${pairs.join("&")}` : "";
}

function parseValue(raw, like) {
  if (Array.isArray(like)) return raw === "" ? [] : raw.split(",").map(decode);
  const text = decode(raw);
  if (typeof like === "boolean") return text === "1";
  if (typeof like === "number") return Number.isFinite(Number(text)) ? Number(text) : like;
  return text;
}

function writeValue(value) {
  if (Array.isArray(value)) return value.map(encode).join(",");
  if (typeof value === "boolean") return value ? "1" : "0";
  return encode(String(value));
}

const encode = (text) => encodeURIComponent(text.toWellFormed())
  .replace(READABLE, (code) => KEPT[code]);

function decode(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
