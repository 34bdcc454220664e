// One artifact of all runs side by side. The arrow keys go from artifact to artifact.

import { fill, h } from "../../lib/dom.js";
import { count, visible } from "../../lib/format.js";
import { heatMap, matrices } from "../../lib/heat.js";
import { onKey } from "../../lib/keys.js";
import { fileOf, preview } from "../../lib/preview.js";
import { colorOf } from "./report.js";

/** The confusion matrices of each report. */
const found = new WeakMap();

/**
 * Shows the list of artifacts and the contents of the chosen one.
 *
 * @param {HTMLElement} body
 * @param {import("./report.js").Report} report
 * @returns {(() => void) | null}  ends it
 */
export function showArtifacts(body, report, { state }) {
  const { all, path } = state.get();
  const shown = report.artifacts.filter((artifact) => all || artifact.differs);
  if (shown.length === 0) {
    fill(body, h("div", { class: "empty" }, h("h2", null,
      report.artifacts.length === 0 ? "These runs have no artifacts" : "No artifact differs")));
    return null;
  }
  const nameOf = ({ stage, path }) => [stage, path].filter(Boolean).join(":");
  const at = Math.max(shown.findIndex((artifact) => nameOf(artifact) === path), 0);
  const go = (step) => {
    const next = shown[at + step];
    if (next) state.set({ path: nameOf(next) }, { replace: true });
  };
  fill(body, h("div", { class: "artifacts" },
    h("nav", { class: "list", ariaLabel: "Artifacts" },
      h("p", { class: "dim small" }, summary(report, shown, all)),
      shown.map((artifact, i) => h("a", {
        href: state.href({ path: nameOf(artifact) }),
        ariaCurrent: i === at ? "true" : null,
        title: visible(nameOf(artifact)),
        onclick: (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          state.set({ path: nameOf(artifact) });
        },
      }, h("span", { class: "stage dim" }, visible(artifact.stage)), visible(artifact.path)))),
    h("div", { class: "gallery" }, versions(shown[at]).map((version) =>
      cell(report, shown[at], version)))));
  const ends = [
    onKey("ArrowRight", "Next artifact", () => go(1)),
    onKey("ArrowLeft", "Previous artifact", () => go(-1)),
    onKey("j", "Next artifact", () => go(1), { isListed: false }),
    onKey("k", "Previous artifact", () => go(-1), { isListed: false }),
  ];
  return () => ends.forEach((end) => end());
}

function summary(report, shown, all) {
  const total = report.artifacts.length;
  return all ? count(total, "artifact") : `${shown.length} of ${count(total, "artifact")} differ`;
}

/** The distinct contents of an artifact, with the sides that have each. */
function versions({ contents }) {
  const found = new Map();
  contents.forEach((content, side) => {
    const key = content?.digest ?? "";
    const version = found.get(key) ?? { content, sides: [] };
    version.sides.push(side);
    found.set(key, version);
  });
  return [...found.values()];
}

function cell(report, artifact, version) {
  const { content, sides } = version;
  const columnOf = (side) => report.columns.findIndex((column) => column.sides.includes(side));
  const heads = sides.map((side) => h("span", { class: "of" },
    h("span", { class: "swatch", vars: { "--color": `var(${colorOf(columnOf(side))})` } }),
    report.sides[side].label));
  const names = sides.map((side) => report.sides[side].label).join(", ");
  const place = h("div", { class: "body", tabIndex: 0, role: "group", ariaLabel: names });
  if (content === null) fill(place, h("p", { class: "dim" }, "does not have it"));
  else show(place, report, artifact, version);
  return h("article", { class: "card" },
    h("header", { class: "head" }, h("h2", null, heads),
      content && h("code", { class: "dim end", title: content.digest }, content.digest.slice(0, 8))),
    place);
}

async function show(place, report, { stage, path }, { content, sides }) {
  if (content.kind === "tree" || content.kind === "link") {
    fill(place, h("p", { class: "dim" }, content.kind === "tree" ? "a folder" : "a link"));
    return;
  }
  try {
    if (!found.has(report)) {
      found.set(report,
        matrices(report.sides.filter(({ run }) => run).map((side) => side.label)));
    }
    const matrix = await found.get(report)(report.sides[sides[0]].label, stage, path);
    fill(place, matrix ? heatMap(matrix) : await preview(fileOf({ ...content, path })));
  } catch (error) {
    fill(place, h("p", { class: "dim" }, visible(error.message)));
  }
}
