// The curves of a run, in sections by the prefix of their keys. A training and a validation series
// of one quantity share a chart.

import { chart } from "../../lib/chart.js";
import { fill, h } from "../../lib/dom.js";
import { count, visible } from "../../lib/format.js";
import { onKey } from "../../lib/keys.js";
import { seriesLine, seriesRows } from "../../lib/runseries.js";

const AXES = [["step", "Step"], ["relative", "Time since start"], ["time", "Clock"]];
/** Beginnings of keys of which one quantity has several. */
const SPLITS = /^(train|training|val|valid|validation|dev|test|eval)[_./-]/i;

/** Creates the tab. */
export function curvesTab(page) {
  const { state } = page;
  const charts = new Map();
  const filter = h("input", { type: "search", placeholder: "Filter curves", size: 22,
    ariaLabel: "Filter curves (/)", value: state.get().q,
    oninput: () => state.set({ q: filter.value }, { replace: true }) });
  const axes = AXES.map(([axis, title]) => h("button", { type: "button", onclick: () =>
    state.set({ axis, from: "", to: "" }) }, title));
  const smooth = h("input", { type: "range", min: 0, max: 0.98, step: 0.02,
    ariaLabel: "Smoothing",
    oninput: () => state.set({ smooth: Number(smooth.value) }, { replace: true }) });
  const smoothText = h("output", { class: "dim small" });
  const reset = h("button", { type: "button", class: "quiet", onclick: () => zoom(null) },
    "Reset zoom");
  const sections = h("div", { class: "curve-sections" });
  const ends = [
    onKey("/", "Filter", () => filter.focus()),
    onKey("s", "Change the smoothing", () => smooth.focus()),
    onKey("a", "Change the horizontal axis", () => {
      const at = AXES.findIndex(([axis]) => axis === state.get().axis);
      state.set({ axis: AXES[(at + 1) % AXES.length][0], from: "", to: "" });
    }),
    onKey("0", "Reset the zoom", () => zoom(null)),
  ];
  const element = h("section", { class: "curves" },
    h("div", { class: "toolbar curve-tools" }, filter,
      h("div", { class: "segmented", role: "group", ariaLabel: "Horizontal axis" }, axes),
      h("label", null, "Smoothing", smooth, smoothText), reset), sections);

  const view = () => {
    const { axis, smooth: smoothing, from, to } = state.get();
    const isKnown = AXES.some(([name]) => name === axis);
    const ends = [Number(from), Number(to)];
    const isZoomed = from !== "" && to !== "" && ends.every(Number.isFinite) && ends[0] < ends[1];
    return { axis: isKnown ? axis : "step", smoothing: Math.min(Math.max(smoothing, 0), 0.99),
      zoom: isZoomed ? ends : null };
  };

  function zoom(range) {
    state.set(range === null ? { from: "", to: "" }
      : { from: rounded(range[0]), to: rounded(range[1]) });
  }

  let shownKey = "";
  function update() {
    const run = page.run();
    const { axis, smoothing, zoom: range } = view();
    AXES.forEach(([name], at) => {
      axes[at].ariaPressed = String(name === axis);
    });
    if (document.activeElement !== smooth) smooth.value = smoothing;
    smoothText.textContent = smoothing > 0 ? smoothing.toFixed(2) : "off";
    reset.hidden = range === null;
    if (document.activeElement !== filter) filter.value = state.get().q;
    const groups = grouped(run.series.filter(matcher(state.get().q)));
    const key = JSON.stringify(groups.map(({ title, charts: list }) =>
      [title, list.map((one) => one.series.map(({ name }) => name))]));
    if (key !== shownKey) drawSections(groups);
    shownKey = key;
    for (const one of groups.flatMap((group) => group.charts)) {
      charts.get(one.id)?.update(one.series, view());
    }
  }

  function drawSections(groups) {
    if (groups.length === 0) {
      const run = page.run();
      fill(sections, h("p", { class: "empty" }, run.series.length > 0
        ? `No curve matches. The run has ${run.series.length}.`
        : "This run reported no series of metrics."));
      return;
    }
    fill(sections, groups.map((group) => h("section", null,
      h("h2", { class: "section-title" }, visible(group.title),
        h("span", { class: "dim small" }, ` ${count(group.charts.length, "chart")}`)),
      h("div", { class: "cards" }, group.charts.map((one) => {
        if (!charts.has(one.id)) charts.set(one.id, curveChart(page, one, view(), zoom));
        return charts.get(one.id).element;
      })))));
  }

  return {
    element,
    update,
    leave: () => {
      ends.forEach((end) => end());
      charts.forEach((one) => one.destroy());
    },
    command: () => ["repro", "metrics", "show", page.run().run],
  };
}

