// Where a content or the outs of a stage came from, and where they went: as a graph and as a list.

import { get } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { diagram } from "../lib/dag.js";
import { fill, h } from "../lib/dom.js";
import { count, time, value, visible } from "../lib/format.js";
import { onKey } from "../lib/keys.js";

/** Number of digits that tell digests apart. */
const DIGITS = 10;
const PARTS = [
  ["subject", "Selected"], ["origin", "Came from"], ["use", "Led to"],
  ["beside", "Beside it"],
];

/** @param {HTMLElement} root */
export async function mount(root) {
  const [, , ...subject] = location.pathname.split("/");
  const names = subject.map(decodeURIComponent);
  setCommand(names.length === 2 ? ["repro", "runs", "show", names[0]] : null);
  let answer;
  try {
    answer = await get(`/api/lineage/${subject.join("/")}`);
  } catch (error) {
    fill(root, h("div", { class: "empty" }, h("h2", null, visible(error.message)),
      error.hint && h("p", null, visible(error.hint)), h("p", null, h("a", { href: "/runs" },
        "All runs"))));
    return;
  }
  const side = h("aside", { class: "side" });
  const graph = diagram({
    onLook: (id) => {
      graph.choose(id);
      for (const entry of side.querySelectorAll(".entry")) {
        entry.classList.toggle("is-looked", id !== null && entry.dataset.node === id);
      }
      side.querySelector(".is-looked")?.scrollIntoView({ block: "nearest" });
    },
  });
  graph.show(answer.svg);
  fill(side, answer.missing.length > 0 && h("div", { class: "notice warn" },
    h("ul", null, answer.missing.map((sentence) => h("li", null, visible(sentence))))),
  PARTS.map(([place, title]) => partOf(answer, place, title, graph)));
  fill(root, headOf(names, answer), graph.element, side);
  onKey("+", "Zoom in", () => graph.zoom(1.25));
  onKey("-", "Zoom out", () => graph.zoom(0.8));
  onKey("0", "Show the whole graph", () => graph.fit());
}

function headOf(names, answer) {
  const subject = answer.nodes.find((node) => node.place === "subject");
  const path = subject?.files?.[0]?.path;
  const title = path ?? (names.length === 2 ? `${names[1]} in ${names[0]}` : names[0]);
  const digest = subject?.files?.[0]?.digest;
  return h("div", { class: "page-head" },
    h("h1", null, "Lineage of ", visible(title)),
    digest && h("span", { class: "mono" }, digest.slice(0, 16), "…"));
}

function partOf(answer, place, title, graph) {
  const nodes = answer.nodes.map((node, id) => ({ ...node, id: String(id) }))
    .filter((node) => node.place === place)
    // Executions first, the latest on top.
    .sort((a, b) => (b.started ?? 0) - (a.started ?? 0));
  if (nodes.length === 0) return null;
  const executions = nodes.filter((node) => node.kind === "execution").length;
  return h("section", { ariaLabel: title },
    h("h2", null, title, executions > 0 && h("span", { class: "dim" },
      count(executions, "execution"))),
    h("ul", null, nodes.map((node) => h("li", {
      class: "entry", data: { node: node.id },
      onpointerenter: () => graph.choose(node.id),
      onfocusin: () => graph.choose(node.id),
    }, node.kind === "execution" ? executionOf(node) : node.files.map(fileOf)))));
}

function executionOf({ stage, run, started, commit, is_dirty: isDirty, cmd, params, outs }) {
  const given = Object.entries(params);
  return [
    h("div", { class: "title" },
      stage ? h("a", { href: `/pipeline/${encodeURIComponent(stage)}` }, visible(stage))
        : h("span", null, "logged by a client"),
      h("span", { class: "end" }, run ? h("a", { href: `/runs/${run}` }, run) : "workspace")),
    h("div", { class: "line" },
      [started && time(started), commit && `git ${commit.slice(0, DIGITS)}`,
        isDirty && "with uncommitted changes", outs > 0 && count(outs, "out")]
        .filter(Boolean).join(" · ")),
    cmd && h("div", { class: "line mono" }, visible(cmd.trim().split("\n")[0])),
    given.length > 0 && h("details", null, h("summary", null, count(given.length, "param")),
      h("dl", { class: "facts" },
        given.map(([key, param]) => [h("dt", null, visible(key)), h("dd", null, value(param))]))),
  ];
}

const fileOf = ({ path, kind, digest }) => h("div", { class: "title" },
  h("a", { href: `/lineage/${digest}`, class: "mono" }, visible(path)),
  h("span", { class: "end dim mono" }, kind === "tree" ? "folder " : "", digest.slice(0, DIGITS)));
