// The first page: what runs now, otherwise the last run; and what is out of date, and why.

import { get } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { copyButton } from "../lib/copy.js";
import { fill, h, setText } from "../lib/dom.js";
import {
  ago, count, difference, duration, number, time, toNumber, visible,
} from "../lib/format.js";
import { onStore, onWorkspace } from "../lib/live.js";
import { toastError } from "../lib/toast.js";
import { badge, mark, outcomeWords, stageLink } from "../lib/verdict.js";

/** Time in milliseconds between two looks at the workspace: edits of deps announce nothing. */
const INTERVAL = 5000;
/** Numbers of what is shown; the pages behind the links show all. */
const SHOWN = { metrics: 12, stages: 40, stale: 12, lines: 12 };

/** @param {HTMLElement} root */
export async function mount(root) {
  let answer = null;
  let clocks = [];
  const logs = new Map();

  function draw() {
    clocks = [];
    const clock = (started) => {
      const element = h("span", null, duration(Date.now() - started));
      clocks.push({ element, started });
      return element;
    };
    if (answer.runs === 0 && (answer.failure || answer.stages === 0)) {
      fill(root, firstSteps(answer.failure));
      return;
    }
    const running = answer.running.map((run) => runningCard(run, clock, logs));
    const last = answer.last && lastCard(answer.last);
    const none = h("section", { class: "card" },
      h("div", { class: "head" }, h("h2", null, "No runs yet")),
      h("div", { class: "body" }, h("p", null, "The first run makes everything:"),
        command("repro run")));
    fill(root, h("h1", { class: "unseen" }, "Home"), h("div", { class: "cols" },
      h("div", null, running.length > 0 ? running : last ?? none, running.length > 0 && last),
      h("div", null, workspaceCard(answer))));
  }

  async function readLogs() {
    for (const { run, log_of: stage } of answer?.running ?? []) {
      const element = stage && logs.get(run)?.element;
      if (!element) continue;
      const path = `/api/runs/${run}/logs/${encodeURIComponent(stage)}`;
      const log = await get(`${path}?from=-${SHOWN.lines}`).catch(() => null);
      setText(element, log ? log.lines.map(plain).join("\n") : "");
    }
  }

  let isFetching = false;
  async function refresh() {
    if (isFetching) return;
    isFetching = true;
    try {
      const next = await get("/api/home");
      if (next !== answer) {
        answer = next;
        draw();
      }
      await readLogs();
    } catch (error) {
      if (answer !== null) toastError(error);
      else {
        fill(root, h("div", { class: "notice bad" }, h("h1", null, "The project cannot be shown"),
          h("pre", null, visible(error.message))));
      }
    } finally {
      isFetching = false;
    }
  }

  setCommand(["repro", "status"]);
  onStore(refresh);
  onWorkspace(refresh);
  setInterval(() => document.hidden || refresh(), INTERVAL);
  setInterval(() => {
    for (const { element, started } of clocks) setText(element, duration(Date.now() - started));
  }, 1000);
  await refresh();
}

/** Returns the text of a line of a log, which may have pieces with styles. */
const plain = (line) =>
  visible(Array.isArray(line) ? line.map(([text]) => text).join("") : line);

function titleOf({ run, name, status }) {
  return h("h2", null, h("a", { href: `/runs/${run}` }, name ? visible(name) : run),
    h("span", { class: "badge", data: { status } }, status));
}

function factsOf({ run, name, command: words, git, started, kind }) {
  const commit = git?.commit?.slice(0, 10);
  return h("div", { class: "facts-line" },
    name && h("span", null, run),
    kind !== "pipeline" && h("span", null, kind),
    h("code", null, visible(words.join(" "))),
    commit && h("span", null, "git ", h("code", null, commit),
      git.tree === "dirty" ? " with uncommitted changes" : ""),
    h("span", null, "started ", time(started)));
}

function stepsOf({ run, stages, fresh }, clock) {
  const step = (stage) => {
    const isRunning = stage.outcome === "running";
    const took = isRunning && stage.started ? clock(stage.started)
      : [outcomeWords(stage.outcome), stage.took && stage.outcome !== "fresh"
        ? ` ${duration(stage.took)}` : ""];
    const why = stage.failure?.what ?? stage.reasons.join(", ");
    return h("li", null, mark(stage.outcome), h("span", { class: "name" }, stageLink(stage.stage)),
      h("span", { class: "took" }, took),
      why && h("span", { class: stage.failure ? "why bad" : "why" }, visible(why)));
  };
  const rest = stages.length - SHOWN.stages;
  return h("div", null,
    h("ul", { class: "steps" }, stages.slice(0, SHOWN.stages).map(step)),
    rest > 0 && h("p", { class: "small" },
      h("a", { href: `/runs/${run}` }, `and ${count(rest, "more stage")}`)),
    fresh > 0 && h("p", { class: "dim small" }, `${fresh} already up to date`));
}

const keyOf = (key) => {
  const at = key.indexOf(".");
  return [h("span", { class: "stage" }, visible(key.slice(0, at + 1))), visible(key.slice(at + 1))];
};

