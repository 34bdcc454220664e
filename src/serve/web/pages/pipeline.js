// The pipeline: its graph with the verdict on each stage, live while a run goes, and a list of the
// same.

import { get, url } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { diagram } from "../lib/dag.js";
import { fill, h } from "../lib/dom.js";
import { ago, count, duration, visible } from "../lib/format.js";
import { keeper, settle } from "../lib/keep.js";
import { onKey } from "../lib/keys.js";
import { onStore, onWorkspace } from "../lib/live.js";
import { addEntries } from "../lib/palette.js";
import { queryState } from "../lib/state.js";
import { table } from "../lib/table.js";
import { toastError } from "../lib/toast.js";
import { badge, BADGES } from "../lib/verdict.js";

/** Time in milliseconds between two looks at the workspace: edits of deps announce nothing. */
const INTERVAL = 5000;
const DEFAULTS = { view: "graph", open: [] };

/** @param {HTMLElement} root */
export async function mount(root) {
  const state = queryState(DEFAULTS);
  const head = h("div", { class: "page-head" });
  const selected = h("section", { ariaLabel: "Stage" });
  const stale = h("section", { ariaLabel: "Out of date" });
  const side = h("aside", { class: "side" }, selected, stale);
  const graph = diagram({ onLook: (id) => look(id) });
  const list = h("div", { class: "list" });
  let answer = null;
  let looked = null;
  const keep = keeper();

  const byName = (name) => answer.stages.find((stage) => stage.stage === name);
  const nodeOf = (id) => answer.nodes.find((node) => node.id === id);

  function look(id) {
    if (!answer) return;
    // What was looked at last stays, so that its links can be reached.
    if (id !== null && nodeOf(id)) looked = id;
    graph.choose(looked);
    drawSelected();
    for (const link of stale.querySelectorAll("a[data-node]")) {
      link.classList.toggle("is-looked", link.dataset.node === looked);
    }
  }

  function drawSelected() {
    const node = looked && nodeOf(looked);
    const stages = node?.stages.map(byName);
    settle(selected, node && keep("selected", [node, stages], () =>
      (node.is_folded ? matrixCard(node, stages, state) : stageCard(stages[0]))));
  }

  function draw() {
    const isGraph = state.get().view === "graph";
    const { stages, nodes } = answer;
    keep("head", [stages.map((stage) => stage.state), answer.running, state.get()], () => fill(head,
      h("h1", null, answer.pipeline ? `Pipeline ${visible(answer.pipeline)}` : "Pipeline"),
      h("span", { class: "counts" }, counts(answer.stages)),
      answer.running && h("a", { href: `/runs/${answer.running}` }, `${answer.running} is running`),
      h("span", { class: "end toolbar" },
        state.get().open.length > 0 && h("button", {
          type: "button", onclick: () => state.set({ open: [] }),
        }, "Fold all"),
        view("graph", "Graph", isGraph), view("list", "List", !isGraph))));
    if (isGraph) {
      graph.show(answer.svg);
      if (!graph.element.isConnected) root.replaceChildren(head, graph.element, side);
    } else {
      settle(list, keep("list", stages, () => stageTable(stages)));
      if (!list.isConnected) root.replaceChildren(head, list, side);
    }
    const open = stages.filter((stage) => stage.verdict !== "fresh");
    settle(stale, keep("stale", [open, nodes], () => staleList(answer, (id) => look(id))));
    look(null);
    tick();
  }

  const view = (name, title, isPressed) => h("button", {
    type: "button", ariaPressed: String(isPressed), onclick: () => state.set({ view: name }),
  }, title);

  function tick() {
    for (const stage of answer?.stages ?? []) {
      if (stage.state !== "running" || !stage.since) continue;
      graph.setDetail(stage.stage, `running ${duration(Date.now() - stage.since)}`);
    }
  }

  let isFetching = false;
  async function refresh() {
    if (isFetching) return;
    isFetching = true;
    try {
      const next = await get(url("/api/pipeline", { open: state.get().open }));
      if (next !== answer) {
        answer = next;
        draw();
      }
    } catch (error) {
      if (answer === null) {
        root.replaceChildren(h("div", { class: "notice bad" },
          h("h1", null, "The pipeline cannot be shown"), h("pre", null, visible(error.message)),
          error.hint && h("p", null, visible(error.hint))));
      } else toastError(error);
    } finally {
      isFetching = false;
    }
  }

  setCommand(["repro", "status"]);
  state.onChange((now, before) => {
    if (String(now.open) === String(before.open)) draw();
    else refresh();
  });
  onStore(refresh);
  onWorkspace(refresh);
  setInterval(() => document.hidden || refresh(), INTERVAL);
  setInterval(tick, 1000);
  onKey("+", "Zoom in", () => graph.zoom(1.25));
  onKey("-", "Zoom out", () => graph.zoom(0.8));
  onKey("0", "Show the whole graph", () => graph.fit());
  onKey("v", "Graph or list", () =>
    state.set({ view: state.get().view === "graph" ? "list" : "graph" }));
  await refresh();
  addEntries(...(answer?.stages ?? []).map((stage) =>
    ({ title: stage.stage, note: "stage", href: `/pipeline/${encodeURIComponent(stage.stage)}` })));
}

