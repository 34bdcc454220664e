// The artifacts of a run: what its stages made and what clients uploaded, with previews, and from
// each content to where else it was made or used.

import { get } from "../../lib/api.js";
import { copyText } from "../../lib/copy.js";
import { fill, h } from "../../lib/dom.js";
import { bytes, count, visible } from "../../lib/format.js";
import { heatMap, matrices } from "../../lib/heat.js";
import { onKey } from "../../lib/keys.js";
import { addressOf, preview } from "../../lib/preview.js";

/** Creates the tab. */
export function artifactsTab(page) {
  const { state } = page;
  const filter = h("input", { type: "search", placeholder: "Filter artifacts",
    ariaLabel: "Filter artifacts (/)", value: state.get().q,
    oninput: () => state.set({ q: filter.value }, { replace: true }) });
  const list = h("nav", { class: "artifact-list", ariaLabel: "Artifacts" });
  const detail = h("div", { class: "artifact-detail" });
  const element = h("section", { class: "artifacts" },
    h("div", { class: "artifact-side" }, filter, list), detail);
  const ends = [
    onKey("/", "Filter", () => filter.focus()),
    onKey("j", "Next artifact", () => move(1)),
    onKey("k", "Previous artifact", () => move(-1)),
    onKey("u", "To the folder above", () => up()),
  ];
  const matrixOf = matrices([page.run().run]);
  let artifacts = null;
  let [listed, shown] = ["", ""];
  let entries = [];

  async function update() {
    const key = JSON.stringify(page.run().artifacts);
    if (key !== listed) {
      listed = key;
      try {
        ({ artifacts } = await get(`${page.path}/artifacts`));
      } catch (error) {
        fill(list, h("p", { class: "notice bad" }, error.message));
        return;
      }
    }
    if (artifacts) draw();
  }

  /** Finds an artifact, or an entry of a folder in one: its path follows that of the folder. */
  async function find(file) {
    const whole = artifacts.find(({ path }) => path === file);
    if (whole) return whole;
    const isAbove = ({ path, kind }) => kind === "tree" && file.startsWith(`${path}/`);
    let current = artifacts.find(isAbove);
    if (!current) return null;
    for (const name of file.slice(current.path.length + 1).split("/")) {
      const next = (await folder(current)).entries.find(({ path }) => path === name);
      if (!next) return null;
      current = { ...next, path: `${current.path}/${name}`, stage: current.stage };
    }
    return current;
  }

  /** Reports whether a path is that of an out or inside one, which the command line can get. */
  const isOut = (file) => (artifacts ?? []).some(({ path, origin }) =>
    origin === "out" && (file === path || file.startsWith(`${path}/`)));

  const folder = (file) => get(`${file.url}?as=folder`);

  async function draw() {
    const words = state.get().q.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = artifacts.filter(({ path, stage }) =>
      words.every((word) => `${stage}/${path}`.toLowerCase().includes(word)));
    const wanted = state.get().file || matching[0]?.path || "";
    entries = matching.map(({ path }) => path);
    const stages = [...new Set(matching.map(({ stage }) => stage))];
    fill(list, stages.map((stage) => [
      h("h2", { class: "dim" }, visible(stage || "logged by a client")),
      matching.filter((one) => one.stage === stage).map((one) => link(one, wanted)),
    ]), matching.length === 0 && h("p", { class: "empty" }, artifacts.length > 0
      ? "No artifact matches." : "This run has no artifacts."));
    if (wanted === shown) return;
    shown = wanted;
    page.showCommand();
    if (wanted === "") {
      fill(detail);
      return;
    }
    const file = await find(wanted).catch(() => null);
    if (wanted !== shown) return;
    if (file) show(file);
    else fill(detail, h("p", { class: "empty" }, `This run has no artifact ${visible(wanted)}.`));
  }

  function link(file, wanted) {
    const isCurrent = file.path === wanted || wanted.startsWith(`${file.path}/`);
    return h("a", { href: state.href({ file: file.path }), title: visible(file.path),
      ariaCurrent: isCurrent ? "true" : null, onclick: (event) => go(event, file.path) },
    h("span", { class: "name" }, middle(visible(file.path)), file.kind === "tree" && "/"),
    h("span", { class: "dim small" }, file.bytes === null ? (file.url ? "" : "not kept")
      : bytes(file.bytes)));
  }

  function go(event, path) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    state.set({ file: path });
  }

  function move(by) {
    if (entries.length === 0) return;
    const at = entries.findIndex((path) => shown === path || shown.startsWith(`${path}/`));
    state.set({ file: entries[Math.min(Math.max(at + by, 0), entries.length - 1)] },
      { replace: true });
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function up() {
    const above = shown.slice(0, Math.max(0, shown.lastIndexOf("/")));
    if (artifacts?.some(({ path }) => above === path || above.startsWith(`${path}/`))) {
      state.set({ file: above });
    }
  }

  async function show(file) {
    const body = h("div", { class: "artifact-body", ariaBusy: "true" });
    const uses = h("div", { class: "uses" });
    fill(detail, h("header", { class: "artifact-head" },
      h("h2", null, crumbs(file)),
      h("div", { class: "toolbar" },
        file.kind && h("span", { class: "badge" }, file.kind === "tree" ? "folder" : file.kind),
        file.url && file.kind !== "tree" && [
          h("a", { class: "button", href: addressOf(file) }, "Open"),
          h("a", { class: "button", href: addressOf(file, "download") }, "Download")],
        file.digest && h("button", { type: "button", class: "quiet mono", title: file.digest,
          onclick: () => copyText(file.digest, "the digest") }, file.digest.slice(0, 12)),
        file.digest
          && h("a", { class: "button quiet", href: `/lineage/${file.digest}` }, "Lineage"))),
    body, uses);
    try {
      if (!file.url) {
        fill(body, h("p", { class: "empty" }, "The content was not kept: the cache of this project "
          + "does not have it."));
      } else if (file.kind === "tree") fill(body, await folderTable(file));
      else if (file.kind === "link") fill(body, h("p", { class: "empty" }, "A symbolic link."));
      else {
        const matrix = file.path.endsWith(".json")
          && await matrixOf(page.run().run, file.stage, file.path);
        fill(body, matrix ? heatMap(matrix) : await preview(file));
      }
    } catch (error) {
      fill(body, h("p", { class: "notice bad" }, error.message));
    }
    body.ariaBusy = "false";
    if (file.digest) fill(uses, await usesOf(file.digest, page.run().run).catch(() => null));
  }

  function crumbs(file) {
    const parts = file.path.split("/");
    return parts.map((part, at) => {
      const path = parts.slice(0, at + 1).join("/");
      const isFolder = at < parts.length - 1 && artifacts.some((one) => one.kind === "tree"
        && (path === one.path || path.startsWith(`${one.path}/`)));
      const text = visible(part);
      return [at > 0 && h("span", { class: "dim" }, "/"), isFolder
        ? h("a", { href: state.href({ file: path }), onclick: (event) => go(event, path) }, text)
        : text];
    });
  }

  async function folderTable(file) {
    const { entries: all, total } = await folder(file);
    const rows = all.map((entry) => {
      const path = `${file.path}/${entry.path}`;
      return h("tr", null,
        h("td", null, h("a", { href: state.href({ file: path }),
          onclick: (event) => go(event, path) }, visible(entry.path),
        entry.kind === "tree" && "/")),
        h("td", { class: "number" }, entry.bytes === null ? "" : bytes(entry.bytes)),
        h("td", { class: "mono dim" }, entry.digest.slice(0, 12)));
    });
    return [h("p", { class: "dim small" }, total > all.length
      ? `The first ${all.length} of ${count(total, "entry").replace("entrys", "entries")}`
      : `${total === 1 ? "1 entry" : `${total.toLocaleString("en")} entries`}`),
    h("table", { class: "folder" }, h("caption", { class: "unseen" }, "Entries of the folder"),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "name"),
        h("th", { scope: "col", class: "number" }, "size"), h("th", { scope: "col" }, "digest"))),
      h("tbody", null, rows))];
  }

  return { element, update, leave: () => ends.forEach((end) => end()),
    command: () => (isOut(shown) ? ["repro", "get", `${page.run().run}:${shown}`]
      : ["repro", "runs", "show", page.run().run]) };
}

