// The table of runs.

import { get } from "../lib/api.js";
import { setCommand } from "../lib/command.js";
import { copyMenu } from "../lib/copy.js";
import { fill, h, setText } from "../lib/dom.js";
import { csv, latex, markdown } from "../lib/exports.js";
import { count } from "../lib/format.js";
import { onKey } from "../lib/keys.js";
import { onStore } from "../lib/live.js";
import { addEntries } from "../lib/palette.js";
import { toastError } from "../lib/toast.js";
import { isNumeric, textOf } from "./runs/cells.js";
import { commandOf } from "./runs/command.js";
import { Editor } from "./runs/edit.js";
import { filterBox } from "./runs/filter.js";
import { Model } from "./runs/model.js";
import { pickColumns } from "./runs/picker.js";
import { Selection } from "./runs/selection.js";
import { RunTable } from "./runs/table.js";
import { viewState } from "./runs/view.js";

/** Least time in milliseconds between two looks at changes of the store. */
const PAUSE = 1000;
/** Parts of the state that change which rows there are, and their order. */
const ORDERING = ["filter", "sort", "cols", "tree", "by", "open", "deleted"];

/** @param {HTMLElement} root */
export async function mount(root) {
  root.classList.add("runs-page");
  await new RunsPage(root).start();
}

class RunsPage {
  #state = viewState();
  #model = new Model();
  #selection = new Selection(this.#state);
  #table;
  #names = null;
  #controls = {};
  #looking = 0;

  constructor(root) {
    const edit = new Editor((runs) => this.#edited(runs));
    this.#table = new RunTable({
      state: this.#state, model: this.#model, selection: this.#selection, edit,
    });
    this.#edit = edit;
    this.#controls.empty = h("div", { class: "empty", hidden: true });
    fill(root, this.#toolbar(), this.#controls.filter.error, this.#controls.empty,
      this.#table.element);
    this.#model.onRows = () => this.#table.refresh();
  }
  #edit;

  async start() {
    this.#keys();
    this.#state.onChange((now, before) => this.#changed(now, before));
    onStore(() => this.#look());
    await this.#filterByExperiment();
    await this.#load();
  }

  /** Turns the number of an experiment, which MLflow's client knows, into a filter. */
  async #filterByExperiment() {
    const { experiment, filter } = this.#state.get();
    if (experiment === "") return;
    const { experiments } = await this.#loadNames();
    const [, name] = experiments.find(([id]) => String(id) === experiment) ?? [];
    const only = name ? `experiment = "${name}"` : filter;
    this.#state.set({ experiment: "", filter: only }, { replace: true });
  }

