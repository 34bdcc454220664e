// One stage: why it is in its state, what it did over runs, and its declaration.

import { get } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { fill, h } from "../lib/dom.js";
import { ago, bytes, count, duration, time, value, visible } from "../lib/format.js";
import { onStore, onWorkspace } from "../lib/live.js";
import { table } from "../lib/table.js";
import { toastError } from "../lib/toast.js";
import { badge, outcomeWords, stageLink } from "../lib/verdict.js";

/** Number of runs that the chart shows. */
const BARS = 80;
/** Number of bars from which they reach across the chart. */
const WIDE = 24;

/** @param {HTMLElement} root */
export async function mount(root) {
  const name = decodeURIComponent(location.pathname.split("/").at(-1));
  let answer = null;
  setCommand(["repro", "why", name]);
  async function refresh() {
    try {
      const next = await get(`/api/pipeline/${encodeURIComponent(name)}`);
      if (next === answer) return;
      answer = next;
      fill(root, headOf(answer), h("div", { class: "cols" },
        h("div", null, whyCard(answer), historyOf(answer)),
        h("div", null, declarationOf(answer))));
    } catch (error) {
      if (answer === null) {
        fill(root, h("div", { class: "empty" }, h("h2", null, visible(error.message)),
          error.hint && h("p", null, visible(error.hint)),
          h("p", null, h("a", { href: "/pipeline" }, "All stages"))));
      } else toastError(error);
    }
  }
  onStore(refresh);
  onWorkspace(refresh);
  await refresh();
}

function headOf({ stage, status }) {
  const matrix = status?.family && status.family !== stage;
  return h("div", { class: "page-head" },
    h("h1", null,
      h("span", { class: "path" }, h("a", { href: "/pipeline" }, "Pipeline"), " / ",
        matrix && [h("a", { href: `/pipeline?open=${encodeURIComponent(status.family)}` },
          visible(status.family)), " / "]),
      visible(stage)),
    status ? badge(status.state, status.words) : h("span", { class: "badge" }, "not declared"),
    status?.desc && h("p", { class: "desc" }, visible(status.desc)));
}

function whyCard({ status, needed_by: neededBy }) {
  if (!status) {
    return h("div", { class: "notice warn" },
      "pipeline.toml does not declare this stage any more; this is its history");
  }
  const hint = status.failure?.hint;
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", null, "State")),
    h("div", { class: "body stack" },
      status.reasons.length > 0
        ? h("ul", { class: "why-list" },
          status.reasons.map((reason) => h("li", null, visible(reason))))
        : h("p", null, sentence(status)),
      hint && h("p", { class: "dim" }, `Hint: ${visible(hint)}`),
      h("dl", { class: "facts" },
        h("dt", null, "Needs"), h("dd", null, around(status.needs)),
        h("dt", null, "Needed by"), h("dd", null, around(neededBy)))));
}

const sentence = ({ verdict, sentence: words }) =>
  (verdict === "fresh" ? "Up to date: cmd, deps, params and outs are unchanged since it ran"
  : visible(words));

const around = (stages) => (stages.length === 0
  ? h("span", { class: "dim" }, "no other stage")
  : h("span", { class: "around" }, stages.map(stageLink)));

function historyOf({ stage, history }) {
  if (history.length === 0) {
    return h("section", { class: "card" },
      h("div", { class: "head" }, h("h2", null, "History")),
      h("div", { class: "body dim" }, "No run has reached this stage yet"));
  }
  const outcomes = Map.groupBy(history, (visit) => visit.outcome);
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", null, "History"),
      h("span", { class: "end legend" }, [...outcomes].map(([outcome, visits]) =>
        badge(outcome, `${visits.length} ${outcomeWords(outcome)}`)))),
    h("div", { class: "body" }, durations(history, stage), historyTable(history, stage)));
}

/** Draws the durations as bars, oldest first. The table below has the same figures. */
function durations(history, stage) {
  const shown = history.slice(0, BARS).reverse();
  const longest = Math.max(...shown.map((visit) => visit.took ?? 0), 1);
  const bar = (visit) => {
    const took = visit.took === null ? "" : ` in ${duration(visit.took)}`;
    const text = `${visit.run}: ${outcomeWords(visit.outcome)}${took}, ${time(visit.started)}`;
    return h("a", {
      class: "bar", href: runLink(visit, stage), title: text, ariaLabel: text,
      data: { outcome: visit.outcome },
      vars: { "--part": `${((visit.took ?? 0) / longest) * 100}%` },
    });
  };
  return h("div", { class: "durations" },
    h("div", { class: "axis", ariaHidden: "true" }, h("span", null, duration(longest)),
      h("span", null, duration(longest / 2)), h("span", null, "0")),
    h("div", { class: "bars", role: "group", ariaLabel: "Durations, oldest run first" },
      shown.map(bar)),
    h("div", { class: "ends" }, h("span", null, `${shown[0].run}, ${ago(shown[0].started)}`),
      shown.length > WIDE && h("span", null, `${shown.at(-1).run}, ${ago(shown.at(-1).started)}`)));
}

