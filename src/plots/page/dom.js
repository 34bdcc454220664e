"use strict";
// Helpers for building the page. Texts become text nodes: nothing here parses HTML.

/** Creates an element. Properties beginning with `on` are listeners; `class` is the class. */
function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key === "class" ? "class" : key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Orders values: numbers before texts, and missing ones last. */
function compareValues(a, b) {
  const rank = (value) => (value === null || value === undefined ? 3 : isNaNText(value) ? 2
    : typeof value === "number" ? 0 : 1);
  const difference = rank(a) - rank(b);
  if (difference !== 0) return difference;
  return typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}

const isNaNText = (value) => value === "NaN";

/** Converts a number as the report writes it: what is not finite is a text. */
function toNumber(value) {
  if (typeof value === "number") return value;
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return Number(value);
  return null;
}

/** Formats a number for the eye: four significant digits, integers in full. */
function showNumber(value) {
  const number = toNumber(value);
  if (number === null) return String(value);
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  if (Number.isInteger(number) && Math.abs(number) < 1e15) return String(number).replace("-", "−");
  const size = Math.abs(number);
  const text = size >= 1e-4 && size < 1e7 ? String(Number(number.toPrecision(4)))
    : number.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  return text.replace(/-/g, "−");
}

/** Formats a param, metric or cell. */
function showValue(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return showNumber(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Returns the counted noun: `1 run`, `3 runs`. */
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** Calls `draw` when the element comes near the visible part of the page. */
const whenNear = (() => {
  const waiting = new Map();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) run(entry.target);
  }, { rootMargin: "600px" });
  const run = (element) => {
    const draw = waiting.get(element);
    waiting.delete(element);
    observer.unobserve(element);
    draw?.();
  };
  const add = (element, draw) => {
    waiting.set(element, draw);
    observer.observe(element);
  };
  /** Draws everything now, for printing. */
  add.all = () => [...waiting.keys()].forEach(run);
  return add;
})();
