// Compares runs: what differs between them in params, metrics, curves and files.

import { ApiError, get, url } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { fill, h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { onKey } from "../lib/keys.js";
import { onStore } from "../lib/live.js";
import { queryState } from "../lib/state.js";
import { showArtifacts } from "./compare/artifacts.js";
import { Curves } from "./compare/curves.js";
import { Focus } from "./compare/focus.js";
import { showDifferences } from "./compare/text.js";
import { showRelations } from "./compare/relations.js";
import { showValues } from "./compare/values.js";

/** @typedef {import("./compare/report.js").Report} Report */

const DEFAULTS = {
  /** Names of the runs; the last two if empty. */
  runs: [],
  base: "",
  all: false,
  /** Runs that differ only in their seed are apart. */
  apart: false,
  /** `runs` or `keys`; by the number of runs if empty. */
  rows: "",
  sort: "",
  tab: "values",
  /** The run whose text is compared. */
  with: "",
  x: "",
  y: "",
  group: "",
  path: "",
  /** Horizontal axis, smoothing and window of the curves. */
  axis: "step",
  smooth: 0,
  from: "",
  to: "",
};

const TABS = [
  ["values", "Values and curves", showValues],
  ["text", "Text", showDifferences],
  ["relations", "Relations", showRelations],
  ["artifacts", "Artifacts", showArtifacts],
];

/** Parts of the state that change what the server is asked for. */
const ASKED = ["runs", "base", "apart"];

/** Parts of the state that change the curves only. */
const OF_CURVES = ["axis", "smooth", "from", "to"];

/** @param {HTMLElement} root */
export async function mount(root) {
  const state = queryState(DEFAULTS);
  const focus = new Focus();
  const curves = new Curves(state, focus);
  const head = h("div", { class: "page-head" });
  const tabs = h("nav", { class: "tabs", ariaLabel: "Parts of the comparison" });
  const body = h("div", { class: "compare-body" });
  fill(root, head, tabs, body);
  /** @type {Report | null} */
  let report = null;
  let end = null;

  function draw() {
    fill(head, ...headOf(report, state));
    fill(tabs, TABS.map(([name, title], at) => h("a", {
      href: state.href({ tab: name }),
      title: `${title} (${at + 1})`,
      ariaCurrent: state.get().tab === name ? "page" : null,
      onclick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        state.set({ tab: name });
      },
    }, title)));
    setCommand(commandOf(report, state.get()));
    drawTab();
  }

  function drawTab() {
    end?.();
    const [, , show] = TABS.find(([name]) => name === state.get().tab) ?? TABS[0];
    end = show(body, report, { state, focus, curves }) ?? null;
  }

  async function load() {
    const { runs, base, apart } = state.get();
    const path = url("/api/compare", { run: runs, base, apart: apart ? 1 : null });
    try {
      const next = await get(path);
      if (next !== report) {
        report = next;
        draw();
      } else if (report.sides.some(({ run }) => run?.status === "running")) {
        curves.update(report);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const isRefused = error.status >= 400 && error.status < 500;
      if (report === null || isRefused) showError(error);
    }
  }

  function showError(error) {
    report = null;
    end?.();
    end = null;
    fill(head, h("h1", null, "Compare"));
    fill(tabs);
    setCommand(null);
    fill(body, h("div", { class: "empty" },
      h("h2", null, "Nothing to compare"), h("p", null, error.message),
      error.hint && h("p", null, error.hint),
      h("p", null, h("a", { href: "/runs" }, "Choose runs in the table"))));
  }

  state.onChange((now, before) => {
    const changed = Object.keys(DEFAULTS).filter((key) => String(now[key]) !== String(before[key]));
    if (changed.some((key) => ASKED.includes(key))) load();
    else if (report && changed.every((key) => OF_CURVES.includes(key))) curves.update(report);
    else if (report) draw();
  });
  onStore(load);
  TABS.forEach(([name, title], at) =>
    onKey(String(at + 1), title, () => state.set({ tab: name })));
  onKey("d", "Show only what differs, or everything", () => state.set({ all: !state.get().all }));
  await load();
}

function headOf(report, state) {
  const { all, apart } = state.get();
  const toggle = (label, isOn, part) => h("button", {
    type: "button", ariaPressed: String(isOn), onclick: () => state.set(part),
  }, label);
  const isGrouped = report.columns.length < report.sides.length;
  return [
    h("h1", null, `Compare ${count(report.sides.length, "run")}`),
    report.warnings.map((text) => h("p", { class: "warn small" }, text)),
    h("div", { class: "toolbar end" },
      toggle("Only differences", !all, { all: !all }),
      (isGrouped || apart) && toggle("Group seeds", !apart, { apart: !apart }),
      h("a", { class: "button", href: "/runs" }, "Choose runs")),
  ];
}

/** Returns the command that prints the same. */
function commandOf(report, { all, apart, tab }) {
  const names = report.sides.map((side) => side.label);
  if (tab === "text") return ["repro", "params", "diff", ...names, ...(all ? ["--all"] : [])];
  return ["repro", "metrics", "compare", ...names, ...(all ? ["--all"] : []),
    ...(apart ? ["--ungrouped"] : [])];
}
