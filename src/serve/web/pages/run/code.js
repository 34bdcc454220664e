// The state of the code and the machine: commit, uncommitted changes, tools, environment.

import { getText } from "../../lib/api.js";
import { copyButton } from "../../lib/copy.js";
import { fill, h } from "../../lib/dom.js";
import { count, visible } from "../../lib/format.js";
import { table } from "../../lib/table.js";

/** Number of lines of a diff that are shown. */
const MOST_LINES = 5000;
const KINDS = [
  [/^(diff --git|index |new file|deleted file|old mode|new mode|similarity|rename|Binary)/, "meta"],
  [/^(\+\+\+|---)/, "file"], [/^@@/, "hunk"], [/^\+/, "added"], [/^-/, "removed"],
];

/** Creates the tab. */
export function codeTab(page) {
  const git = h("section", { class: "card" });
  const machine = h("section", { class: "card" });
  const element = h("div", { class: "code-tab" }, git, machine);
  let drawn = "";
  function update() {
    const run = page.run();
    const inputs = run.stages.map(({ tools, env }) => [tools, env]);
    const key = JSON.stringify([run.git, run.host, inputs]);
    if (key === drawn) return;
    drawn = key;
    fill(git, h("div", { class: "head" }, h("h2", null, "Git")), gitBody(run, page.path));
    fill(machine, h("div", { class: "head" }, h("h2", null, "Machine")), machineBody(run));
  }
  return { element, update };
}

function gitBody({ git }, path) {
  if (!git) return h("p", { class: "body dim" }, "The project was not in a git repository.");
  const place = h("div", { class: "diff-place" });
  if (git.diff) showDiff(place, path);
  const lacks = git.diff?.lacks ?? [];
  return h("div", { class: "body" },
    h("dl", { class: "facts" },
      h("dt", null, "commit"), h("dd", { class: "mono" }, git.commit ?? "none yet",
        git.commit && copyButton(() => git.commit, { what: "the commit" })),
      h("dt", null, "branch"), h("dd", null, git.branch ? visible(git.branch) : "none"),
      h("dt", null, "tree"), h("dd", null, git.tree === "clean" ? "clean"
        : h("span", { class: "warn" }, "with uncommitted changes"))),
    git.tree === "dirty" && !git.diff
      && h("p", { class: "dim" }, "The changes were not recorded."),
    lacks.length > 0 && h("p", { class: "notice warn" },
      `The changes lack ${count(lacks.length, "large file")}: `, lacks.map(visible).join(", ")),
    place);
}

async function showDiff(place, path) {
  const source = `${path}/files/git.diff`;
  let text;
  try {
    text = await getText(source);
  } catch (error) {
    fill(place, h("p", { class: "dim" }, `The changes are not here: ${error.message}.`));
    return;
  }
  const lines = text.split("\n");
  const [added, removed] = ["added", "removed"].map((kind) =>
    lines.filter((line) => kindOf(line) === kind).length);
  fill(place,
    h("div", { class: "toolbar" }, h("h3", null, "Uncommitted changes"),
      h("span", { class: "good" }, `+${added}`), h("span", { class: "bad" }, `−${removed}`),
      copyButton(() => text, { label: "Copy", what: "the changes" })),
    h("pre", { class: "diff", tabIndex: 0 }, lines.slice(0, MOST_LINES).map((line) =>
      h("span", { class: `diff-${kindOf(line)}` }, `${visible(line.replaceAll("\t", "    "))}\n`))),
    lines.length > MOST_LINES && h("p", { class: "dim small" },
      `The first ${MOST_LINES} of ${count(lines.length, "line")}; `,
      h("a", { href: source }, "show all")));
}

const kindOf = (line) => KINDS.find(([pattern]) => pattern.test(line))?.[1] ?? "context";

function machineBody(run) {
  const rows = run.stages.flatMap(({ stage, tools, env }) => [
    ...Object.entries(tools).map(([name, value]) => ({ stage, what: "tool", name, value })),
    ...Object.entries(env).map(([name, value]) => ({ stage, what: "variable", name, value })),
  ]);
  return h("div", { class: "body" },
    h("dl", { class: "facts" },
      run.host && [h("dt", null, "host"), h("dd", null, visible(run.host))],
      run.user && [h("dt", null, "user"), h("dd", null, visible(run.user))],
      h("dt", null, "identity"), h("dd", { class: "mono" }, run.uid)),
    rows.length === 0
      ? h("p", { class: "dim" }, "No stage declared tools or variables that it depends on.")
      : table({
        caption: "Tools and variables that stages declared",
        columns: [
          { key: "stage", title: "stage" }, { key: "what", title: "kind" },
          { key: "name", title: "name" },
          { key: "value", title: "value", render: (value) =>
            h("span", { class: "mono wrap" }, value === null ? "not set" : visible(value)) },
        ],
        rows,
      }));
}