/** Creates a chart that fetches its lines when it is near, and what is added to them. */
function curveChart(page, { title, series: first }, firstView, zoom) {
  let [series, view] = [first, firstView];
  let lines = [];
  let isNear = false;
  let isBusy = false;
  let isStale = false;
  let shown = "";
  const one = chart({
    title,
    view,
    onZoom: zoom,
    onNear: () => {
      isNear = true;
      fetch();
    },
    rows: () => seriesRows(page.run().run, series),
  });

  async function fetch() {
    isStale = true;
    if (isBusy || !isNear) return;
    isBusy = true;
    while (isStale) {
      isStale = false;
      const part = { ...view, width: one.width(), started: page.run().started };
      const key = JSON.stringify([part.axis, part.zoom, series.map(({ name }) => name)]);
      const known = key === shown ? lines : [];
      try {
        lines = await Promise.all(series.map(async (of, at) => ({
          ...await seriesLine(page.run().run, of, part, known[at] ?? null),
          name: of.name, color: at,
        })));
        shown = key;
        one.setView(view);
        one.setLines(lines);
      } catch (error) {
        one.setMessage(error.message);
      }
    }
    isBusy = false;
  }

  let counts = series.map(({ count: points }) => points).join();
  return {
    element: one.element,
    destroy: one.destroy,
    update(nextSeries, next) {
      const nextCounts = nextSeries.map(({ count: points }) => points).join();
      const isElsewhere = next.axis !== view.axis || String(next.zoom) !== String(view.zoom);
      const isChanged = isElsewhere || nextCounts !== counts;
      const isSmoothing = next.smoothing !== view.smoothing;
      [series, counts, view] = [nextSeries, nextCounts, next];
      if (isSmoothing && !isElsewhere) one.setView(view);
      if (isChanged) fetch();
    },
  };
}

/**
 * Arranges series in sections, and in charts of one quantity.
 *
 * @param {{stage: string, key: string, name: string}[]} series
 */
export function grouped(series) {
  const sections = new Map();
  for (const one of series) {
    const parts = one.key.split(/[./]/);
    const isSplit = parts.length > 1 && SPLITS.test(`${parts[0]}.`);
    const prefix = isSplit ? parts.slice(1, -1) : parts.slice(0, -1);
    const title = [one.stage, ...prefix].filter(Boolean).join(" · ") || "Metrics";
    const quantity = one.key.replace(SPLITS, "");
    const id = `${one.stage}\n${quantity}`;
    if (!sections.has(title)) sections.set(title, new Map());
    const charts = sections.get(title);
    if (!charts.has(id)) charts.set(id, { id, title: quantity.split(/[./]/).at(-1), series: [] });
    charts.get(id).series.push(one);
  }
  // What the machine did comes last.
  const isSystem = (title) => /\b(sys|system)\b/.test(title);
  return [...sections].map(([title, charts]) => ({ title, charts: [...charts.values()] }))
    .sort((a, b) => isSystem(a.title) - isSystem(b.title));
}

/** Returns a test for a filter: words that all occur, or a pattern between slashes. */
function matcher(text) {
  const pattern = /^\/(.+)\/$/.exec(text);
  if (pattern) {
    try {
      const regex = new RegExp(pattern[1], "i");
      return ({ name }) => regex.test(name);
    } catch {
      return () => true;
    }
  }
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return ({ name }) => words.every((word) => name.toLowerCase().includes(word));
}

const rounded = (value) => String(Number(value.toPrecision(12)));
