// What a run did: its stages as a timeline with reasons, and what came out.

import { url } from "../../lib/api.js";
import { fill, h, setText } from "../../lib/dom.js";
import { bytes, count, duration, number, visible } from "../../lib/format.js";
import { partsCard } from "../../lib/parts.js";
import { table } from "../../lib/table.js";
import { toastError } from "../../lib/toast.js";

const WORDS = { fresh: "up to date" };
/** Number of reasons that are shown before they are unfolded. */
const REASONS = 3;
/** Number of final values that are shown before they are unfolded. */
const MOST_VALUES = 16;
/** Milliseconds between two drawings of what grows. */
const TICK = 1000;

/** Creates the tab. */
export function overviewTab(page) {
  const stages = h("section", { class: "card timeline-card" });
  const [left, right] = [h("div", { class: "column" }), h("div", { class: "column" })];
  const overrides = h("section", { class: "card" });
  const parts = partsCard();
  const element = h("div", { class: "overview" }, stages, parts.element,
    h("div", { class: "overview-columns" }, left, right));
  const drawn = new Map();
  const redraw = (key, value, draw) => {
    const text = JSON.stringify(value);
    if (drawn.get(key) === text) return;
    drawn.set(key, text);
    draw();
  };

  function update() {
    const run = page.run();
    redraw("stages", [run.stages, run.fresh, run.took], () => fill(stages, timeline(run)));
    grow(stages, run);
    stages.hidden = run.kind === "sweep";
    parts.element.hidden = run.kind !== "sweep" && run.parts.length === 0;
    if (!parts.element.hidden) parts.update(run).catch(toastError);
    redraw("overrides", [run.params, run.overridden, run.command], () =>
      fill(overrides, invocation(run, page)));
    redraw("metrics", [run.metrics, run.series], () => {
      const { finals, series } = results(run);
      fill(left, series ?? finals ?? overrides);
      fill(right, series && finals, (series ?? finals) && overrides);
    });
  }
  const timer = setInterval(() => page.run().status === "running" && grow(stages, page.run()),
    TICK);
  return { element, update, leave: () => clearInterval(timer) };
}

/** Returns the span that the timeline of a run shows; until the run has ended, up to now. */
function spanOf({ started: begin, took, stages }) {
  const ends = stages.map((stage) => (stage.started ?? begin) + (stage.took ?? 0));
  return [begin, Math.max(begin + (took ?? Date.now() - begin), ...ends, begin + 1)];
}

/** Returns the duration of a stage; `null` if it has not started. */
const tookOf = ({ took, outcome, started }) =>
  took ?? (outcome === "running" && started !== null ? Math.max(Date.now() - started, 0) : null);

/** Moves the bars of a timeline to their places at this time, and counts on. */
function grow(timeline, run) {
  const [begin, end] = spanOf(run);
  const share = (millis) => `${(100 * millis) / (end - begin)}%`;
  for (const stage of run.stages) {
    const rows = timeline.querySelector(`[data-stage="${CSS.escape(stage.stage)}"]`);
    const [bar, took] = [rows?.querySelector(".bar"), tookOf(stage)];
    if (!bar) continue;
    bar.style.setProperty("--from", share(stage.started - begin));
    bar.style.setProperty("--length", share(took));
    setText(rows.querySelector(".took"), took > 0 ? duration(took) : "");
  }
  const whole = timeline.querySelector(".whole");
  if (whole) setText(whole, `${duration(end - begin)} from left to right`);
}

function timeline(run) {
  const more = run.fresh > 0 && h("p", { class: "dim small more" },
    `${count(run.fresh, "more stage")} already up to date.`);
  if (run.stages.length === 0) {
    return [h("div", { class: "head" }, h("h2", null, "Stages")),
      more || h("p", { class: "body dim" }, run.kind === "external"
        ? "This run was logged by a client and has no stages." : "No stage had work yet.")];
  }
  return [
    h("div", { class: "head" }, h("h2", null, "Stages"),
      h("span", { class: "dim small end whole" })),
    h("div", { class: "scroll", tabIndex: 0, role: "region", ariaLabel: "Stages" },
      h("table", { class: "timeline" },
        h("thead", null, h("tr", null,
          ["stage", "outcome"].map((name) => h("th", { scope: "col" }, name)),
          h("th", { scope: "col", class: "bar-head" }, "when"),
          h("th", { scope: "col", class: "number" }, "took"),
          ["CPU", "memory"].map((name) => h("th", { scope: "col", class: "number wide" }, name)),
          h("th", { scope: "col" }, h("span", { class: "unseen" }, "log")))),
        run.stages.map((stage) => stageRows(run, stage)))),
    more,
  ];
}

/** Creates the rows of a stage; `grow` gives the bar its place. */
function stageRows(run, stage) {
  const hasLog = run.logs.some((log) => log.stage === stage.stage);
  const bar = stage.started !== null && tookOf(stage) !== null
    && h("span", { class: "bar", data: { status: stage.outcome } });
  // Cores that were busy on average.
  const cores = stage.cpu !== null && stage.took > 0 ? stage.cpu / stage.took : null;
  return h("tbody", { data: { stage: stage.stage } },
    h("tr", null,
      h("th", { scope: "row" }, h("a", { href: `/pipeline/${encodeURIComponent(stage.stage)}` },
        visible(stage.stage))),
      h("td", null, h("span", { class: "status", data: { status: stage.outcome } },
        WORDS[stage.outcome] ?? stage.outcome)),
      h("td", { class: "bar-cell" }, h("div", { class: "bar-place" }, bar)),
      h("td", { class: "number took" }),
      h("td", { class: "number wide", title: cores === null ? null : `${cores.toFixed(1)} cores` },
        stage.cpu === null ? "" : duration(stage.cpu)),
      h("td", { class: "number wide" }, stage.memory === null ? "" : bytes(stage.memory)),
      h("td", { class: "number" },
        hasLog && h("a", { href: url("", { tab: "logs", stage: stage.stage }) }, "log"))),
    h("tr", { class: "why" }, h("td", { colSpan: 7 }, failure(stage), reasons(stage))));
}

