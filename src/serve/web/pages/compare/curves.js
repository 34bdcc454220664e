// The curves of all runs, one chart per key, in the colours of the table. Runs that share a column
// are one line, their mean, in a band. Charts stay when the page is drawn again, so that nothing
// moves while runs go on.

import { chart } from "../../lib/chart.js";
import { meanLine } from "../../lib/curve.js";
import { fill, h } from "../../lib/dom.js";
import { visible } from "../../lib/format.js";
import { seriesLine, seriesRows } from "../../lib/runseries.js";

const AXES = [["step", "Step"], ["relative", "Time since start"], ["time", "Clock"]];

/** @typedef {import("./report.js").Report} Report */

export class Curves {
  #state;
  #focus;
  /** @type {Map<string, CurveChart>} */
  #charts = new Map();
  element = h("section", { class: "curves", ariaLabel: "Curves" });

  constructor(state, focus) {
    this.#state = state;
    this.#focus = focus;
    focus.onChange((column) => this.#charts.forEach((one) => one.focus(column)));
  }

  /** Shows the charts of a report, and fetches what is new. @param {Report} report */
  update(report) {
    const names = report.series.map(({ name }) => name);
    for (const series of report.series) {
      if (!this.#charts.has(series.name)) {
        this.#charts.set(series.name, new CurveChart(series.name, {
          view: this.#view(),
          onZoom: (range) => this.#zoom(range),
          onHover: (column) => this.#focus.hover(column),
        }));
      }
      this.#charts.get(series.name).update(report, series, this.#view());
    }
    const shown = names.join("\n");
    if (this.element.dataset.shown === shown) this.#mark();
    else this.#draw(names);
    this.element.dataset.shown = shown;
  }

  #draw(names) {
    const { axis, smooth } = this.#state.get();
    const buttons = AXES.map(([name, title]) => h("button", {
      type: "button", data: { axis: name }, ariaPressed: String(name === axis),
      onclick: () => this.#state.set({ axis: name, from: "", to: "" }),
    }, title));
    fill(this.element, names.length > 0 && [
      h("div", { class: "bar" }, h("h2", null, "Curves"),
        h("div", { class: "toolbar", role: "group", ariaLabel: "Horizontal axis" }, buttons),
        h("label", null, "Smoothing", h("input", {
          type: "range", min: 0, max: 0.98, step: 0.02, value: smooth,
          oninput: ({ target }) =>
            this.#state.set({ smooth: Number(target.value) }, { replace: true }),
        }))),
      h("div", { class: "cards" }, names.map((name) => this.#charts.get(name).element)),
    ]);
  }

  #mark() {
    const { axis } = this.#state.get();
    for (const button of this.element.querySelectorAll("[data-axis]")) {
      button.ariaPressed = String(button.dataset.axis === axis);
    }
  }

  #view() {
    const { axis, smooth, from, to } = this.#state.get();
    const ends = [Number(from), Number(to)];
    const isZoomed = from !== "" && to !== "" && ends.every(Number.isFinite) && ends[0] < ends[1];
    return {
      axis: AXES.some(([name]) => name === axis) ? axis : "step",
      smoothing: Math.min(Math.max(smooth, 0), 0.98),
      zoom: isZoomed ? ends : null,
    };
  }

  #zoom(range) {
    const text = (value) => String(Number(value.toPrecision(12)));
    this.#state.set(range ? { from: text(range[0]), to: text(range[1]) } : { from: "", to: "" });
  }
}

/** The chart of one key. */
class CurveChart {
  #chart;
  #view;
  #series = null;
  /** @type {{run: object, label: string, column: number, group: string}[]} */
  #runs = [];
  /** The lines of the runs, and those that are drawn. */
  #lines = [];
  #drawn = [];
  #isNear = false;
  #isBusy = false;
  #isStale = false;
  #shown = "";

  constructor(title, { view, onZoom, onHover }) {
    this.#view = view;
    this.#chart = chart({
      title,
      view,
      onZoom,
      onHover: (index) => onHover(index === null ? null : this.#drawn[index]?.color ?? null),
      onNear: () => {
        this.#isNear = true;
        this.#fetch();
      },
      rows: () => this.#rows(),
    });
  }

  get element() {
    return this.#chart.element;
  }

  /** @param {Report} report */
  update(report, series, view) {
    this.#series = series;
    this.#runs = series.sides.map((side) => ({
      ...report.sides[side],
      column: report.columns.findIndex(({ sides }) => sides.includes(side)),
    })).filter(({ column }) => column >= 0)
      .map((run) => ({ ...run, group: report.columns[run.column].label }));
    this.#view = view;
    this.#chart.setView(view);
    this.#fetch();
  }

  focus(column) {
    const index = this.#drawn.findIndex(({ color }) => color === column);
    if (this.#drawn.length > 0) this.#chart.focus(index < 0 ? null : index);
  }

  async #fetch() {
    this.#isStale = true;
    if (this.#isBusy || !this.#isNear || !this.#series) return;
    this.#isBusy = true;
    while (this.#isStale) {
      this.#isStale = false;
      await this.#fetchOnce();
    }
    this.#isBusy = false;
  }

  async #fetchOnce() {
    const [view, runs] = [this.#view, this.#runs];
    const shown = JSON.stringify([view.axis, view.zoom, runs.map(({ label }) => label)]);
    const known = shown === this.#shown ? this.#lines : [];
    try {
      const lines = await Promise.all(runs.map(async ({ label, run, column }, at) => ({
        ...await seriesLine(label, this.#series, {
          axis: view.axis, zoom: view.zoom, width: this.#chart.width(), started: run.started,
        }, known[at] ?? null),
        name: run.name ? `${label} ${visible(run.name)}` : label,
        color: column,
      })));
      this.#lines = lines;
      this.#shown = shown;
      this.#drawn = view.axis === "time" ? lines : means(lines, runs);
      this.#chart.setLines(this.#drawn);
    } catch (error) {
      this.#chart.setMessage(error.message);
    }
  }

  /** All points, for the file of data. */
  async #rows() {
    const parts = await Promise.all(this.#runs.map(async ({ label }) => {
      const [head, ...rows] = await seriesRows(label, [this.#series]);
      return { head: ["run", ...head], rows: rows.map((row) => [label, ...row]) };
    }));
    return [parts[0].head, ...parts.flatMap(({ rows }) => rows)];
  }
}

/** Replaces the lines of runs that share a column by their mean. By the clock they have none. */
function means(lines, runs) {
  const columns = [...new Set(runs.map(({ column }) => column))];
  return columns.map((column) => {
    const own = lines.filter((line) => line.color === column);
    const { group } = runs.find((run) => run.column === column);
    return own.length === 1 ? own[0] : { ...meanLine(own), name: group, color: column };
  });
}
