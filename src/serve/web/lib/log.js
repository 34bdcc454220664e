// A log of any length: only the lines near the visible ones are in the page. Lines are fetched by
// number in blocks; a log that grows is followed by its byte offset.

import { get, url } from "./api.js";
import { fill, h } from "./dom.js";
import { visible } from "./format.js";

const BLOCK = 400;
const LINE = 18;
/** Browsers do not lay out taller elements. */
const TALLEST = 15_000_000;
/** Time between two looks for new output, in milliseconds. */
const INTERVAL = 1000;

/** @typedef {string | [string, string][]} LogLine */

/** A view of one log. */
export class LogView {
  #path;
  #blocks = new Map();
  #waiting = new Set();
  #total = 0;
  #end = 0;
  /** The bytes of the log are known up to its end. */
  #knowsEnd = false;
  #isOpen = false;
  #isFollowing = false;
  #selected = 0;
  #marked = "";
  #timer = 0;
  #isReady = false;
  #isRunning = false;
  #isEnded = false;
  #onChange;

  /**
   * @param {string} path  `/api/runs/run-12/logs/train`
   * @param {{onSelect: (line: number) => void, onChange: (view: LogView) => void}} options
   */
  constructor(path, { onSelect, onChange }) {
    this.#path = path;
    this.#onChange = onChange;
    this.canvas = h("div", { class: "log-lines" });
    this.element = h("div", { class: "log", tabIndex: 0, role: "region", ariaLabel: "Log" },
      this.canvas);
    this.element.addEventListener("scroll", () => {
      const atEnd = this.#isAtEnd();
      if (this.#isFollowing !== atEnd) {
        this.#isFollowing = atEnd;
        this.#onChange(this);
      }
      this.#draw();
    });
    this.element.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-line]");
      if (!link || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      onSelect(Number(link.dataset.line));
    });
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  get total() {
    return this.#total;
  }

  get isFollowing() {
    return this.#isFollowing;
  }

  /**
   * Opens the log at a line, or at its end.
   *
   * @param {number} line  0 for the end
   * @param {boolean} isRunning
   */
  async open(line, isRunning) {
    const first = line > 0 ? Math.max(1, line - BLOCK / 2) : -BLOCK;
    const part = await get(url(this.#path, { from: first, count: BLOCK }));
    this.#take(part);
    this.#resize();
    if (line > 0) this.select(line);
    else this.follow();
    this.#isReady = true;
    this.setRunning(isRunning || this.#isRunning);
  }

  /** Follows what is written, or stops when the run ended. */
  setRunning(isRunning) {
    this.#isRunning = isRunning;
    if (!this.#isReady) return;
    if (isRunning && this.#timer === 0) {
      this.#timer = setInterval(() => this.#poll(), INTERVAL);
    } else if (!isRunning && !this.#isEnded) {
      this.#isEnded = true;
      clearInterval(this.#timer);
      this.#poll();
    }
  }

  close() {
    clearInterval(this.#timer);
  }

  /** Marks a line and brings it into view. */
  select(line) {
    this.#selected = Math.min(Math.max(1, line), Math.max(1, this.#total));
    this.#isFollowing = false;
    const { scrollTop, clientHeight } = this.element;
    const y = this.#yOf(this.#selected);
    if (y < scrollTop + LINE || y > scrollTop + clientHeight - 2 * LINE) {
      this.element.scrollTop = y - clientHeight / 3;
    }
    this.#draw();
    return this.#selected;
  }

  get selected() {
    return this.#selected;
  }

  /** Goes to the end and stays there. */
  follow() {
    this.#isFollowing = true;
    this.element.scrollTop = this.element.scrollHeight;
    this.#draw();
    this.#onChange(this);
  }

  /** Marks a text where it occurs. */
  mark(text) {
    this.#marked = text;
    this.#draw();
  }

  #take({ first, lines, total, end, open }) {
    lines.forEach((line, i) => this.#set(first + i, line));
    if (total !== null) this.#total = total;
    if (first + lines.length - 1 === total) {
      [this.#end, this.#isOpen, this.#knowsEnd] = [end, open, true];
    }
  }

  #set(number, line) {
    const at = Math.floor((number - 1) / BLOCK);
    let block = this.#blocks.get(at);
    if (!block) this.#blocks.set(at, block = []);
    block[(number - 1) % BLOCK] = line;
  }

  #lineAt(number) {
    return this.#blocks.get(Math.floor((number - 1) / BLOCK))?.[(number - 1) % BLOCK];
  }

  async #poll() {
    if (document.hidden && !this.#isEnded) return;
    try {
      const place = this.#knowsEnd ? { after: this.#end } : { from: -BLOCK };
      const part = await get(url(this.#path, { ...place, count: BLOCK * 5 }));
      if (!this.#knowsEnd) this.#take(part);
      else if (part.first !== null) {
        // The log is another one than before.
        this.#blocks.clear();
        this.#take(part);
      } else {
        const known = this.#total - (this.#isOpen ? 1 : 0);
        part.lines.forEach((line, i) => this.#set(known + 1 + i, line));
        this.#total = known + part.lines.length;
        this.#isOpen = part.open;
        this.#end = part.end;
      }
    } catch {
      return;
    }
    this.#resize();
    if (this.#isFollowing) this.element.scrollTop = this.element.scrollHeight;
    this.#draw();
    this.#onChange(this);
  }

  async #fetch(block) {
    if (this.#waiting.has(block)) return;
    this.#waiting.add(block);
    try {
      this.#take(await get(url(this.#path, { from: block * BLOCK + 1, count: BLOCK })));
    } finally {
      this.#waiting.delete(block);
    }
    this.#draw();
  }

  #height = () => Math.min(this.#total * LINE, TALLEST);

  #resize() {
    this.canvas.style.setProperty("height", `${this.#height()}px`);
    this.canvas.style.setProperty("--digits", String(this.#total).length);
  }

  #yOf = (line) => (line - 1) * (this.#height() / Math.max(1, this.#total));

  #isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    return scrollTop + clientHeight >= scrollHeight - LINE;
  }

  #draw() {
    const { scrollTop, clientHeight } = this.element;
    const perPixel = this.#total / Math.max(1, this.#height());
    const rows = Math.ceil(clientHeight / LINE) + 1;
    let top = Math.floor(scrollTop * perPixel);
    if (this.#isAtEnd()) top = Math.max(0, this.#total - rows + 1);
    const from = Math.max(1, top - 10);
    const to = Math.min(this.#total, top + rows + 10);
    const nodes = [];
    for (let number = from; number <= to; number += 1) nodes.push(this.#row(number));
    const offset = this.#height() < TALLEST ? (from - 1) * LINE
      : scrollTop - (top + 1 - from) * LINE;
    fill(this.canvas, h("div", { class: "log-window", vars: { top: `${Math.max(0, offset)}px` } },
      nodes));
    for (let block = Math.floor((from - 1) / BLOCK); block * BLOCK < to; block += 1) {
      if (!this.#isWhole(block)) this.#fetch(block);
    }
  }

  #isWhole(block) {
    const lines = this.#blocks.get(block);
    const count = Math.min(BLOCK, this.#total - block * BLOCK);
    if (!lines) return count <= 0;
    for (let i = 0; i < count; i += 1) if (lines[i] === undefined) return false;
    return true;
  }

  #row(number) {
    const line = this.#lineAt(number);
    const isSelected = number === this.#selected;
    return h("div", { class: isSelected ? "log-line selected" : "log-line",
      ariaCurrent: isSelected ? "true" : null },
    h("a", { href: `#L${number}`, data: { line: number }, tabIndex: -1,
      ariaLabel: `Line ${number}` }, number),
    h("span", { class: "log-text" }, line === undefined ? " " : pieces(line, this.#marked)));
  }
}

/**
 * Builds the pieces of a line, with a text marked.
 *
 * @param {LogLine} line
 * @param {string} text
 */
export function pieces(line, text) {
  if (typeof line === "string") return marked(line, text);
  return line.map(([piece, styles]) => (styles === "" ? marked(piece, text)
    : h("span", { class: styles.split(" ").map((style) => `log-${style}`).join(" ") },
      marked(piece, text))));
}

function marked(piece, text) {
  const shown = visible(piece.replaceAll("\t", "    "));
  if (text === "") return shown;
  const ignoresCase = text === text.toLowerCase();
  const where = ignoresCase ? shown.toLowerCase() : shown;
  const parts = [];
  let from = 0;
  for (let at = where.indexOf(text); at >= 0; at = where.indexOf(text, from)) {
    parts.push(shown.slice(from, at), h("mark", null, shown.slice(at, at + text.length)));
    from = at + text.length;
  }
  return [...parts, shown.slice(from)];
}
