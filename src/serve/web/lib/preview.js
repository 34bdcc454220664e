// Shows the content of an artifact: a picture, a sound with its spectrogram, a table, a text, an
// array. A content comes from an address; nothing in it is parsed as HTML.

import { get, url } from "./api.js";
import { fill, h } from "./dom.js";
import { bytes, count, number, visible } from "./format.js";
import { markdown } from "./markdown.js";
import { paint } from "./colormap.js";
import { spectrogram } from "./spectrogram.js";
import { table } from "./table.js";

/**
 * Creates the preview of a file.
 *
 * @param {{url: string, path: string, bytes: number | null}} file
 * @returns {Promise<HTMLElement>}
 */
export async function preview(file) {
  const answer = await get(url(file.url, { as: "preview", name: file.path }));
  const show = { media, table: showTable, text: showText, array: showArray, binary }[answer.kind];
  return h("div", { class: `preview preview-${answer.kind}` }, show(file, answer));
}

/**
 * Returns the file with a content, for [preview].
 *
 * @param {{digest: string, path: string, kind?: string}} content
 */
export const fileOf = ({ digest, path, kind = "file" }) =>
  ({ url: `/api/objects/${digest}`, path, kind, digest, bytes: null });

/** Returns the address of a file with the name that determines its media type. */
export const addressOf = (file, form = null) => url(file.url, { as: form, name: file.path });

function media(file, answer) {
  const source = addressOf(file);
  if (answer.media.startsWith("image/")) {
    const size = h("p", { class: "dim small" }, bytes(answer.bytes));
    const image = h("img", { src: source, alt: visible(file.path), loading: "lazy" });
    image.addEventListener("load", () => {
      size.textContent = `${image.naturalWidth} × ${image.naturalHeight} · ${bytes(answer.bytes)}`;
    });
    image.addEventListener("error", () => {
      size.textContent = "The browser cannot show this image.";
    });
    return [h("div", { class: "picture" }, image), size];
  }
  const box = h("div", { class: "spectrogram" });
  const button = h("button", { type: "button", onclick: async () => {
    button.disabled = true;
    button.textContent = "Computing …";
    try {
      fill(box, await spectrogram(source));
    } catch (error) {
      fill(box, h("p", { class: "notice warn" }, `No spectrogram: ${error.message}`));
    }
  } }, "Show the spectrogram");
  fill(box, button);
  // A short sound is decoded at once.
  if (answer.bytes < 20_000_000) queueMicrotask(() => button.click());
  return [h("audio", { controls: true, preload: "metadata", src: source,
    ariaLabel: visible(file.path) }), box, h("p", { class: "dim small" }, bytes(answer.bytes))];
}

function showTable(file, answer) {
  const { columns, rows, width, total } = answer;
  const isNumber = columns.map((_, at) => rows.every((row) => row[at] === null
    || typeof row[at] === "number" || ["NaN", "Infinity", "-Infinity"].includes(row[at])));
  const size = total === null ? `the first ${count(rows.length, "row")} of ${bytes(answer.bytes)}`
    : rows.length < total ? `the first ${rows.length} of ${count(total, "row")}`
      : count(total, "row");
  const shown = columns.length < width ? `the first ${columns.length} of ${count(width, "column")}`
    : count(width, "column");
  return table({
    caption: `${size}, ${shown}`,
    columns: columns.map((title, at) => ({ key: String(at), title: visible(title),
      kind: isNumber[at] ? "number" : "text" })),
    rows: rows.map((row) => Object.fromEntries(row.map((value, at) => [String(at), value]))),
  });
}

function showText(file, answer) {
  const { text, format, cut, fault } = answer;
  const end = cut && h("p", { class: "dim small" },
    `The beginning of ${bytes(answer.bytes)}; `, h("a", { href: addressOf(file) }, "show all"));
  const notice = fault && h("p", { class: "notice warn" }, `Shown as text: ${visible(fault)}`);
  const source = h("pre", { class: "source", tabIndex: 0 }, text);
  if (format !== "md" && format !== "markdown") return [notice, source, end];
  const rendered = h("div", { class: "markdown" }, markdown(text));
  const showSource = () => {
    const isSource = toggle.ariaPressed !== "true";
    toggle.ariaPressed = String(isSource);
    rendered.hidden = isSource;
    source.hidden = !isSource;
  };
  const toggle = h("button", { type: "button", class: "quiet", ariaPressed: "false",
    onclick: showSource }, "Source");
  source.hidden = true;
  return [h("div", { class: "toolbar" }, toggle), rendered, source, end];
}

function showArray(file, answer) {
  const { shape, dtype, matrix, height, width, extent, not_finite: odd } = answer;
  const canvas = h("canvas", { width, height, class: "array", role: "img",
    ariaLabel: `Picture of an array of ${matrix.join(" by ")}` });
  const pixels = Uint8Array.from(atob(answer.pixels), (char) => char.charCodeAt(0));
  const map = h("select", { ariaLabel: "Colors", onchange: () => draw() },
    ["viridis", "grey"].map((name) => h("option", { value: name }, name)));
  const flip = h("input", { type: "checkbox", checked: shape.length === 2,
    onchange: () => draw() });
  const draw = () => paint(canvas, pixels, map.value, flip.checked);
  draw();
  const isPart = matrix.length < shape.length || shape.length > 2;
  const facts = [
    `shape ${shape.join(" × ") || "()"}`, dtype,
    extent ? `from ${number(extent[0])} to ${number(extent[1])}` : "no finite values",
    odd > 0 && `${count(odd, "value")} not finite`,
    isPart && `the first of its matrices: ${matrix.join(" × ")}`,
    (height < matrix[0] || width < matrix[1]) && `drawn as ${height} × ${width}, by means`,
    bytes(answer.bytes),
  ].filter(Boolean);
  return [h("div", { class: "toolbar" }, map, h("label", null, flip, "first row at the bottom")),
    h("div", { class: "array-box" }, canvas), h("p", { class: "dim small" }, facts.join(" · "))];
}

const binary = (file, answer) => h("p", { class: "empty" },
  `Nothing to show: ${answer.why} (${bytes(answer.bytes)}).`);
