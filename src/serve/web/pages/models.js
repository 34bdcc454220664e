// The registered models: their versions, the aliases of these, and where their files come from.

import { get } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { fill, h } from "../lib/dom.js";
import { ago, count, time, visible } from "../lib/format.js";
import { onKey } from "../lib/keys.js";
import { onStore } from "../lib/live.js";
import { fit } from "../lib/palette.js";
import { queryState } from "../lib/state.js";
import { table } from "../lib/table.js";

/** @param {HTMLElement} root */
export async function mount(root) {
  const state = queryState({ find: "" });
  const total = h("span", { class: "dim", role: "status" });
  const search = h("input", {
    type: "search", placeholder: "Search models", ariaLabel: "Search models", autocomplete: "off",
    oninput: () => state.set({ find: search.value }, { replace: true }),
  });
  const list = h("div", { class: "models" });
  let models = null;

  const draw = () => {
    const { find } = state.get();
    if (document.activeElement !== search) search.value = find;
    const found = models.filter(({ model }) => find === "" || fit(model, find) >= 2);
    total.textContent = count(found.length, "model");
    search.hidden = models.length === 0;
    fill(list, found.map(card), found.length === 0 && nothing(models.length > 0));
  };
  const load = async () => {
    const answer = await get("/api/models");
    if (answer === models) return;
    models = answer;
    draw();
  };

  fill(root,
    h("div", { class: "page-head" }, h("h1", null, "Models"), total,
      h("span", { class: "end" }, search)),
    list);
  setCommand(["repro", "models", "list"]);
  onKey("/", "Search models", () => search.focus());
  state.onChange(draw);
  onStore(() => load().catch((error) => console.warn(error.message)));
  await load();
}

function nothing(hasOthers) {
  if (hasOthers) return h("div", { class: "empty" }, h("h2", null, "No model matches"));
  return h("div", { class: "empty" }, h("h2", null, "There are no registered models yet"),
    h("p", null, h("code", null, "repro models register NAME RUN:PATH"),
      " names a file or a folder that a run made"));
}

function card({ model, description, tags, versions }) {
  const shown = Object.entries(tags).map(([key, value]) =>
    h("span", { class: "badge" }, visible(value === "" ? key : `${key}: ${value}`)));
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", { id: model }, visible(model)),
      h("span", { class: "dim small" }, count(versions.length, "version")), shown),
    h("div", { class: "body" },
      description && h("p", { class: "description" }, visible(description)),
      versions.length > 0 && table({
        caption: `Versions of ${visible(model)}`, columns: COLUMNS, rows: versions,
      })));
}

const COLUMNS = [
  { key: "version", title: "version", kind: "number" },
  { key: "aliases", title: "aliases", format: (aliases) => aliases.join(", "),
    render: (aliases) => aliasBadges(aliases) },
  { key: "number", title: "run", format: (run) => run ?? "", render: (run) => runLink(run) },
  { key: "path", title: "files", format: placeOf, render: (_, row) => visible(placeOf(null, row)) },
  { key: "content", title: "content", format: (content) => content ?? "",
    render: (content) => contentLink(content) },
  { key: "registered", title: "registered", format: time,
    render: (at) => h("span", { title: time(at) }, ago(at)) },
  { key: "user", title: "user", format: (user) => visible(user ?? "") },
  { key: "description", title: "description", format: (text) => visible(text ?? "") },
];

const aliasBadges = (aliases) =>
  aliases.map((alias) => [h("span", { class: "badge alias" }, visible(alias)), " "]);

const runLink = (run) => (run ? h("a", { href: `/runs/${run}` }, run) : "");

function placeOf(_, { path, source }) {
  return path ?? source;
}

/** Links a content, `file 3f2a…`, to where else it was made or used. */
function contentLink(content) {
  const [kind, digest] = content?.split(" ") ?? [];
  if (!digest) return "";
  return h("a", { href: `/lineage/${digest}`, title: content }, `${kind} `,
    h("code", null, digest.slice(0, 12)));
}