function runningCard(run, clock, logs) {
  const log = logs.get(run.run) ?? { element: h("pre", { class: "log", ariaLabel: "Log" }) };
  logs.set(run.run, log);
  const rows = run.metrics.map((metric) => h("tr", null,
    h("td", { title: visible(metric.key) }, keyOf(metric.key)),
    h("td", { class: "number" }, number(metric.value)),
    h("td", { class: "number dim" }, metric.best === null ? "" : number(metric.best)),
    h("td", { class: "number dim" }, number(metric.step))));
  return h("section", { class: "card run" },
    h("div", { class: "head" }, titleOf(run),
      h("span", { class: "end dim" }, "for ", clock(run.started))),
    h("div", { class: "body" }, factsOf(run), stepsOf(run, clock),
      rows.length > 0 && h("table", { class: "results" },
        h("thead", null, h("tr", null, h("th", null, "Metric"), h("th", { class: "number" }, "Last"),
          h("th", { class: "number" }, "Best"), h("th", { class: "number" }, "Step"))),
        h("tbody", null, rows)),
      run.log_of && [h("h3", null, "Log of ", stageLink(run.log_of)), log.element]),
    h("div", { class: "foot" }, h("a", { href: `/runs/${run.run}` }, "Curves, logs, params")));
}

function lastCard(last) {
  const shown = last.metrics.slice(0, SHOWN.metrics);
  const hasBefore = shown.some((metric) => metric.before !== null);
  const rows = shown.map((metric) => h("tr", null,
    h("td", { title: visible(metric.key) }, keyOf(metric.key)),
    h("td", { class: "number" }, number(metric.value)),
    hasBefore && h("td", { class: "number" }, change(metric))));
  const rest = last.metrics.length - shown.length;
  const took = last.took === null ? "" : `took ${duration(last.took)}, `;
  return h("section", { class: "card run" },
    h("div", { class: "head" }, titleOf(last),
      h("span", { class: "end dim" }, took, ago(last.started))),
    h("div", { class: "body" }, factsOf(last), stepsOf(last, () => ""),
      rows.length > 0 && h("div", null, h("table", { class: "results" },
        h("thead", null, h("tr", null, h("th", null, "Metric"),
          h("th", { class: "number" }, last.run),
          hasBefore && h("th", { class: "number" }, "Change from ",
            h("a", { href: `/runs/${last.before}` }, last.before)))),
        h("tbody", null, rows)),
      rest > 0 && h("p", { class: "small" },
        h("a", { href: `/runs/${last.run}` }, `and ${count(rest, "more metric")}`)))),
    h("div", { class: "foot" }, h("a", { href: `/runs/${last.run}` }, "Open the run"),
      last.before && [" · ", h("a", {
        href: `/compare?runs=${last.before.slice(4)},${last.run.slice(4)}`,
      }, `Compare with ${last.before}`)]));
}

/** Shows the difference from the run before: in words as well as in colour. */
function change({ value: now, before, goal }) {
  const [x, y] = [toNumber(now), toNumber(before)];
  if (x === null || y === null) return h("span", { class: "dim" }, before === null ? "new" : "–");
  if (x === y) return h("span", { class: "dim" }, "same");
  const isBetter = goal === null ? null : (x > y) === (goal === "max");
  const word = { true: " better", false: " worse", null: "" }[isBetter];
  return h("span", { class: { true: "good", false: "bad", null: "" }[isBetter] },
    difference(x - y), word);
}

function workspaceCard({ stale, fresh, stages, failure }) {
  const head = (words) => h("div", { class: "head" }, h("h2", null, "Workspace"),
    h("span", { class: "end dim small" }, words));
  if (failure) {
    return h("section", { class: "card" }, head("cannot be checked"),
      h("div", { class: "body" }, h("p", { class: "bad" }, visible(failure.what)),
        failure.causes.map((cause) => h("p", { class: "bad" }, visible(cause))),
        failure.hint && h("p", { class: "dim" }, `Hint: ${visible(failure.hint)}`)));
  }
  if (stale.length === 0) {
    return h("section", { class: "card" }, head(count(stages, "stage")),
      h("div", { class: "body" }, h("p", null, badge("ran", "everything is up to date"))));
  }
  const items = stale.slice(0, SHOWN.stale).map((stage) => h("li", null,
    h("div", { class: "title" }, mark(stage.state), stageLink(stage.stage)),
    h("div", { class: "why" }, visible(stage.sentence)),
    stage.failure?.hint && h("div", { class: "why" }, `Hint: ${visible(stage.failure.hint)}`)));
  const rest = stale.length - items.length;
  return h("section", { class: "card" }, head(`${fresh} of ${count(stages, "stage")} up to date`),
    h("div", { class: "body" }, h("ul", { class: "todo" }, items),
      rest > 0 && h("p", { class: "small" },
        h("a", { href: "/pipeline?view=list" }, `and ${count(rest, "more stage")}`)),
      command("repro run")),
    h("div", { class: "foot" }, h("a", { href: "/pipeline" }, "Show the pipeline")));
}

const command = (text) => h("div", { class: "do" }, h("code", null, text),
  copyButton(() => text, { what: "the command" }));

function firstSteps(failure) {
  const step = (title, ...rest) => h("li", null, h("strong", null, title), rest);
  return h("section", { class: "card first" },
    h("div", { class: "head" }, h("h1", null, "A pipeline in three steps")),
    h("div", { class: "body" },
      failure && h("p", { class: "dim" }, visible(failure.what),
        failure.hint && `; ${visible(failure.hint)}`),
      h("ol", null,
        step("Create a small pipeline that explains itself", command("repro init")),
        step("Bring everything up to date", command("repro run")),
        step("Change a param and see what runs", command("repro run -p top=3"))),
      h("p", { class: "dim" },
        "This page shows the runs as they go. Scripts that log to MLflow log here as well: "),
      command(`export MLFLOW_TRACKING_URI=${location.origin}`)));
}
