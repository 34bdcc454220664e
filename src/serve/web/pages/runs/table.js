// The rows and columns of the table, on top of the windowed table.

import { h } from "../../lib/dom.js";
import { value as plain, visible } from "../../lib/format.js";
import { onKey } from "../../lib/keys.js";
import { windowed } from "../../lib/windowed.js";
import { content, curve, decimals, isMetric, isNumeric, note, spread, usualWidth }
  from "./cells.js";
import { Curves } from "./curves.js";
import { canSort, headOf, showMenu, usualDirection } from "./heads.js";
import { moved } from "./picker.js";
import { directionOf, nextSort } from "./view.js";

const ROW = 28;
const RUN = { key: "run", kind: "run", title: "run", isFixed: true, isPinned: true };
const RUN_WIDTH = 250;
const RUN_WIDTH_NARROW = 168;
/** Width that a mean with its deviation, or a difference, needs beyond a single value. */
const MORE = 48;
const NARROW = matchMedia("(max-width: 700px)");

/** The table of runs. */
export class RunTable {
  #state;
  #model;
  #selection;
  #edit;
  #grid;
  #columns = [];
  #curves = new Curves(() => this.refresh());
  #base = null;
  #ranges = new Map();
  #layout = "";
  #sort = "";
  #dragged = new Map();

