// The logs of the stages of a run: they follow what is written, can be searched, and have links to
// lines.

import { get, url } from "../../lib/api.js";
import { copyText } from "../../lib/copy.js";
import { fill, h } from "../../lib/dom.js";
import { bytes, count, visible } from "../../lib/format.js";
import { onKey } from "../../lib/keys.js";
import { LogView, pieces } from "../../lib/log.js";

/** Number of matches that are listed. */
const MOST_MATCHES = 500;

/** Creates the tab. */
export function logsTab(page) {
  const { state } = page;
  const list = h("nav", { class: "log-stages", ariaLabel: "Stages with a log" });
  const place = h("div", { class: "log-place" });
  const position = h("span", { class: "dim small" });
  const search = h("input", { type: "search", placeholder: "Search the log", size: 24,
    ariaLabel: "Search the log (/)", value: state.get().find,
    oninput: () => find(search.value) });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") move(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") place.querySelector(".log")?.focus();
  });
  const found = h("span", { class: "dim small", role: "status" });
  const follow = h("button", { type: "button", onclick: () => view?.follow() }, "Follow");
  const matches = h("ol", { class: "log-matches", hidden: true });
  const raw = h("a", { class: "button quiet" }, "Raw");
  const silence = h("p", { class: "log-silence dim", hidden: true });
  const element = h("section", { class: "logs" }, list,
    h("div", { class: "log-main" },
      h("div", { class: "toolbar" }, search, found,
        h("span", { class: "end" }, position), follow,
        h("button", { type: "button", class: "quiet", onclick: copyLink }, "Copy the link"), raw),
      matches, place));
  const ends = [
    onKey("/", "Search", () => search.focus()),
    onKey("j", "Next line", () => choose(view.selected + 1)),
    onKey("k", "Previous line", () => choose(view.selected - 1)),
    onKey("n", "Next match", () => move(1)),
    onKey("Shift+N", "Previous match", () => move(-1)),
    onKey("Shift+G", "End of the log", () => view?.follow()),
  ];
  addEventListener("hashchange", toHash);

  /** @type {LogView | null} */
  let view = null;
  let shown = "";
  let lines = [];
  let timer = 0;

  const path = (stage) => `${page.path}/logs/${encodeURIComponent(stage)}`;
  const current = () => {
    const { logs, stages } = page.run();
    const named = logs.find(({ stage }) => stage === state.get().stage);
    // What failed or runs is of most interest, then what ran last.
    const ofOutcome = (outcome) => logs.findLast(({ stage }) =>
      stages.some((one) => one.stage === stage && one.outcome === outcome));
    return named ?? ofOutcome("running") ?? ofOutcome("failed")
      ?? logs.findLast((log) => log.bytes > 0) ?? logs.at(-1) ?? null;
  };

  function update() {
    const run = page.run();
    const log = current();
    const items = run.logs.map(({ stage, bytes: size }) => {
      const { outcome } = run.stages.find((one) => one.stage === stage);
      return h("a", { href: state.href({ stage, find: "" }),
        ariaCurrent: stage === log?.stage ? "true" : null,
        onclick: (event) => {
          if (event.ctrlKey || event.metaKey) return;
          event.preventDefault();
          history.replaceState(null, "", location.pathname + location.search);
          state.set({ stage, find: "" });
        } },
      h("span", { class: "status", data: { status: outcome }, title: outcome }),
      h("span", { class: "name" }, visible(stage)), h("span", { class: "dim small" }, bytes(size)));
    });
    const key = JSON.stringify([log?.stage, run.logs, run.stages.map((one) => one.outcome)]);
    if (list.dataset.key !== key) {
      fill(list, items);
      // On a narrow window the stages scroll.
      list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    list.dataset.key = key;
    if (!log) {
      fill(place, h("p", { class: "empty" }, "No stage of this run wrote a log."));
      return;
    }
    if (log.stage !== shown) open(log.stage);
    view?.setRunning(isRunning(log.stage));
    if (document.activeElement !== search && search.value !== state.get().find) {
      search.value = state.get().find;
      find(search.value);
    }
  }

  const isRunning = (stage) => page.run().status === "running"
    && page.run().stages.some((one) => one.stage === stage && one.outcome === "running");

  async function open(stage) {
    shown = stage;
    page.showCommand();
    view?.close();
    view = new LogView(path(stage), { onSelect: choose, onChange: describe });
    fill(place, view.element, silence);
    raw.href = `${page.path}/files/${encodeURIComponent(stage)}/log`;
    try {
      await view.open(lineOfHash(), isRunning(stage));
    } catch (error) {
      fill(place, h("p", { class: "notice bad" }, error.message));
      return;
    }
    describe();
    search.value = state.get().find;
    if (search.value) find(search.value);
  }

  function describe() {
    const isSilent = view.total === 0;
    silence.hidden = !isSilent;
    silence.textContent = isRunning(shown) ? "Nothing was printed yet." : "Nothing was printed.";
    follow.disabled = isSilent;
    follow.ariaPressed = String(view.isFollowing && !isSilent);
    position.textContent = [view.selected > 0 && `line ${view.selected}`,
      count(view.total, "line")].filter(Boolean).join(" of ");
  }

  function choose(line) {
    if (!view) return;
    const chosen = view.select(line);
    history.replaceState(null, "", `${location.pathname}${location.search}#L${chosen}`);
    describe();
  }

  function toHash() {
    const line = lineOfHash();
    if (line > 0 && view && line !== view.selected) choose(line);
  }

  function copyLink() {
    // The stage may be in the address only by default.
    const address = new URL(state.href({ stage: shown }), location.href);
    if (view?.selected > 0) address.hash = `L${view.selected}`;
    copyText(address.href, "the link");
  }

  function find(text) {
    clearTimeout(timer);
    view?.mark(text);
    if (text === "") {
      state.set({ find: "" }, { replace: true });
      matches.hidden = true;
      lines = [];
      found.textContent = "";
      return;
    }
    timer = setTimeout(async () => {
      state.set({ find: text }, { replace: true });
      const stage = shown;
      const answer = await get(url(path(stage), { find: text, count: MOST_MATCHES }))
        .catch((error) => ({ total: 0, lines: [], error }));
      if (text !== search.value || stage !== shown) return;
      lines = answer.lines.map(([line]) => line);
      found.textContent = answer.error?.message ?? `${count(answer.total, "matching line")}`
        + (answer.total > lines.length ? `, the first ${lines.length} listed` : "");
      matches.hidden = lines.length === 0;
      fill(matches, answer.lines.map(([line, content]) => h("li", null,
        h("a", { href: `#L${line}`, onclick: (event) => {
          event.preventDefault();
          choose(line);
        } }, line), h("span", null, pieces(content, text)))));
    }, 200);
  }

  function move(by) {
    if (lines.length === 0) return;
    const at = view.selected;
    const next = by > 0 ? lines.find((line) => line > at) : lines.findLast((line) => line < at);
    choose(next ?? lines.at(by > 0 ? 0 : -1));
  }

  return {
    element,
    update,
    leave() {
      view?.close();
      clearTimeout(timer);
      ends.forEach((end) => end());
      removeEventListener("hashchange", toHash);
    },
    command: () => ["repro", "runs", "logs", page.run().run, ...(shown ? [shown] : [])],
  };
}

const lineOfHash = () => Number(/^#L(\d+)$/.exec(location.hash)?.[1] ?? 0);
