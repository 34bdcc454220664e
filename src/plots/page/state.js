"use strict";
// What the page shows: the data, the visible runs, their colors, the theme. The fragment of the
// address keeps what differs from the default.

const data = JSON.parse(document.getElementById("data").textContent);
/** The runs as they are shown: names are not unique. */
const runs = data.runs.map((run) => (run.name ? `${run.name} (${run.run})` : run.run));
const numbers = data.runs.map((run) => run.run);

const PALETTE = {
  light: ["#0072b2", "#d55e00", "#008a64", "#b5528b", "#b37700", "#3d8fc6", "#7356b0", "#8c5a2b"],
  dark: ["#5aaeea", "#ff8a4c", "#3fc79a", "#e493c0", "#f0b93f", "#9bd2ff", "#b39df0", "#cf9a68"],
};
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [12, 6]];
/** Colors from low to high which people with any color vision can order: viridis, without its
    lightest part on a light page and without its darkest part on a dark one. */
const ORDERED = {
  light: ["#440154", "#3b528b", "#21918c", "#4fae52", "#c2b200"],
  dark: ["#6b59b8", "#4c8fc4", "#2fb5a5", "#7bd86b", "#fde725"],
};

const fragment = new URLSearchParams(location.hash.slice(1));
const listeners = [];
const state = {
  theme: fragment.get("theme") ?? "auto",
  hidden: new Set((fragment.get("hide") ?? "").split(",").filter((run) => numbers.includes(run))),
  colorBy: fragment.get("color") ?? defaultColor(),
  filter: fragment.get("find") ?? "",
  /** Position of the run under the pointer, or null. */
  focus: null,
};

/** The metric that a sweep is about: the first that has a goal. */
function mainMetric() {
  const differs = (metric) => new Set(metric.values.map(String)).size > 1;
  return data.metrics.find((metric) => metric.goal && differs(metric)) ?? data.metrics.find(differs);
}

function defaultColor() {
  return runs.length > PALETTE.light.length ? mainMetric()?.key ?? "run" : "run";
}

/** Changes the state, keeps it in the address, and tells the listeners which key changed. */
function change(key, value) {
  if (key === "focus" && state.focus === value) return;
  state[key] = value;
  const kept = new URLSearchParams();
  if (state.theme !== "auto") kept.set("theme", state.theme);
  if (state.hidden.size > 0) kept.set("hide", [...state.hidden].join(","));
  if (state.colorBy !== defaultColor()) kept.set("color", state.colorBy);
  if (state.filter !== "") kept.set("find", state.filter);
  if (key !== "focus") history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname);
  listeners.forEach((listener) => listener(key));
}

const onChange = (listener) => listeners.push(listener);

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let isPrinting = false;
function theme() {
  if (isPrinting) return "light";
  if (state.theme !== "auto") return state.theme;
  return prefersDark.matches ? "dark" : "light";
}

const isVisible = (at) => !state.hidden.has(numbers[at]);

/** Returns the positions of a figure's runs that are not hidden. */
const visibleRuns = (of) => of.filter(isVisible);

/** Returns the color at `share` (0 to 1) of a list of colors. */
function blend(colors, share) {
  const place = Math.min(Math.max(share, 0), 1) * (colors.length - 1);
  const at = Math.min(Math.floor(place), colors.length - 2);
  const channel = (color, i) => parseInt(color.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mix = (i) => Math.round(channel(colors[at], i)
    + (channel(colors[at + 1], i) - channel(colors[at], i)) * (place - at));
  return `rgb(${mix(0)}, ${mix(1)}, ${mix(2)})`;
}

const ordered = () => ORDERED[theme()];

/** Returns the metric that gives the colors, with its range; null if each run has its own. */
function colorMetric() {
  const metric = data.metrics.find((one) => one.key === state.colorBy);
  if (!metric) return null;
  const finite = metric.values.map(toNumber).filter((value) => Number.isFinite(value));
  return { ...metric, low: Math.min(...finite), high: Math.max(...finite) };
}

/** Returns the color of a run: its own, or that of its value of the chosen metric. */
function colorOf(at) {
  const metric = colorMetric();
  if (!metric) return PALETTE[theme()][at % PALETTE.light.length];
  const { low, high } = metric;
  const value = toNumber(metric.values[at]);
  if (!Number.isFinite(value)) return cssColor("--faint");
  return blend(ordered(), high > low ? (value - low) / (high - low) : 0.5);
}

/** Returns the dashes of a line: they tell runs of one color and columns of one run apart. */
function dashOf(at, column) {
  const round = state.colorBy === "run" ? Math.floor(at / PALETTE.light.length) : 0;
  return DASHES[(round + column) % DASHES.length];
}

const cssColor = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Names runs in a title: `run-1, run-2`, or how many they are. */
function nameRuns(of) {
  return of.length > 3 ? count(of.length, "run") : of.map((at) => runs[at]).join(", ");
}

const differingParams = data.params.filter((param) => param.differs);

/** Describes a run by the params that differ. */
function describe(at) {
  return differingParams.slice(0, 6).map((param) => `${param.key} ${showValue(param.values[at])}`);
}
