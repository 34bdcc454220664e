// Diagrams other than curves, by ECharts, which is loaded when the first one is shown. Tooltips are
// drawn in the canvas, because those made of HTML need inline styles.

import { copyMenu } from "./copy.js";
import { h, token } from "./dom.js";
import { csv, markdown } from "./exports.js";
import { number, toNumber, value as format, compare } from "./format.js";
import { onTheme } from "./theme.js";

const SCRIPT = "/assets/vendor/echarts/echarts.min.js";
/** Ratio of the ends of positive numbers from which an axis is logarithmic. */
const WIDE = 50;

let loading = null;

/** Loads ECharts once. */
function load() {
  loading ??= new Promise((resolve, reject) => {
    const script = h("script", { src: SCRIPT });
    script.addEventListener("load", () => resolve(globalThis.echarts));
    script.addEventListener("error", () => reject(new Error("ECharts did not load")));
    document.head.append(script);
  });
  return loading;
}

/**
 * @typedef {object} Diagram
 * @property {HTMLElement} element
 * @property {() => void} end
 */

/**
 * Creates a card with a diagram, the table behind it, and the means to take both away.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {(width: number) => object} options.option  of ECharts for a width in pixels, made again
 *   when the theme or the width changes
 * @param {() => {head: string[], rows: string[][]}} options.data  the table behind it
 * @param {boolean} [options.isWide]
 * @param {(item: object | null) => void} [options.onHover]  gets the datum under the pointer
 * @returns {Diagram}
 */
export function diagram({ title, option, data, isWide = false, onHover = () => {} }) {
  const place = h("div", { class: "diagram", role: "img", ariaLabel: title });
  let chart = null;
  let isEnded = false;
  const full = () => ({ ...base(), ...option(place.clientWidth) });
  const draw = () => chart?.setOption(full(), { notMerge: true });
  const table = h("details", { class: "behind" }, h("summary", null, "As a table"));
  table.addEventListener("toggle", () => {
    if (table.open) table.replaceChildren(table.firstChild, tableOf(title, data()));
  });
  const download = (name, href) => h("a", { download: `${title}.${name}`, href }).click();
  const save = (label, run) => h("button", {
    type: "button", class: "quiet", disabled: true, title: `Save as ${label}`,
    ariaLabel: `Save ${title} as ${label}`, onclick: run,
  }, label);
  const saves = [
    save("SVG", () => download("svg", urlOf("image/svg+xml", svgOf(full(), place)))),
    save("PNG", () => download("png", chart.getDataURL({
      pixelRatio: 2, backgroundColor: token("--paper"),
    }))),
  ];
  const element = h("article", { class: isWide ? "card wide" : "card" },
    h("header", { class: "head" }, h("h2", null, title),
      h("span", { class: "end" }, saves, copyMenu({
        Markdown: () => markdown(data().head, data().rows),
        CSV: () => csv(data().head, data().rows),
      }, "Data"))),
    h("div", { class: "body" }, place, table));
  const sizes = new ResizeObserver(() => {
    chart?.resize();
    draw();
  });
  const endTheme = onTheme(draw);
  load().then((echarts) => {
    if (isEnded) return;
    chart = echarts.init(place);
    draw();
    chart.on("mouseover", (event) => onHover(event.data));
    chart.on("mouseout", () => onHover(null));
    sizes.observe(place);
    for (const button of saves) button.disabled = false;
  });
  return {
    element,
    end() {
      isEnded = true;
      endTheme();
      sizes.disconnect();
      chart?.dispose();
    },
  };
}

/**
 * Returns how an axis shows values: as numbers, on a logarithmic scale, or as categories.
 *
 * @param {string} name
 * @param {any[]} values
 * @returns {{name: string, type: string, names: string[] | undefined,
 *   place: (value: any) => number | null}}
 */
export function axisOf(name, values) {
  const present = values.filter((value) => value !== null && value !== undefined);
  const numbers = present.map(toNumber);
  if (numbers.some((value) => value === null)) {
    const names = [...new Set(present.map(format))].sort(compare);
    const place = (value) => {
      const at = names.indexOf(format(value));
      return at < 0 ? null : at;
    };
    return { name, type: "category", names, place };
  }
  const finite = numbers.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const place = (value) => {
    const double = toNumber(value);
    return Number.isFinite(double) ? double : null;
  };
  const isWide = low > 0 && high / low >= WIDE;
  return { name, type: isWide ? "log" : "value", names: undefined, place };
}

/**
 * Returns the options of an axis in the look of the page.
 *
 * @param {ReturnType<typeof axisOf>} axis
 * @param {number} [room]  for its labels, in pixels
 */
export function axisLook(axis, room = 160) {
  const line = { lineStyle: { color: token("--line") } };
  return {
    name: axis.name,
    type: axis.type,
    data: axis.names,
    scale: true,
    nameTextStyle: { color: token("--dim"), fontFamily: fontFamily() },
    axisLine: line,
    axisTick: line,
    splitLine: { lineStyle: { color: token("--grid") } },
    axisLabel: {
      color: token("--dim"),
      fontSize: 11,
      lineHeight: 15,
      ...(axis.names && { width: room, overflow: "truncate" }),
      hideOverlap: true,
      // Lines of parallel coordinates cross the labels.
      textBorderColor: token("--raised"),
      textBorderWidth: 3,
      formatter: axis.names ? undefined : (value) => number(value),
    },
  };
}

/** Returns the options of a tooltip, whose text comes from the datum. */
export const tooltip = (text) => ({
  renderMode: "richText",
  confine: true,
  backgroundColor: token("--raised"),
  borderColor: token("--line"),
  textStyle: { color: token("--ink"), fontSize: 12, fontFamily: fontFamily() },
  formatter: ({ data }) => text(data),
});

const fontFamily = () => getComputedStyle(document.body).fontFamily;

const base = () => ({
  animation: false,
  textStyle: { color: token("--ink"), fontFamily: fontFamily() },
});

function svgOf(option, { clientWidth, clientHeight }) {
  const size = { width: clientWidth, height: clientHeight };
  const chart = globalThis.echarts.init(null, null, { renderer: "svg", ssr: true, ...size });
  chart.setOption({ ...option, backgroundColor: token("--paper") });
  const text = chart.renderToSVGString();
  chart.dispose();
  return text;
}

const urlOf = (type, text) => `data:${type};charset=utf-8,${encodeURIComponent(text)}`;

function tableOf(title, { head, rows }) {
  return h("div", { class: "scroll", tabIndex: 0, role: "region", ariaLabel: title },
    h("table", null, h("caption", { class: "unseen" }, title),
      h("thead", null, h("tr", null, head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, at) =>
        (at === 0 ? h("th", { scope: "row" }, cell) : h("td", null, cell))))))));
}
