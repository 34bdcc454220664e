// Edits of runs in place: tags, notes, names, deletion. Each one can be undone.

import { post } from "../../lib/api.js";
import { fill, h } from "../../lib/dom.js";
import { count, visible } from "../../lib/format.js";
import { ownTags } from "../../lib/tags.js";
import { toast, toastError } from "../../lib/toast.js";

/** Sends edits of runs; `done` is called with the runs that changed. */
export class Editor {
  #done;

  /** @param {(runs: number[]) => void} done */
  constructor(done) {
    this.#done = done;
  }

  /** Edits the note of a run in a box at an element. */
  note(row, place) {
    const area = h("textarea", {
      rows: 4, value: row.note ?? "", ariaLabel: `Note of run-${row.run}`,
    });
    popup(place, `Note of run-${row.run}`, area, () => {
      if (area.value !== (row.note ?? "")) this.#setNote(row, area.value);
    });
  }

  /** Edits the tags of a run in a box at an element: one line each, `key: value`. */
  tags(row, place) {
    const own = ownTags(row.tags);
    const area = h("textarea", {
      rows: 4, value: tagLines(own), ariaLabel: `Tags of run-${row.run}`,
      placeholder: "key: value",
    });
    popup(place, `Tags of run-${row.run}, one per line`, area, () => {
      this.#setTags(row, own, parseTags(area.value));
    });
  }

  /** Edits the name of a run in a box at an element. */
  name(row, place) {
    const input = h("input", {
      type: "text", value: row.name ?? "", ariaLabel: `Name of run-${row.run}`,
    });
    popup(place, `Name of run-${row.run}`, input, () => {
      if (input.value !== (row.name ?? "")) this.#setName(row, input.value, row.name ?? "");
    });
  }

  /** Deletes runs, or brings them back. */
  async setDeleted(runs, isDeleted) {
    const verb = isDeleted ? "delete" : "undelete";
    await this.#send(runs, (run) => post(`/api/runs/run-${run}/${verb}`, {}), {
      said: `${isDeleted ? "Deleted" : "Brought back"} ${count(runs.length, "run")}`,
      undo: () => this.setDeleted(runs, !isDeleted),
    });
  }

  #setNote(row, note, before = row.note ?? "") {
    return this.#send([row.run], (run) => post(`/api/runs/run-${run}/note`, { note }), {
      said: `Changed the note of run-${row.run}`,
      undo: () => this.#setNote(row, before, note),
    });
  }

  #setName(row, name, before) {
    return this.#send([row.run], (run) => post(`/api/runs/run-${run}/name`, { name }), {
      said: name === "" ? `run-${row.run} has no name now` : `run-${row.run} is ${visible(name)}`,
      undo: () => this.#setName(row, before, name),
    });
  }

  #setTags(row, before, after) {
    const remove = Object.keys(before).filter((key) => !(key in after));
    const set = Object.fromEntries(Object.entries(after).filter(([k, v]) => before[k] !== v));
    if (remove.length + Object.keys(set).length === 0) return undefined;
    return this.#send([row.run], (run) => post(`/api/runs/run-${run}/tags`, { set, remove }), {
      said: `Changed the tags of run-${row.run}`,
      undo: () => this.#setTags(row, after, before),
    });
  }

  async #send(runs, request, { said, undo }) {
    try {
      for (const run of runs) await request(run);
      toast(said, { action: "Undo", run: undo });
    } catch (error) {
      toastError(error);
    }
    this.#done(runs);
  }
}

/** Writes tags as lines. */
export const tagLines = (tags) => Object.entries(tags)
  .map(([key, value]) => (value === "" ? key : `${key}: ${value}`)).join("\n");

/** Reads lines of tags; what follows the first colon is the value. */
export function parseTags(text) {
  const tags = {};
  for (const line of text.split("\n")) {
    const [, key, value] = /^([^:]*)(?::(.*))?$/.exec(line.trim()) ?? [];
    if (key?.trim()) tags[key.trim()] = value?.trim() ?? "";
  }
  return tags;
}

/** Shows a field in a box at an element; Ctrl-Enter and Save keep it, Escape does not. */
function popup(place, title, field, save) {
  const { left, bottom } = place.getBoundingClientRect();
  const close = () => {
    dialog.close();
    place.isConnected && place.focus();
  };
  const keep = () => {
    close();
    save();
  };
  const dialog = h("dialog", { class: "popup", ariaLabel: visible(title) });
  fill(dialog, h("label", { class: "field" }, h("span", { class: "dim small" }, title), field),
    h("div", { class: "toolbar" },
      h("button", { type: "button", class: "primary", onclick: keep }, "Save"),
      h("button", { type: "button", onclick: close }, "Cancel"),
      h("span", { class: "dim small end" }, h("kbd", null, "Ctrl Enter"))));
  dialog.style.setProperty("--x", `${Math.max(8, Math.min(left, innerWidth - 340))}px`);
  dialog.style.setProperty("--y", `${Math.max(8, Math.min(bottom + 4, innerHeight - 200))}px`);
  dialog.addEventListener("keydown", (event) => {
    const isLine = field.tagName === "INPUT";
    if (event.key !== "Enter" || event.target !== field) return;
    if (!isLine && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    keep();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
  field.select();
}