function historyTable(history, stage) {
  return table({
    caption: `The last ${count(history.length, "run")} that reached the stage`,
    columns: [
      {
        key: "run", title: "Run",
        render: (run, { name }) => h("a", { href: `/runs/${run}` }, name ? visible(name) : run),
      },
      {
        key: "outcome", title: "Outcome",
        render: (outcome) => badge(outcome, outcomeWords(outcome)),
      },
      { key: "started", title: "Started", kind: "number", format: time },
      { key: "took", title: "Took", kind: "number", format: duration },
      { key: "cpu", title: "CPU time", kind: "number", format: duration },
      { key: "memory", title: "Peak memory", kind: "number", format: bytes },
      {
        key: "bytes", title: "Outs", kind: "number",
        format: (size, { outs }) => (outs.count === 0 ? "–" : bytes(size)),
      },
      {
        key: "log", title: "Log",
        render: (_, visit) => (visit.has_log
          ? h("a", { href: runLink(visit, stage), ariaLabel: `Log of ${visit.run}` }, "log") : "–"),
      },
      { key: "why", title: "Why", render: (why) => h("span", { class: "reason" }, why) },
    ],
    rows: history.map((visit) => ({
      ...visit, bytes: visit.outs.bytes, log: visit.has_log ? "log" : "", why: whyOf(visit),
    })),
  });
}

function whyOf({ reasons, reason_count: all, failure }) {
  const shown = reasons.slice(0, 2).map(visible);
  if (all > shown.length) shown.push(`and ${all - shown.length} more`);
  return [failure && visible(failure.what), ...shown].filter(Boolean).join(", ");
}

function runLink({ run, has_log: hasLog }, stage) {
  return hasLog ? `/runs/${run}?tab=logs&stage=${encodeURIComponent(stage)}` : `/runs/${run}`;
}

function declarationOf({ declared }) {
  if (!declared) return null;
  const pathsOf = (list, note) => h("ul", { class: "paths" }, list.map((one) => h("li", null,
    h("span", { class: "mono" }, visible(one.path)), h("span", { class: "note" }, note(one)))));
  const params = Object.entries(declared.params);
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", null, "Declaration"),
      h("span", { class: "end dim small mono" }, `pipeline.toml:${declared.line}`)),
    h("div", { class: "body" },
      h("h3", null, "Command"),
      declared.cmd ? h("pre", { class: "cmd" }, multiline(declared.cmd))
        : h("p", { class: "dim" }, "none: it tracks files that you make"),
      optionsOf(declared),
      h("h3", null, "Deps"),
      pathsOf(declared.deps, ({ from }) => from.map(stageLink)),
      h("h3", null, "Outs"),
      pathsOf(declared.outs, ({ role }) => (role === "out" ? "" : role)),
      params.length > 0 && [h("h3", null, "Params"), h("dl", { class: "facts" },
        params.map(([key, param]) => [h("dt", null, visible(key)),
          h("dd", null, param === "" ? h("span", { class: "dim" }, "empty") : value(param))]))]));
}

const multiline = (text) => text.trim().split("\n").map(visible).join("\n");

function optionsOf(declared) {
  const options = {
    shell: declared.shell.join(" "),
    wdir: declared.wdir,
    each: declared.each,
    policy: declared.policy,
    timeout: declared.timeout === null ? null : duration(declared.timeout),
    retries: declared.retries || null,
    cpus: declared.cpus > 1 ? declared.cpus : null,
    gpus: declared.gpus || null,
    memory: declared.memory > 0 ? bytes(declared.memory) : null,
    tools: declared.tools.join(", "),
    env_deps: declared.env_deps.join(", "),
    ...Object.fromEntries(Object.entries(declared.env).map(([key, text]) => [`env ${key}`, text])),
  };
  const given = Object.entries(options).filter(([, text]) => text !== null && text !== "");
  return given.length > 0 && [h("h3", null, "Options"), h("dl", { class: "facts" },
    given.map(([key, text]) => [h("dt", null, visible(key)), h("dd", null, visible(String(text)))]))];
}
