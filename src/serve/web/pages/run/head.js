// The head of the page of a run: what it is, where it belongs, and what people wrote about it.

import { post, url } from "../../lib/api.js";
import { copyText } from "../../lib/copy.js";
import { fill, h } from "../../lib/dom.js";
import { ago, bytes, count, duration, time, visible } from "../../lib/format.js";
import { ownTags } from "../../lib/tags.js";
import { toastError } from "../../lib/toast.js";

/** Creates the head. */
export function head(page) {
  const title = h("div", { class: "page-head" });
  const facts = h("ul", { class: "run-facts" });
  const notes = h("div", { class: "run-notes" });
  const element = h("header", null, title, facts, notes);
  let drawn = ["", "", ""];
  const timer = setInterval(() => page.run().status === "running" && update(), 1000);
  addEventListener("pagehide", () => clearInterval(timer), { once: true });

  function update() {
    const run = page.run();
    const parts = [titleParts(run), factsOf(run, page), [run.tags, run.note, run.lifecycle]];
    const keys = [JSON.stringify([run.name, run.status, run.lifecycle, run.kind, run.part_of]),
      JSON.stringify(parts[1].map(([key, text]) => [key, text])), JSON.stringify(parts[2])];
    if (keys[0] !== drawn[0]) fill(title, parts[0]);
    if (keys[1] !== drawn[1]) fill(facts, parts[1].map(([key, text, content]) =>
      h("li", { title: key }, h("span", { class: "unseen" }, `${key}: `), content ?? text)));
    if (keys[2] !== drawn[2] && !notes.querySelector("form")) fill(notes, notesOf(page));
    drawn = keys;
  }
  return { element, update };
}

function titleParts(run) {
  const compared = run.before && run.kind !== "sweep"
    && `/compare?runs=${[run.before, run.run].map(short).join(",")}`;
  return [
    h("h1", null, run.name ? visible(run.name) : run.run,
      run.name && h("span", { class: "dim number-of" }, ` ${run.run}`)),
    h("span", { class: "badge", data: { status: run.status } }, run.status),
    run.kind !== "pipeline" && h("span", { class: "badge" }, run.kind),
    run.lifecycle === "deleted" && h("span", { class: "badge", data: { status: "skipped" } },
      "deleted"),
    h("div", { class: "end toolbar" },
      compared && h("a", { class: "button", href: compared }, `Compare with ${run.before}`),
      h("button", { type: "button", class: "quiet", title: run.uid,
        onclick: () => copyText(run.uid, "the identity") }, "Copy the identity")),
  ];
}

const short = (name) => name.replace(/^run-/, "");

/** Returns facts: a name, the text that tells when to draw again, and the content. */
function factsOf(run, page) {
  const { git } = run;
  const took = run.took ?? (run.status === "running" ? Date.now() - run.started : null);
  const cpu = sum(run.stages.map((stage) => stage.cpu));
  const memory = Math.max(0, ...run.stages.map((stage) => stage.memory ?? 0));
  const list = [
    ["started", ago(run.started), h("time", { title: time(run.started) },
      `${time(run.started)} · ${ago(run.started)}`)],
    took !== null && ["took", duration(took), [h("b", null, duration(took)),
      run.status === "running" ? " so far" : ""]],
    cpu > 0 && ["CPU time", `CPU ${duration(cpu)}`],
    memory > 0 && ["peak memory", `peak ${bytes(memory)}`],
    ["experiment", run.experiment,
      h("a", { href: url("/runs", { experiment: run.experiment }) }, visible(run.experiment))],
    git && ["git", JSON.stringify(git), gitFact(git)],
    git?.tree === "dirty" && ["tree", "dirty",
      h("a", { class: "warn", href: page.state.href({ tab: "code" }) }, "uncommitted changes")],
    run.host && ["host", visible([run.user, run.host].filter(Boolean).join("@"))],
    run.part_of && ["part of", run.part_of,
      h("a", { href: `/runs/${run.part_of}` }, `part of ${run.part_of}`)],
    run.children && ["parts", JSON.stringify(run.children), partsLink(run)],
    run.children?.best && ["best part", run.children.best,
      h("a", { href: `/runs/${run.children.best}` }, `best: ${run.children.best}`)],
  ];
  return list.filter(Boolean);
}

function gitFact(git) {
  const commit = git.commit ? git.commit.slice(0, 10) : "no commit";
  return [h("span", { class: "mono" }, commit), git.branch && ` on ${visible(git.branch)}`];
}

/** Leads to a comparison of the parts, as far as one has room. */
function partsLink({ kind, children, parts }) {
  const numbers = parts.map(short).slice(0, 50).join(",");
  return h("a", { href: `/compare?runs=${numbers}` }, count(children.count, kind === "sweep" ? "trial" : "part"));
}

function notesOf(page) {
  const run = page.run();
  const tags = Object.entries(ownTags(run.tags));
  return [
    h("ul", { class: "tag-list", ariaLabel: "Tags" },
      tags.map(([key, value]) => h("li", null, h("span", { class: "tag" },
        h("span", { class: "dim" }, visible(key)), value && ` ${visible(value)}`,
        h("button", { type: "button", class: "plain", ariaLabel: `Remove the tag ${visible(key)}`,
          title: "Remove", onclick: () => edit(page, "tags", { remove: [key] }) }, "×")))),
      h("li", null, h("button", { type: "button", class: "quiet small",
        onclick: (event) => addTag(page, event.target) }, "+ tag"))),
    run.note
      ? h("div", { class: "note" }, h("p", null, visibleText(run.note)),
        h("button", { type: "button", class: "quiet small",
          onclick: (event) => editNote(page, event.target) }, "Edit the note"))
      : h("button", { type: "button", class: "quiet small",
        onclick: (event) => editNote(page, event.target) }, "+ note"),
  ];
}

const visibleText = (text) => text.split("\n").map(visible).join("\n");

function addTag(page, button) {
  const input = h("input", { type: "text", placeholder: "key=value", ariaLabel: "Tag: key=value",
    size: 18, maxLength: 500 });
  form(page, button, input, () => {
    const [key, ...rest] = input.value.split("=");
    return key.trim() && ["tags", { set: { [key.trim()]: rest.join("=") } }];
  });
}

function editNote(page, button) {
  const area = h("textarea", { rows: 3, cols: 60, ariaLabel: "Note",
    value: page.run().note ?? "" });
  form(page, button, area, () => ["note", { note: area.value.trim() || null }]);
}

/** Replaces a button by a form; Escape brings it back. */
function form(page, button, field, read) {
  const end = () => element.replaceWith(button);
  const element = h("form", {
    class: "inline-form",
    onsubmit: async (event) => {
      event.preventDefault();
      const change = read();
      end();
      if (change) await edit(page, ...change);
    },
    onkeydown: (event) => {
      if (event.key === "Escape") end();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit();
    },
  }, field, h("button", { type: "submit" }, "Save"),
  h("button", { type: "button", class: "quiet", onclick: end }, "Cancel"));
  button.replaceWith(element);
  field.focus();
}

async function edit(page, what, body) {
  try {
    await post(`${page.path}/${what}`, body);
  } catch (error) {
    toastError(error);
  }
  page.reload();
}

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
