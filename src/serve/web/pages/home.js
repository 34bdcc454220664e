// The first page: what runs now, otherwise the last run; and what is out of date, and why.

import { get, url } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { copyButton } from "../lib/copy.js";
import { fill, h, setText } from "../lib/dom.js";
import {
  ago, count, difference, duration, number, time, toNumber, visible,
} from "../lib/format.js";
import { keeper, settle } from "../lib/keep.js";
import { onStore, onWorkspace } from "../lib/live.js";
import { partsCard } from "../lib/parts.js";
import { toastError } from "../lib/toast.js";
import { badge, mark, outcomeWords, stageLink } from "../lib/verdict.js";

/** Time in milliseconds between two looks at the workspace: edits of deps announce nothing. */
const INTERVAL = 5000;
/** Numbers of what is shown; the pages behind the links show all. */
const SHOWN = { metrics: 12, stages: 40, stale: 12, lines: 12 };

/** @param {HTMLElement} root */
export async function mount(root) {
  const keep = keeper();
  const main = h("div");
  const side = h("div");
  const columns = h("div", { class: "cols" }, main, side);
  const title = h("h1", { class: "unseen" }, "Home");
  const trials = partsCard();
  let answer = null;

  function draw() {
    if (answer.runs === 0 && (answer.failure || answer.stages === 0)) {
      settle(root, keep("first", answer.failure, () => firstSteps(answer.failure)));
      return;
    }
    const running = answer.running.map((run) => runningCard(run, keep));
    const { last } = answer;
    const before = last && keep("last", [last, minute()], () => lastCard(last));
    const below = last?.kind === "sweep" && trials.element;
    settle(main, running, before ?? (running.length > 0 ? null : keep("none", 0, noRuns)), below);
    const { stale, fresh, stages, failure } = answer;
    settle(side, keep("workspace", [stale, fresh, stages, failure], () => workspaceCard(answer)));
    settle(root, title, columns);
  }

  async function readLogs() {
    for (const { run, log_of: stage } of answer.running) {
      const element = root.querySelector(`.log[data-run="${run}"]`);
      if (!stage || !element) continue;
      const path = `/api/runs/${run}/logs/${encodeURIComponent(stage)}`;
      const log = await get(url(path, { from: -SHOWN.lines, count: SHOWN.lines }));
      setText(element, log.lines.map(plain).join("\n"));
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
      if (answer.last?.kind === "sweep") {
        await trials.update(await get(`/api/runs/${answer.last.run}`));
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
    for (const clock of root.querySelectorAll("[data-since]")) {
      setText(clock, sinceText(clock.dataset.since));
    }
  }, 1000);
  await refresh();
}

/** Changes once a minute, as relative times do. */
const minute = () => Math.floor(Date.now() / 60_000);

const sinceText = (started) => duration(Math.max(Date.now() - Number(started), 0));

/** Creates a duration that grows. */
const clock = (started) => h("span", { data: { since: started } }, sinceText(started));

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
    words.length > 0 && h("code", null, visible(words.join(" "))),
    commit && h("span", null, "git ", h("code", null, commit),
      git.tree === "dirty" ? " with uncommitted changes" : ""),
    h("span", null, "started ", time(started)));
}

function stepsOf({ run, stages, fresh }) {
  const step = (stage) => {
    const isRunning = stage.outcome === "running";
    const took = isRunning && stage.started ? clock(stage.started)
      : [outcomeWords(stage.outcome), stage.took && stage.outcome !== "fresh"
        ? ` ${duration(stage.took)}` : ""];
    const { failure } = stage;
    const why = failure ? [failure.what, ...failure.causes ?? []].join(": ")
      : stage.reasons.join(", ");
    return h("li", null, mark(stage.outcome), h("span", { class: "name" }, stageLink(stage.stage)),
      h("span", { class: "took" }, took),
      why && h("span", { class: stage.failure ? "why bad" : "why" }, visible(why)));
  };
  const rest = stages.length - SHOWN.stages;
  return h("div", null,
    h("ul", { class: "steps" }, stages.slice(0, SHOWN.stages).map(step)),
    rest > 0 && h("p", { class: "small" },
      h("a", { href: `/runs/${run}` }, `and ${count(rest, "more stage")}`)),
    fresh > 0 && h("p", { class: "dim small" },
      `${fresh}${stages.length > 0 ? " more" : ""} already up to date`));
}

const keyOf = (key) => {
  const at = key.indexOf(".");
  return [h("span", { class: "stage" }, visible(key.slice(0, at + 1))), visible(key.slice(at + 1))];
};

/** Returns the card of a run, which stays while the run goes; its parts change. */
function runningCard(run, keep) {
  const name = run.run;
  const parts = keep(`parts ${name}`, null, () => ({
    steps: h("div"), metrics: h("div"), log: h("div", { class: "log-part" }),
  }));
  settle(parts.steps, keep(`steps ${name}`, [run.stages, run.fresh], () => stepsOf(run)));
  settle(parts.metrics, run.metrics.length > 0
    && keep(`metrics ${name}`, run.metrics, () => newest(run.metrics)));
  settle(parts.log, run.log_of && keep(`log ${name}`, run.log_of, () => h("div", null,
    h("h3", null, "Log of ", stageLink(run.log_of)),
    h("pre", { class: "log", ariaLabel: "End of the log", tabIndex: 0, data: { run: name } }))));
  return keep(`card ${name}`, [run.name, run.status], () => h("section", { class: "card run" },
    h("div", { class: "head" }, titleOf(run),
      h("span", { class: "end dim" }, "for ", clock(run.started))),
    h("div", { class: "body" }, factsOf(run), parts.steps, parts.metrics, parts.log),
    h("div", { class: "foot" }, h("a", { href: `/runs/${name}` }, "Curves, logs, params"))));
}

function newest(metrics) {
  return h("table", { class: "results" },
    h("thead", null, h("tr", null, h("th", null, "Metric"), h("th", { class: "number" }, "Last"),
      h("th", { class: "number" }, "Best"), h("th", { class: "number" }, "Step"))),
    h("tbody", null, metrics.map((metric) => h("tr", null,
      h("td", { title: visible(metric.key) }, keyOf(metric.key)),
      h("td", { class: "number" }, number(metric.value)),
      h("td", { class: "number dim" }, metric.best === null ? "" : number(metric.best)),
      h("td", { class: "number dim" }, number(metric.step))))));
}

const noRuns = () => h("section", { class: "card" },
  h("div", { class: "head" }, h("h2", null, "No runs yet")),
  h("div", { class: "body" }, h("p", null, "The first run makes everything:"),
    command("repro run")));

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
    h("div", { class: "body" }, factsOf(last), stepsOf(last),
      rows.length > 0 && h("div", null, h("table", { class: "results" },
        h("thead", null, h("tr", null, h("th", null, "Metric"),
          h("th", { class: "number" }, last.run),
          hasBefore && h("th", { class: "number" }, "Change from ",
            h("a", { href: `/runs/${last.before}` }, last.before)))),
        h("tbody", null, rows)),
      rest > 0 && h("p", { class: "small" },
        h("a", { href: `/runs/${last.run}` }, `and ${count(rest, "more metric")}`)))),
    h("div", { class: "foot" }, h("a", { href: `/runs/${last.run}` }, "Open the run"),
      last.before && last.kind !== "sweep" && [" · ", h("a", {
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
