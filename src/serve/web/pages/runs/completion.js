// Completion of filters: what may follow at a place, without knowing any page.

const NUMBERS = [">", ">=", "<", "<=", "=", "!=", "IS NULL", "IS NOT NULL"];
const TEXTS = ["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"];
const NUMERIC = ["run", "started", "ended", "took"];

/**
 * @typedef {{kind: "field" | "operator" | "value" | "and", from: number, typed: string,
 *   field: string}} Place
 *   `from` is where the word begins that a completion replaces
 */

/** The tokens of a filter: quoted texts, operators, words. */
const TOKEN = /\s*(?:(`[^`]*`?|'[^']*'?|"[^"]*"?)|(!=|>=|<=|[=<>(),])|([^\s=<>!(),'"]+))/y;

/**
 * Finds what stands at the end of a text.
 *
 * @param {string} text  up to the cursor
 * @returns {Place}
 */
export function placeIn(text) {
  let [state, field, at] = ["field", "", 0];
  let last = { from: text.length, typed: "", before: "field" };
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) break;
    const token = match[0].trimStart();
    at = TOKEN.lastIndex;
    last = { from: at - token.length, typed: token, before: state };
    [state, field] = next(state, field, token);
  }
  // What is typed last is not complete until a space follows it.
  if (at === text.length && last.typed !== "" && !/[=<>(),]$/.test(last.typed)) {
    return { kind: kindOf(last.before), from: last.from, typed: last.typed, field };
  }
  return { kind: kindOf(state), from: text.length, typed: "", field };
}

function next(state, field, token) {
  const word = token.toUpperCase();
  switch (state) {
    case "field": return ["operator", token];
    case "operator":
      if (word === "IS") return ["null", field];
      if (word === "NOT") return ["operator", field];
      return [word === "IN" ? "list" : "value", field];
    case "null": return [word === "NULL" ? "and" : "null", field];
    case "list": return [token === ")" ? "and" : "list", field];
    case "value": return ["and", field];
    default: return [word === "AND" ? "field" : "and", field];
  }
}

const kindOf = (state) => ({ list: "value", null: "operator" })[state] ?? state;

/**
 * Returns the operators that a field can have.
 *
 * @param {string} field
 */
export function operatorsOf(field) {
  if (/^metrics?\./.test(field) || NUMERIC.includes(field)) return NUMBERS;
  if (/^params?\./.test(field)) return [...NUMBERS.slice(0, 6), ...TEXTS.slice(2)];
  return TEXTS;
}

/**
 * Writes the name of a field for a filter; in quotes if it has unusual characters.
 *
 * @param {string} prefix  `metrics.`
 * @param {string} name
 */
export const fieldText = (prefix, name) =>
  (/^[\w./@-]+$/.test(name) && !/[@/-]/.test(name) ? `${prefix}${name}` : `${prefix}\`${name}\``);

/**
 * Puts a completion into a text.
 *
 * @param {string} text
 * @param {number} cursor
 * @param {Place} place
 * @param {string} chosen
 * @returns {{text: string, cursor: number}}
 */
export function complete(text, cursor, place, chosen) {
  const before = text.slice(0, place.from);
  const space = before !== "" && !/[\s(]$/.test(before) ? " " : "";
  const start = `${before}${space}${chosen} `;
  return { text: start + text.slice(cursor).trimStart(), cursor: start.length };
}