/** Lists where a content was made and used. */
async function usesOf(digest, run) {
  const { made, used, unsearched } = await get(`/api/objects/${digest}/uses`);
  const runs = ({ first, last, runs: number }) => [
    h("a", { href: `/runs/${last}`, class: last === run ? "dim" : null }, last),
    number > 1 && [` and ${count(number - 1, "more run")}, the first `,
      h("a", { href: `/runs/${first}` }, first)]];
  const rows = (list, verb) => list.map((use) => h("tr", null,
    h("td", { class: "dim" }, verb),
    h("td", null, use.stage ? h("a", { href: `/pipeline/${encodeURIComponent(use.stage)}` },
      visible(use.stage)) : "a client"),
    h("td", { class: "mono" }, visible(use.path)), h("td", null, runs(use))));
  const isAlone = made.length === 1 && made[0].runs === 1 && made[0].last === run;
  if (used.length === 0 && (isAlone || made.length === 0)) return null;
  return [h("h3", null, "The same content elsewhere"),
    h("div", { class: "scroll", tabIndex: 0, role: "region", ariaLabel: "Uses" },
      h("table", null, h("caption", { class: "unseen" }, "Where this content was made and used"),
        h("tbody", null, rows(made, "made by"), rows(used, "read by")))),
    unsearched > 0 && h("p", { class: "dim small" },
      `${count(unsearched, "run")} kept no lock, so what read it there is unknown.`)];
}

/** Cuts a long path in the middle, whose end matters more. */
function middle(path) {
  if (path.length <= 44) return path;
  return `${path.slice(0, 16)}…${path.slice(-26)}`;
}