  constructor({ state, model, selection, edit }) {
    this.#state = state;
    this.#model = model;
    this.#selection = selection;
    this.#edit = edit;
    this.#grid = windowed({
      label: "Runs",
      rowHeight: ROW,
      head: (column) => headOf(column, this.#actions, state.get()),
      sortOf: (column) => ({ asc: "ascending", desc: "descending" })[
        directionOf(state.get().sort, column.key)] ?? "none",
      version: (index) => this.#version(index),
      row: (index) => this.#row(index),
      cell: (index, column) => this.#cell(index, column),
      onWindow: (from, to) => this.#want(from, to),
    });
    this.#grid.element.addEventListener("click", (event) => this.#click(event));
    this.#grid.element.addEventListener("focusin", (event) => {
      const index = this.#grid.indexOf(event.target);
      if (index >= 0) this.#current = index;
    });
    NARROW.addEventListener("change", () => this.draw());
  }
  #current = -1;

  get element() {
    return this.#grid.element;
  }

  /** Takes another order or other columns; `draw` shows them. */
  reorder() {
    this.#current = -1;
    this.#ranges = new Map();
    this.#grid.setCount(this.#model.items.length);
    this.#grid.retell();
  }

  /** Draws what changed; the layout of columns, too. */
  draw() {
    const view = this.#state.get();
    this.#columns = columnsOf(this.#model, view, this.#dragged);
    const layout = JSON.stringify(this.#columns);
    const sort = String(view.sort);
    if (layout !== this.#layout) this.#grid.setColumns(this.#columns);
    else if (sort !== this.#sort) this.#grid.refreshHead();
    [this.#layout, this.#sort] = [layout, sort];
    this.#readBase(Number(view.base) || null);
    this.#grid.draw();
  }

  refresh() {
    const row = this.#base && this.#model.rows.get(this.#base.run);
    if (row) this.#base = row;
    this.#grid.refresh();
  }

  /** Fetches again the values in sight. */
  renew() {
    const [from, to] = this.#grid.visible();
    this.#want(from, to, { isAgain: true });
  }

  scrollToTop() {
    this.#grid.scrollToTop();
  }

  /** Returns the keys of the columns that are shown, without that of the run. */
  chosenKeys() {
    return this.#model.columns.map((column) => column.key);
  }

  currentRun() {
    return this.#model.items[this.#current]?.run ?? null;
  }

  addKeys() {
    onKey("j", "Next run", () => this.#go(this.#current + 1));
    onKey("k", "Previous run", () => this.#go(this.#current - 1));
    onKey("ArrowDown", "Next run", () => this.#go(this.#current + 1), { isListed: false });
    onKey("ArrowUp", "Previous run", () => this.#go(this.#current - 1), { isListed: false });
    onKey("Enter", "Open the run", () => this.#link(this.#current)?.click());
    onKey("x", "Select the run", () => this.#onItem((item) => this.#toggle(item)));
    onKey("Shift+X", "Select up to the run", () =>
      this.#onItem(({ run }) => this.#selection.extend(run, this.#order())));
    onKey("o", "Show or hide what is below", () => this.#onItem((item) => this.#open(item)));
    onKey("b", "Compare all with the run", () => this.#onItem(({ run }) => this.#setBase(run)));
    onKey("e", "Edit the note", () => this.#onRow((row, place) => this.#edit.note(row, place)));
    onKey("l", "Edit the tags", () => this.#onRow((row, place) => this.#edit.tags(row, place)));
    onKey("n", "Edit the name", () => this.#onRow((row, place) => this.#edit.name(row, place)));
  }

  #onItem(run) {
    const item = this.#model.items[this.#current];
    if (item) run(item);
  }

  #onRow(run) {
    const row = this.#model.rows.get(this.currentRun());
    if (row) run(row, this.#link(this.#current));
  }

  #order() {
    return this.#model.items.map((item) => item.run);
  }

  #link(index) {
    return this.#grid.rowElement(index)?.querySelector("[data-focus=run]");
  }

  #go(index) {
    const next = Math.max(0, Math.min(index, this.#model.items.length - 1));
    if (this.#model.items.length === 0) return;
    this.#grid.reveal(next);
    this.#current = next;
    this.#link(next)?.focus({ preventScroll: true });
  }

  #want(from, to, { isAgain = false } = {}) {
    const items = this.#model.items.slice(Math.max(from - 10, 0), to + 20);
    const runs = items.filter((item) => !item.group).map((item) => item.run);
    this.#model.want(runs, { isAgain });
    for (const column of this.#model.columns) {
      if (column.kind === "curve") this.#curves.want(column, runs, { isAgain });
    }
  }

  async #readBase(run) {
    if (run === null) this.#base = null;
    if (run === null || this.#base?.run === run) return;
    this.#base = { run, values: {} };
    this.#base = this.#model.rows.get(run) ?? (await this.#model.all([run]))[0] ?? this.#base;
    this.#grid.refresh();
  }

  #version(index) {
    const item = this.#model.items[index];
    const { run, depth, group } = item;
    const above = this.#model.items[index - 1]?.run;
    const curves = this.#columns.filter((column) => column.kind === "curve")
      .map((column) => this.#curves.of(column, run)?.count);
    return [
      run, depth, group ? `${group.runs.length} ${this.#isOpen(item)}` : "",
      this.#model.rows.get(run)?.text, this.#model.rows.get(above)?.text.length, curves,
      this.#selection.has(run), this.#isOpen(item), this.#base?.run, this.#base?.text, this.#layout,
    ].join("|");
  }

  #row(index) {
    const { run, group } = this.#model.items[index];
    const className = [group && "group", this.#base?.run === run && !group && "base"];
    return {
      className: className.filter(Boolean).join(" "),
      isSelected: group ? group.runs.every((one) => this.#selection.has(one))
        : this.#selection.has(run),
    };
  }

  #cell(index, column) {
    const item = this.#model.items[index];
    if (column.kind === "run") return item.group ? this.#groupHead(item) : this.#runHead(item);
    if (item.group) return this.#groupCell(item.group, column);
    const row = this.#model.rows.get(item.run);
    if (!row) return h("span", { class: "waiting" });
    if (column.kind === "curve") return curve(this.#curves.of(column, item.run));
    if (column.key === "note") return note(row);
    const above = this.#model.rows.get(this.#model.items[index - 1]?.run);
    const shown = content(column, row, { above, base: this.#base });
    return row.best && isMetric(column)
      ? h("span", { class: "of-best", title: `of run-${row.best}, the best below` }, shown) : shown;
  }

  #runHead({ run, depth }) {
    const row = this.#model.rows.get(run);
    const item = { run, depth };
    const isParent = this.#model.isTree && row?.children > 0;
    return [
      this.#checkbox(item, `Select run-${run}`),
      depth > 0 && h("span", { class: "indent", vars: { "--depth": String(depth) } }),
      isParent && this.#opener(item, `${row.children} below run-${run}`),
      h("a", {
        class: "status", href: `/runs/run-${run}`,
        data: { status: row?.status ?? "", focus: "run" },
        title: row ? `run-${run}: ${row.status}` : null,
      }, `run-${run}`, row && h("span", { class: "unseen" }, row.status)),
      row?.name && h("span", { class: "name", title: visible(row.name) }, visible(row.name)),
      isParent && h("span", { class: "hint" }, `${row.children}`),
      isParent && row.best && h("a", { class: "hint", href: `/runs/run-${row.best}`,
        title: "The best run below: its metrics are shown" }, `best run-${row.best}`),
      this.#base?.run === run && h("span", { class: "badge" }, "baseline"),
      h("button", {
        type: "button", class: "plain more", data: { act: "menu", focus: "menu" },
        ariaLabel: `Menu of run-${run}`, "aria-haspopup": "menu",
      }, "⋯"),
    ];
  }

  #groupHead(item) {
    const { group } = item;
    const named = this.#model.groupKeys.map((key, at) =>
      `${visible(key.split(".").at(-1))} = ${plain(group.params[at])}`);
    const title = group.sweep !== null ? `run-${group.sweep}` : named.join(", ") || "all runs";
    const text = group.sweep === null && named.length === 0 ? "no sweep" : title;
    return [
      this.#checkbox(item, `Select the runs of ${title}`),
      this.#opener(item, `Runs of ${title}`),
      h("button", {
        type: "button", class: "plain group-name", title, data: { act: "open", focus: "run" },
      }, group.sweep === null && this.#state.get().by === "sweep" ? text : title),
      h("span", { class: "hint" }, `n = ${group.runs.length}`),
    ];
  }

  #groupCell(group, column) {
    const at = this.#model.columns.findIndex((other) => other.key === column.key);
    if (isMetric(column)) {
      return spread(group.values[at], this.#range(at));
    }
    const key = this.#model.groupKeys.indexOf(column.key.replace(/^params\./, ""));
    return key >= 0 && column.kind === "param" ? plain(group.params[key]) : "";
  }

  /** Returns the smallest and the largest value of a column among groups. */
  #range(at) {
    if (!this.#ranges.has(at)) {
      const spreads = this.#model.items.map((item) => item.group?.values[at]).filter(Boolean);
      const finite = (list) => list.filter((value) => Number.isFinite(value));
      this.#ranges.set(at, [
        finite(spreads.map(({ min }) => min)).reduce((a, b) => Math.min(a, b), Infinity),
        finite(spreads.map(({ max }) => max)).reduce((a, b) => Math.max(a, b), -Infinity),
      ]);
    }
    return this.#ranges.get(at);
  }

  #checkbox(item, label) {
    return h("input", {
      type: "checkbox", ariaLabel: label, data: { act: "select", focus: "select" },
      checked: this.#runsOf(item).every((run) => this.#selection.has(run)),
    });
  }

  #opener(item, label) {
    return h("button", {
      type: "button", class: "plain opener", ariaLabel: label, data: { act: "open", focus: "open" },
      ariaExpanded: String(this.#isOpen(item)),
    });
  }

  #runsOf(item) {
    const group = item.group ?? this.#model.items[this.#current]?.group;
    return item.group ? group.runs : [item.run];
  }

  #isOpen({ run }) {
    return this.#state.get().open.includes(String(run));
  }

  #open({ run }) {
    const { open } = this.#state.get();
    const key = String(run);
    const next = open.includes(key) ? open.filter((one) => one !== key) : [...open, key];
    this.#state.set({ open: next }, { replace: true });
  }

  #toggle(item) {
    if (item.group) this.#selection.toggleAll(item.group.runs);
    else this.#selection.toggle(item.run);
  }

  #setBase(run) {
    this.#state.set({ base: this.#state.get().base === String(run) ? "" : String(run) });
  }

  #click(event) {
    const index = this.#grid.indexOf(event.target);
    const item = this.#model.items[index];
    if (!item) return;
    this.#current = index;
    const target = event.target.closest("[data-act]");
    const row = this.#model.rows.get(item.run);
    switch (target?.dataset.act) {
      case "select":
        if (event.shiftKey && !item.group) this.#selection.extend(item.run, this.#order());
        else this.#toggle(item);
        break;
      case "open": this.#open(item); break;
      case "menu": this.#rowMenu(row, target); break;
      case "note": this.#edit.note(row, target); break;
      case "tags": this.#edit.tags(row, target); break;
      default:
    }
  }

  #rowMenu(row, place) {
    if (!row) return;
    const { deleted, base } = this.#state.get();
    showMenu(place, `run-${row.run}`, [
      { title: base === String(row.run) ? "No baseline" : "Use as the baseline",
        run: () => this.#setBase(row.run) },
      { title: "Edit the name", run: () => this.#edit.name(row, place) },
      { title: "Edit the note", run: () => this.#edit.note(row, place) },
      { title: "Edit the tags", run: () => this.#edit.tags(row, place) },
      { title: deleted ? "Undelete" : "Delete",
        run: () => this.#edit.setDeleted([row.run], !deleted) },
    ]);
  }

  #actions = {
    sort: (column) => this.#state.set({
      sort: nextSort(this.#state.get().sort, column.key, usualDirection(column)),
    }),
    menu: (column, place) => this.#headMenu(column, place),
    resize: (column, width, { isDone }) => {
      this.#dragged.set(column.key, width);
      if (isDone) {
        this.#dragged.delete(column.key);
        this.#setWidth(column, width);
      }
      this.draw();
    },
    move: (from, to) => {
      const keys = this.chosenKeys();
      const places = [keys.indexOf(from), keys.indexOf(to)];
      if (places.every((place) => place >= 0)) this.#setKeys(moved(keys, ...places));
    },
  };

  #setKeys(cols) {
    this.#state.set({ cols }, { replace: true });
  }

  #setWidth(column, width) {
    const rest = this.#state.get().w.filter((text) => !text.startsWith(`${column.key}~`));
    this.#state.set({ w: [...rest, `${column.key}~${width}`] }, { replace: true });
  }

  #headMenu(column, place) {
    const keys = this.chosenKeys();
    const at = keys.indexOf(column.key);
    const { pin, by } = this.#state.get();
    const isPinned = pin.includes(column.key);
    const sort = (direction) => () => this.#state.set({ sort: [`${column.key}:${direction}`] });
    const param = column.kind === "param" ? column.key.replace(/^params\./, "") : null;
    const hasSeries = ["metric", "variant"].includes(column.kind);
    const metric = hasSeries ? column.key.replace(/^metrics\./, "") : null;
    const show = (key) => () =>
      this.#setKeys([...keys.slice(0, at + 1), key, ...keys.slice(at + 1)]);
    const without = (list, key) => list.filter((one) => one !== key);
    showMenu(place, visible(column.title), [
      canSort(column) && { title: "Sort ascending ↑", run: sort("asc") },
      canSort(column) && { title: "Sort descending ↓", run: sort("desc") },
      at >= 0 && { title: isPinned ? "Unpin" : "Pin to the left", run: () => this.#state.set(
        { pin: isPinned ? without(pin, column.key) : [...pin, column.key] }, { replace: true }) },
      at > 0 && { title: "Move left", run: () => this.#setKeys(moved(keys, at, at - 1)) },
      at >= 0 && at < keys.length - 1
        && { title: "Move right", run: () => this.#setKeys(moved(keys, at, at + 1)) },
      { title: "Wider", run: () => this.#setWidth(column, column.width + 40) },
      { title: "Narrower", run: () => this.#setWidth(column, Math.max(column.width - 40, 48)) },
      metric && { title: "Show the best value",
        run: show(`${column.goal ? "best" : "max"}:${metric}`) },
      metric && { title: "Show the curve", run: show(`curve:${metric}`) },
      param && { title: by === param ? "No groups" : "Group by this",
        run: () => this.#state.set({ by: by === param ? "" : param, open: [], tree: "" }) },
      at >= 0 && { title: "Hide", run: () => this.#setKeys(without(keys, column.key)) },
    ]);
  }
}

/** Lays out the columns: that of runs, pinned ones, others. */
function columnsOf({ columns, rows }, { pin, w, by, base }, dragged) {
  const widths = new Map(w.map((text) => {
    const at = text.lastIndexOf("~");
    return [text.slice(0, at), Number(text.slice(at + 1))];
  }));
  const width = (column, usual) =>
    dragged.get(column.key) ?? (Math.min(Math.max(widths.get(column.key) || usual, 48), 1200));
  const isPinned = (column) => pin.includes(column.key) && !NARROW.matches;
  const widest = (column) => [...rows.values()].reduce((most, { values }) =>
    Math.max(most, decimals(column, values[column.key])), 0);
  const shown = columns.map((column) => ({
    ...column,
    decimals: isMetric(column) ? widest(column) : 0,
    width: width(column, usualWidth(column) + ((by || base) && isMetric(column) ? MORE : 0)),
    isPinned: isPinned(column),
    className: [`kind-${column.kind}`, isNumeric(column) && "number"].filter(Boolean).join(" "),
  }));
  const usual = NARROW.matches ? RUN_WIDTH_NARROW : RUN_WIDTH;
  const runs = { ...RUN, className: "kind-run", width: width(RUN, usual) };
  const order = (column) => (column.isPinned ? 0 : 1);
  return [runs, ...shown.sort((a, b) => order(a) - order(b))];
}