/** Counts the stages by the words for their states, those that need a look first. */
function counts(stages) {
  const order = Object.keys(BADGES);
  const groups = Map.groupBy(stages, (stage) => stage.state);
  return [...groups].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
    .map(([state, group]) => badge(state, `${group.length} ${group[0].words}`));
}

function stageCard(stage) {
  const name = visible(stage.stage);
  return h("div", { class: "card" },
    h("div", { class: "head" },
      h("h2", null, h("a", { href: `/pipeline/${encodeURIComponent(stage.stage)}` }, name)),
      h("span", { class: "end" }, badge(stage.state, stage.words))),
    h("div", { class: "body" },
      stage.desc && h("p", { class: "dim" }, visible(stage.desc)),
      stage.state === "fresh" || h("p", null, visible(stage.sentence)),
      stage.reasons.length > 1 && h("ul", { class: "reasons" },
        stage.reasons.map((reason) => h("li", null, visible(reason)))),
      stage.failure?.hint && h("p", { class: "dim" }, `Hint: ${visible(stage.failure.hint)}`),
      lastWork(stage)));
}

function lastWork({ stage, last }) {
  if (!last) return h("p", { class: "dim small" }, "No run has reached it yet");
  const took = last.took === null ? "" : ` in ${duration(last.took)}`;
  return h("p", { class: "dim small" }, `Last: ${last.outcome}${took}, ${ago(last.started)} in `,
    h("a", { href: `/runs/${last.run}?tab=logs&stage=${encodeURIComponent(stage)}` }, last.run));
}

function matrixCard(node, stages, state) {
  const open = [...state.get().open, node.id];
  return h("div", { class: "card" },
    h("div", { class: "head" }, h("h2", null, visible(node.id)),
      h("span", { class: "end dim small" }, `matrix of ${count(stages.length, "stage")}`)),
    h("div", { class: "body" },
      h("span", { class: "members" }, counts(stages)),
      h("p", null, h("a", { href: state.href({ open }) }, "Open the matrix"))));
}

function staleList(answer, onLook) {
  const stages = answer.stages.filter((stage) => stage.verdict !== "fresh");
  if (stages.length === 0) {
    return [h("h2", null, "Everything is up to date"),
      h("p", { class: "dim" }, count(answer.stages.length, "stage"))];
  }
  const nodes = new Map(answer.nodes.flatMap((node) => node.stages.map((name) => [name, node.id])));
  return [
    h("h2", null, "Out of date", h("span", { class: "dim" },
      `${stages.length} of ${count(answer.stages.length, "stage")}`)),
    h("ul", { class: "stale" }, stages.map((stage) => h("li", null, h("a", {
      href: `/pipeline/${encodeURIComponent(stage.stage)}`,
      data: { node: nodes.get(stage.stage) ?? "" },
      onfocus: () => onLook(nodes.get(stage.stage)),
      onpointerenter: () => onLook(nodes.get(stage.stage)),
    },
    h("span", { class: "status", data: { status: BADGES[stage.state] ?? "fresh" } }),
    h("span", { class: "title" }, visible(stage.stage)),
    h("span", { class: "why" }, visible(stage.sentence)))))),
  ];
}

function stageTable(stages) {
  return table({
    caption: "Stages of the pipeline, each after those that it needs",
    columns: [
      {
        key: "stage", title: "Stage",
        render: (name) => h("a", { href: `/pipeline/${encodeURIComponent(name)}` }, visible(name)),
      },
      { key: "words", title: "State", render: (words, stage) => badge(stage.state, words) },
      { key: "why", title: "Why" },
      { key: "needs", title: "Needs", format: (needs) => needs.join(", ") },
      { key: "took", title: "Took", kind: "number", format: duration },
      {
        key: "run", title: "Last run",
        render: (run) => (run ? h("a", { href: `/runs/${run}` }, run) : "–"),
      },
    ],
    rows: stages.map((stage) => ({
      ...stage,
      why: stage.verdict === "fresh" ? "" : stage.reasons.join(", "),
      took: stage.last?.took ?? null,
      run: stage.last?.run ?? null,
    })),
  });
}