  #toolbar() {
    const state = this.#state;
    const filter = filterBox({
      names: () => this.#loadNames(),
      apply: (text) => state.set({ filter: text, open: [] }),
    });
    const total = h("span", { class: "dim total", role: "status" });
    const fresh = h("button", {
      type: "button", class: "pill", hidden: true, onclick: () => this.#load(),
    });
    const group = h("select", { ariaLabel: "Group", onchange: () => this.#group(group.value) });
    const tree = toggle("Tree", "Show sweeps with their trials below them", () =>
      state.set({ tree: this.#model.isTree ? "0" : "1" }));
    const deleted = toggle("Deleted", "Show deleted runs instead", () =>
      state.set({ deleted: !state.get().deleted, sel: [] }));
    const columns = h("button", { type: "button", onclick: () => this.#pick() }, "Columns");
    const formats = {
      Markdown: () => this.#copy(markdown),
      CSV: () => this.#copy(csv),
      LaTeX: () => this.#copy(latex),
    };
    const compare = h("a", { class: "button primary", hidden: true });
    const remove = h("button", { type: "button", hidden: true, onclick: () => this.#remove() });
    const clear = h("button", {
      type: "button", class: "quiet", hidden: true, onclick: () => this.#selection.clear(),
    }, "Clear");
    Object.assign(this.#controls,
      { filter, total, fresh, group, tree, deleted, compare, remove, clear });
    return h("div", { class: "runs-bar" },
      h("h1", { class: "unseen" }, "Runs"),
      filter.element,
      h("div", { class: "toolbar" }, total, fresh,
        h("span", { class: "toolbar end" }, compare, remove, clear, group, tree, deleted, columns,
          copyMenu(formats))));
  }

  #keys() {
    const state = this.#state;
    onKey("/", "Filter", () => this.#controls.filter.focus());
    this.#table.addKeys();
    onKey("c", "Compare the selected runs", () => this.#compare());
    onKey("Shift+C", "Choose columns", () => this.#pick());
    onKey("Escape", "Clear the selection", () => this.#selection.clear(), { isListed: false });
    addEntries(
      { title: "Choose columns", keys: "Shift+C", run: () => this.#pick() },
      { title: "Compare the selected runs", keys: "c", run: () => this.#compare() },
      { title: "Show failed runs", run: () => state.set({ filter: "status = 'failed'" }) },
      { title: "Show running runs", run: () => state.set({ filter: "status = 'running'" }) },
      { title: "Show deleted runs", run: () => state.set({ deleted: true }) },
      { title: "Group by all params but the seed", run: () => this.#group("-seed") },
      { title: "Group by sweep", run: () => this.#group("sweep") },
      { title: "Show all runs, newest first",
        run: () => state.set(
          { filter: "", sort: [], by: "", deleted: false, tree: "", open: [] }) },
    );
  }

  #changed(now, before) {
    const differs = (key) => String(now[key]) !== String(before[key]);
    if (ORDERING.some(differs)) this.#load();
    else this.#draw();
    if (["filter", "sort", "by", "deleted", "tree"].some(differs)) this.#table.scrollToTop();
  }

  async #load() {
    const view = this.#state.get();
    try {
      if (!await this.#model.load(view)) return;
      this.#controls.filter.setError(null);
      this.#table.element.classList.remove("stale");
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#controls.fresh.hidden = true;
    this.#table.reorder();
    this.#draw();
  }

  #failed(error) {
    const { filter } = this.#controls;
    this.#drawGroups(this.#state.get());
    // What is shown belongs to another filter.
    this.#table.element.classList.add("stale");
    filter.setText(this.#state.get().filter);
    const rest = this.#model.items.length > 0 ? "The rows are those from before." : "";
    filter.setError([[error.message, error.hint].filter(Boolean).join("; "), rest]
      .filter(Boolean).join(" — "));
  }

  #draw() {
    const view = this.#state.get();
    const { filter, total, tree, deleted, compare, remove, clear } = this.#controls;
    filter.setText(view.filter);
    const noun = view.deleted ? "deleted run" : "run";
    const groups = view.by ? ` in ${count(this.#groupCount(), "group")}` : "";
    setText(total, `${count(this.#model.total, noun)}${groups}`);
    tree.ariaPressed = String(this.#model.isTree);
    tree.disabled = view.by !== "";
    deleted.ariaPressed = String(view.deleted);
    this.#drawGroups(view);
    const selected = this.#selection.runs();
    for (const element of [compare, remove, clear]) element.hidden = selected.length === 0;
    setText(compare, `Compare ${selected.length.toLocaleString("en")}`);
    compare.href = compareAddress(selected);
    setText(remove, view.deleted ? "Undelete" : "Delete");
    setCommand(commandOf(view));
    this.#drawEmpty(view);
    this.#table.draw();
  }

  /** Says why there is no row. */
  #drawEmpty(view) {
    const { empty } = this.#controls;
    const isEmpty = this.#model.items.length === 0;
    empty.hidden = !isEmpty;
    this.#table.element.hidden = isEmpty;
    if (!isEmpty) return;
    if (view.filter !== "") {
      const all = () => this.#state.set({ filter: "" });
      fill(empty, h("h2", null, "No run matches"),
        h("p", null, h("button", { type: "button", onclick: all }, "Show all runs")));
    } else if (view.deleted) {
      fill(empty, h("h2", null, "No run is deleted"));
    } else {
      fill(empty, h("h2", null, "There are no runs yet"),
        h("p", null, h("code", null, "repro run"), " creates the first"));
    }
  }

  #groupCount() {
    return this.#model.items.filter((item) => item.group).length;
  }

  #drawGroups({ by }) {
    const { group } = this.#controls;
    const known = { "": "No groups", "-seed": "All but seed", sweep: "By sweep" };
    if (by && !(by in known)) known[by] = `By ${by.replaceAll(",", ", ")}`;
    if (group.dataset.known !== Object.keys(known).join(" ")) {
      group.dataset.known = Object.keys(known).join(" ");
      fill(group, Object.entries(known).map(([value, title]) => h("option", { value }, title)));
    }
    group.value = by;
  }

  #group(by) {
    this.#state.set({ by, open: [], tree: "" });
  }

  /** Looks for changes of the store: values in sight are fetched again, the order is compared. */
  #look() {
    if (this.#looking) return;
    this.#looking = setTimeout(async () => {
      try {
        this.#names = null;
        this.#table.renew();
        const { added, isOther } = await this.#model.changes();
        const { fresh } = this.#controls;
        fresh.hidden = !isOther;
        setText(fresh, added > 0 ? `${count(added, "new run")}` : "Order changed");
      } catch (error) {
        console.warn(error.message);
      } finally {
        this.#looking = 0;
      }
    }, this.#looking === 0 ? PAUSE / 4 : PAUSE);
  }

  #edited(runs) {
    this.#model.want(runs, { isAgain: true });
    this.#look();
  }

  async #remove() {
    await this.#edit.setDeleted(this.#selection.runs(), !this.#state.get().deleted);
    this.#selection.clear();
    await this.#load();
  }

  #compare() {
    const selected = this.#selection.runs();
    const runs = selected.length > 0 ? selected : [this.#table.currentRun()].filter(Boolean);
    if (runs.length > 0) location.assign(compareAddress(runs));
  }

  async #loadNames() {
    this.#names ??= await get("/api/runs/names");
    return this.#names;
  }

  async #pick() {
    try {
      pickColumns({
        names: await this.#loadNames(),
        chosen: this.#table.chosenKeys(),
        apply: (keys) => this.#state.set({ cols: keys }, { replace: true }),
      });
    } catch (error) {
      toastError(error);
    }
  }

  async #copy(format) {
    const columns = this.#model.columns.filter((column) => column.kind !== "curve");
    const selected = this.#selection.runs();
    const runs = selected.length > 0 ? selected
      : [...new Set(this.#model.items.filter((item) => !item.group).map((item) => item.run))];
    const rows = await this.#model.all(runs);
    const head = ["run", "name", "status", ...columns.map((column) => column.title)];
    const texts = rows.map((row) => [`run-${row.run}`, row.name ?? "", row.status,
      ...columns.map((column) => textOf(column, row))]);
    return format(head, texts, [false, false, false, ...columns.map(isNumeric)]);
  }
}

const compareAddress = (runs) => `/compare?runs=${runs.join(",")}`;

const toggle = (text, title, onclick) =>
  h("button", { type: "button", title, ariaPressed: "false", onclick }, text);