function failure({ failure: failed, because, outcome, exit_code: code }) {
  if (failed) {
    return h("div", { class: "failure" }, h("b", { class: "bad" }, visible(failed.what)),
      (failed.causes ?? []).map((cause) => h("div", null, `caused by: ${visible(cause)}`)),
      failed.hint && h("div", { class: "dim" }, `hint: ${visible(failed.hint)}`));
  }
  if (outcome === "skipped" && because) {
    return h("span", { class: "warn" }, `${visible(because)} failed`);
  }
  if (outcome === "accepted") return h("span", null, `accepted: ${visible(because ?? "")}`);
  return code ? h("span", { class: "bad" }, `exit code ${code}`) : null;
}

function reasons({ reasons: list, reason_count: total, outcome }) {
  if (list.length === 0) return null;
  const item = (reason) => h("li", { title: visible(reason) }, visible(reason));
  const label = outcome === "failed" ? "started because " : "because ";
  const rest = list.slice(REASONS);
  return h("div", { class: "reasons" }, h("span", { class: "dim" }, label),
    h("ul", null, list.slice(0, REASONS).map(item)),
    total > REASONS && h("details", null,
      h("summary", null, `and ${(total - REASONS).toLocaleString("en")} more`),
      h("ul", null, rest.map(item),
        total > list.length && h("li", { class: "dim" },
          `${(total - list.length).toLocaleString("en")} were not recorded`))));
}

/** Returns a card of the final values and one of the series; `null` if there are none. */
function results({ kind, metrics, series }) {
  const finals = Object.entries(metrics).map(([name, value]) => ({ name, value }));
  const none = series.length === 0 && kind !== "sweep"
    ? h("div", { class: "card" }, h("div", { class: "head" }, h("h2", null, "Metrics")),
      h("p", { class: "body dim" }, "This run has no metrics.")) : null;
  return { finals: finals.length > 0 ? finalCard(finals) : none,
    series: series.length > 0 ? seriesCard(series) : null };
}

function finalCard(rows) {
  const box = table({
    caption: `${count(rows.length, "value")} at the end of the run`,
    columns: [
      { key: "name", title: "metric", render: visible },
      { key: "value", title: "value", kind: "number",
        render: (value) => h("b", null, number(value)) },
    ],
    rows: rows.slice(0, MOST_VALUES),
  });
  const more = rows.length > MOST_VALUES && h("button", { type: "button", class: "quiet",
    onclick: () => {
      box.setRows(rows);
      more.remove();
    } }, `Show all ${rows.length}`);
  return h("div", { class: "card results" }, h("div", { class: "head" }, h("h2", null, "Metrics")),
    h("div", { class: "body" }, box, more));
}

function seriesCard(series) {
  const rows = series.map((one) => ({ ...one, last: one.last.value, min: one.min?.value ?? null,
    max: one.max?.value ?? null, steps: one }));
  // The better end is the one that counts.
  const end = (key) => (value, { steps, goal }) => (steps[key]
    ? [h(goal === key ? "b" : "span", { class: goal === key ? "good" : null }, number(value)),
      h("span", { class: "dim small" }, ` at ${number(steps[key].step)}`)] : "–");
  const goal = (name) => name && h("span", { class: "dim small" },
    name === "min" ? " lower is better" : " higher is better");
  const columns = [
    { key: "name", title: "series", render: (name, row) => [
      h("a", { href: url("", { tab: "curves", q: name }) }, visible(name)), goal(row.goal)] },
    { key: "last", title: "last", kind: "number", render: (value) => h("b", null, number(value)) },
    { key: "min", title: "lowest", kind: "number", render: end("min") },
    { key: "max", title: "highest", kind: "number", render: end("max") },
    { key: "count", title: "points", kind: "number",
      render: (value) => value.toLocaleString("en") },
  ];
  return h("div", { class: "card results" }, h("div", { class: "head" }, h("h2", null, "Series")),
    h("div", { class: "body" }, table({ caption: count(rows.length, "series").replace(/ss$/, "s"),
      columns, rows })));
}

function invocation(run, page) {
  const keys = run.overridden;
  const params = Object.keys(run.params).length;
  return [
    h("div", { class: "head" }, h("h2", null, "Invocation")),
    h("div", { class: "body" },
      run.command.length > 0
        && h("pre", { class: "command-line", tabIndex: 0 }, run.command.map(visible).join(" ")),
      keys.length > 0 ? h("dl", { class: "facts" }, keys.map((key) => [
        h("dt", { class: "mono" }, visible(key)),
        h("dd", null, visible(JSON.stringify(run.params[key] ?? null)),
          h("span", { class: "badge overridden" }, "overridden"))]))
        : !["external", "sweep"].includes(run.kind)
          && h("p", { class: "dim" }, "All params have the values that the project declares."),
      params > 0 && h("p", null, h("a", { href: page.state.href({ tab: "params" }) },
        count(params, "param")))),
  ];
}
