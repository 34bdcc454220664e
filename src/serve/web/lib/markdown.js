// Renders the common part of Markdown as elements: headings, lists, tables, quotes, code, emphasis
// and links. HTML in it stays text, and images stay links, so that a page loads nothing foreign.

import { h } from "./dom.js";
import { visible } from "./format.js";

/** Depth of nested quotes that is rendered. */
const DEEPEST = 8;

/**
 * Renders a text.
 *
 * @param {string} text
 * @returns {Node[]}
 */
export const markdown = (text) => blocks(text.split("\n"), 0);

function blocks(lines, depth) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const rule = RULES.find(({ matches }) => matches(lines[at], lines[at + 1]));
    const end = rule.end(lines, at);
    const node = rule.render(lines.slice(at, end), depth);
    if (node) nodes.push(node);
    at = end;
  }
  return nodes;
}

const while_ = (lines, at, isInside) => {
  let end = at + 1;
  while (end < lines.length && isInside(lines[end])) end += 1;
  return end;
};
const isBlank = (line) => line.trim() === "";
const FENCE = /^ {0,3}(```|~~~)/;
const HEADING = /^ {0,3}(#{1,6}) +(.*?) *#* *$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)]) +(.*)$/;
const QUOTE = /^ {0,3}> ?/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const isTableHead = (line, next) => line.includes("|") && /^[\s|:-]+$/.test(next ?? "")
  && (next ?? "").includes("-");

const RULES = [
  { matches: isBlank, end: (_, at) => at + 1, render: () => null },
  {
    matches: (line) => FENCE.test(line),
    end: (lines, at) => {
      const [, fence] = FENCE.exec(lines[at]);
      const end = while_(lines, at, (line) => !line.trim().startsWith(fence));
      return Math.min(end + 1, lines.length);
    },
    render: (lines) => {
      const isClosed = lines.length > 1 && FENCE.test(lines.at(-1));
      return h("pre", { tabIndex: 0 }, h("code", null,
        visibleLines(lines.slice(1, isClosed ? -1 : undefined))));
    },
  },
  {
    matches: (line) => HEADING.test(line),
    end: (_, at) => at + 1,
    render: ([line]) => {
      const [, marks, text] = HEADING.exec(line);
      // The page has headings above those of the text.
      const tag = `h${Math.min(marks.length + 2, 6)}`;
      return h(tag, { class: `level-${marks.length}` }, inline(text));
    },
  },
  { matches: (line) => RULE.test(line), end: (_, at) => at + 1, render: () => h("hr") },
  {
    matches: (line) => QUOTE.test(line),
    end: (lines, at) => while_(lines, at, (line) => QUOTE.test(line)),
    render: (lines, depth) => {
      const inner = lines.map((line) => line.replace(QUOTE, ""));
      return h("blockquote", null,
        depth < DEEPEST ? blocks(inner, depth + 1) : visibleLines(inner));
    },
  },
  {
    matches: (line, next) => isTableHead(line, next),
    end: (lines, at) => while_(lines, at + 1, (line) => line.includes("|")),
    render: ([head, , ...rows]) => h("div", { class: "scroll", tabIndex: 0 }, h("table", null,
      h("thead", null, h("tr", null, cells(head).map((cell) => h("th", null, inline(cell))))),
      h("tbody", null, rows.map((row) => h("tr", null,
        cells(row).map((cell) => h("td", null, inline(cell)))))))),
  },
  {
    matches: (line) => ITEM.test(line),
    end: (lines, at) => while_(lines, at, (line) => ITEM.test(line) || /^\s+\S/.test(line)),
    render: list,
  },
  {
    matches: () => true,
    end: (lines, at) => while_(lines, at, (line) =>
      !isBlank(line) && ![FENCE, HEADING, QUOTE, RULE, ITEM].some((rule) => rule.test(line))),
    render: (lines) => h("p", null, inline(lines.join(" "))),
  },
];

const visibleLines = (lines) => lines.map(visible).join("\n");

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

/** Renders a list; lines that belong to no item of the first depth belong to the one above. */
function list(lines, depth) {
  const [, indent, mark] = ITEM.exec(lines[0]);
  const items = [];
  for (const line of lines) {
    const match = ITEM.exec(line);
    if (match && match[1].length <= indent.length) items.push([match[3]]);
    else items.at(-1)?.push(line.trim() === "" ? "" : line.replace(/^\s{1,4}/, ""));
  }
  return h(/\d/.test(mark) ? "ol" : "ul", null, items.map(([first, ...rest]) => h("li", null,
    inline(first), rest.length > 0 && depth < DEEPEST && blocks(rest, depth + 1))));
}

const INLINE = new RegExp([
  "`([^`]+)`",
  "\\*\\*([^*]+)\\*\\*",
  "\\*([^*\\s][^*]*)\\*",
  "!?\\[([^\\]]*)\\]\\(([^()\\s]+)[^()]*\\)",
].join("|"), "g");

function inline(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(visible(text.slice(from, match.index)));
    nodes.push(element(match));
    from = match.index + match[0].length;
  }
  nodes.push(visible(text.slice(from)));
  return nodes;
}

function element([whole, code, strong, emphasis, label, href]) {
  if (code !== undefined) return h("code", null, visible(code));
  if (strong !== undefined) return h("strong", null, visible(strong));
  if (emphasis !== undefined) return h("em", null, visible(emphasis));
  // Only addresses of the web: no scripts, no files.
  if (!/^https?:\/\//.test(href)) return visible(whole);
  return h("a", { href, rel: "noreferrer noopener", target: "_blank" }, visible(label || href));
}
