// The page of a run: its head, and a tab for each kind of thing it recorded.

import { get } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { fill, h } from "../lib/dom.js";
import { visible } from "../lib/format.js";
import { onKey } from "../lib/keys.js";
import { onStore } from "../lib/live.js";
import { addEntries } from "../lib/palette.js";
import { queryState } from "../lib/state.js";
import { artifactsTab } from "./run/artifacts.js";
import { codeTab } from "./run/code.js";
import { curvesTab } from "./run/curves.js";
import { head } from "./run/head.js";
import { logsTab } from "./run/logs.js";
import { overviewTab } from "./run/overview.js";
import { paramsTab } from "./run/params.js";

const TABS = [
  { name: "overview", title: "Overview", make: overviewTab },
  { name: "curves", title: "Curves", make: curvesTab, count: (run) => run.series.length },
  { name: "params", title: "Params", make: paramsTab,
    count: (run) => Object.keys(run.params).length },
  { name: "logs", title: "Logs", make: logsTab, count: (run) => run.logs.length },
  { name: "artifacts", title: "Artifacts", make: artifactsTab,
    count: (run) => run.artifacts.length },
  { name: "code", title: "Code and machine", make: codeTab },
];

/** State of the page in its address. */
const DEFAULTS = {
  tab: "overview", q: "", axis: "step", smooth: 0, from: "", to: "", stage: "", find: "", file: "",
};

/** @param {HTMLElement} root */
export async function mount(root) {
  const name = decoded(location.pathname.split("/")[2]);
  const path = `/api/runs/${encodeURIComponent(name)}`;
  let run;
  try {
    run = await get(path);
  } catch (error) {
    setCommand(["repro", "runs", "list"]);
    const title = error.status === 404 ? `There is no ${visible(name)}` : "The run cannot be shown";
    fill(root, h("div", { class: "empty" }, h("h1", null, title), h("p", null, error.message),
      error.hint && h("p", null, error.hint), h("p", null, h("a", { href: "/runs" }, "All runs"))));
    return;
  }
  const state = queryState(DEFAULTS);
  const page = { path, state, run: () => run, reload, showCommand };
  const top = head(page);
  const links = TABS.map((tab, at) => {
    const link = h("a", { href: state.href({ tab: tab.name }), title: `${tab.title} (${at + 1})`,
      onclick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        open(tab.name);
      } });
    onKey(String(at + 1), `Show ${tab.title.toLowerCase()}`, () => open(tab.name));
    addEntries({ title: tab.title, note: "of this run", keys: String(at + 1),
      run: () => open(tab.name) });
    return link;
  });
  const panel = h("div", { class: "panel" });
  fill(root, h("div", { class: "run-page" }, top.element,
    h("nav", { class: "tabs", ariaLabel: "Parts of the run" }, links), panel));

  /** @type {{element: HTMLElement, update: () => void, leave?: () => void} | null} */
  let shown = null;
  let shownName = "";

  function open(tab) {
    // What belongs to another tab leaves the address.
    const kept = { q: "", from: "", to: "", stage: "", find: "", file: "" };
    state.set(state.get().tab === tab ? { tab } : { ...kept, tab });
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  }

  function show() {
    const wanted = TABS.find(({ name: tab }) => tab === state.get().tab) ?? TABS[0];
    if (wanted.name !== shownName) {
      shown?.leave?.();
      shownName = wanted.name;
      shown = wanted.make(page);
      fill(panel, shown.element);
    }
    update();
    links.find((link) => link.ariaCurrent)?.scrollIntoView({ block: "nearest" });
    showCommand();
  }

  /** Shows the command for what the tab shows now. */
  function showCommand() {
    setCommand(shown.command?.() ?? ["repro", "runs", "show", run.run]);
  }

  function update() {
    top.update();
    TABS.forEach((tab, at) => {
      const count = tab.count?.(run);
      links[at].ariaCurrent = tab.name === shownName ? "page" : null;
      links[at].toggleAttribute("data-empty", count === 0);
      const text = [tab.title, count > 0 && h("span", { class: "count" }, count)];
      if (links[at].textContent !== `${tab.title}${count || ""}`) fill(links[at], text);
    });
    shown.update();
  }

  async function reload() {
    const next = await get(path).catch(() => run);
    if (next === run) return;
    run = next;
    update();
  }

  state.onChange(show);
  show();
  onStore(reload);
}

/** Returns a part of an address as text; as it is if it is not well-formed. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
