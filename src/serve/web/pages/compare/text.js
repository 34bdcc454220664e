// The params of two runs as nested text, line by line.

import { copyButton } from "../../lib/copy.js";
import { fill, h } from "../../lib/dom.js";
import { visible } from "../../lib/format.js";
import { diffLines, marked } from "../../lib/textdiff.js";

/** Number of equal lines that are kept around a difference. */
const CONTEXT = 2;

/**
 * Shows the params of the baseline and of another run as a text with its changes.
 *
 * @param {HTMLElement} body
 * @param {import("./report.js").Report} report
 */
export function showDifferences(body, report, { state }) {
  const { all } = state.get();
  const before = report.columns[report.baseline].sides[0];
  const others = report.sides.map((_, at) => at).filter((at) => at !== before);
  const chosen = others.find((at) => report.sides[at].label === state.get().with) ?? others.at(-1);
  const lines = diffLines(outline(report.params, before), outline(report.params, chosen));
  const plain = () => lines.map(({ mark, text }) => `${mark}${text}\n`).join("");
  const [from, to] = [before, chosen].map((at) => report.sides[at].label);
  fill(body,
    h("div", { class: "bar" },
      h("span", null, `From ${from} to `),
      h("label", null, h("span", { class: "unseen" }, "Run"), h("select", {
        onchange: (event) => state.set({ with: event.target.value }),
      }, others.map((at) => h("option", {
        value: report.sides[at].label, selected: at === chosen,
      }, report.sides[at].label)))),
      copyButton(plain, { label: "Copy text", what: "the text" })),
    lines.every(({ mark }) => mark === " ") && !all
      ? h("div", { class: "empty" }, h("h2", null, "No param differs"))
      : h("div", { class: "scroll textdiff", tabIndex: 0, role: "region", ariaLabel: "Params" },
        rowsOf(all ? lines : shortened(lines))));
}

/** Returns params as lines of nested text: `train:`, `  lr: 0.1`. */
function outline(params, side) {
  const lines = [];
  let above = [];
  for (const { key, values } of params) {
    const value = values[side];
    if (value === null || value === undefined) continue;
    const parts = key.split(".");
    const folders = parts.slice(0, -1);
    let depth = 0;
    while (depth < folders.length && folders[depth] === above[depth]) depth += 1;
    for (; depth < folders.length; depth += 1) lines.push(`${indent(depth)}${folders[depth]}:`);
    above = folders;
    lines.push(...valueLines(`${indent(folders.length)}${parts.at(-1)}: `, value, folders.length));
  }
  return lines;
}

const indent = (depth) => "  ".repeat(depth);

/** Lines of one value: long texts keep their lines, lists and tables get one line per part. */
function valueLines(start, value, depth) {
  if (typeof value === "string" && value.includes("\n")) {
    return [`${start}|`, ...value.split("\n").map((line) => indent(depth + 1) + line)];
  }
  const isNested = typeof value === "object" && Object.values(value).some((part) =>
    typeof part === "object");
  const [first, ...rest] = JSON.stringify(value, null, isNested ? 2 : 0).split("\n");
  return [start + first, ...rest.map((line) => indent(depth) + line)];
}

/** Leaves out equal lines that are far from differences. */
function shortened(lines) {
  const near = lines.map((_, at) => lines
    .slice(Math.max(at - CONTEXT, 0), at + CONTEXT + 1).some(({ mark }) => mark !== " "));
  const kept = [];
  let left = 0;
  lines.forEach((line, at) => {
    if (near[at]) {
      if (left > 0) kept.push({ mark: "…", text: `${left} equal` });
      left = 0;
      kept.push(line);
    } else {
      left += 1;
    }
  });
  if (left > 0) kept.push({ mark: "…", text: `${left} equal` });
  return kept;
}

const NAMES = { "-": "removed", "+": "added", " ": "", "…": "left out" };
const CLASSES = { "-": "removed", "+": "added", " ": "equal", "…": "left-out" };

function rowsOf(lines) {
  return lines.map((line, at) => {
    const { mark, text } = line;
    const other = mark === "-" ? lines[at + 1] : mark === "+" ? lines[at - 1] : null;
    const isPair = other && other.mark === (mark === "-" ? "+" : "-");
    const [start, middle, end] = isPair ? marked(text, other.text) : [text, "", ""];
    return h("div", { class: `line ${CLASSES[mark]}` },
      h("span", { class: "mark", ariaHidden: "true" }, mark),
      NAMES[mark] && h("span", { class: "unseen" }, `${NAMES[mark]}: `),
      h("span", { class: "text" }, visible(start), middle && h("mark", null, visible(middle)),
        visible(end)));
  });
}
