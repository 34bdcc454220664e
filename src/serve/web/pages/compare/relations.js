// Params and metrics against each other: scatter, parallel coordinates, and boxes over seeds.

import { axisLook, axisOf, diagram, tooltip } from "../../lib/diagram.js";
import { fill, h, token } from "../../lib/dom.js";
import { count, number, toNumber, value as format, visible } from "../../lib/format.js";
import { colorOf, COLORS, isDrawable } from "./report.js";

/** The grouping of runs that differ only in their seed. */
const SEEDS = "all but seed";
/** Number of axes of parallel coordinates. */
const MOST_AXES = 14;

/**
 * Shows the diagrams.
 *
 * @param {HTMLElement} body
 * @param {import("./report.js").Report} report
 * @returns {(() => void) | null}  ends it
 */
export function showRelations(body, report, { state, focus }) {
  const metrics = report.metrics.filter(isDrawable);
  const params = report.params.filter((param) => param.differs);
  if (metrics.length === 0) {
    fill(body, h("div", { class: "empty" }, h("h2", null, "No metric to draw")));
    return null;
  }
  const view = viewOf(report, params, metrics, state.get());
  const choose = (label, part, list, chosen) => h("label", null, `${label} `, h("select", {
    onchange: (event) => state.set({ [part]: event.target.value }),
  }, list.map((key) => h("option", { value: key, selected: key === chosen }, visible(key)))));
  const keys = (list) => list.map(({ key }) => key);
  const onHover = (item) => focus.hover(item ? item.column ?? null : null);
  const diagrams = [
    diagram({
      title: `${view.metric.key} by ${view.x.key}`,
      option: () => scatter(report, view),
      data: () => tableOf(report, [view.x, view.metric]),
      onHover,
    }),
    diagram({
      title: `${view.metric.key} over ${view.group?.key ?? "seeds"}`,
      option: (width) => boxes(view, width),
      data: () => boxTable(view),
      onHover,
    }),
    params.length > 0 && diagram({
      title: "Parallel coordinates",
      isWide: true,
      option: (width) => parallel(report, view, width),
      data: () => tableOf(report, [...view.params, view.metric]),
      onHover,
    }),
  ].filter(Boolean);
  fill(body,
    h("div", { class: "toolbar bar" },
      choose("Metric", "y", keys(metrics), view.metric.key),
      choose("Across", "x", [...keys(params), ...keys(metrics)], view.x.key),
      choose("Group by", "group", [SEEDS, ...keys(params)], view.group?.key ?? SEEDS)),
    h("div", { class: "diagrams" }, diagrams.map(({ element }) => element)));
  return () => diagrams.forEach(({ end }) => end());
}

/** Chooses what is drawn, with defaults for what the address does not name. */
function viewOf(report, params, metrics, { x, y, group }) {
  const find = (list, key) => list.find((one) => one.key === key);
  const differing = metrics.filter((metric) => metric.differs);
  const metric = find(metrics, y) ?? differing.find(({ goal }) => goal) ?? differing[0] ?? metrics[0];
  const others = metrics.filter((other) => other !== metric);
  const distinct = ({ values }) => new Set(values.map(format)).size;
  const varied = params.filter(({ key }) => !/(^|\.)seed$/.test(key))
    .toSorted((a, b) => distinct(b) - distinct(a));
  const across = find(params, x) ?? find(metrics, x) ?? varied[0] ?? others[0] ?? metric;
  const isSeeded = report.columns.length < report.sides.length;
  const byDefault = group === SEEDS || isSeeded ? null : varied.at(-1) ?? null;
  const grouping = find(params, group) ?? byDefault;
  return {
    metric, x: across, group: grouping, params: params.slice(0, MOST_AXES - 1),
    groups: grouping ? groupsBy(report, grouping) : report.columns.map(({ label, sides }) =>
      ({ name: label, sides })),
    columnOf: report.sides.map((_, side) =>
      report.columns.findIndex(({ sides }) => sides.includes(side))),
    labels: report.sides.map(({ label }) => label),
  };
}

function groupsBy(report, param) {
  const groups = new Map();
  param.values.forEach((value, side) => {
    const name = format(value);
    groups.set(name, [...(groups.get(name) ?? []), side]);
  });
  return [...groups].map(([name, sides]) => ({ name, sides }));
}

/** The values of a param or a metric by side. */
const valuesOf = (row) => row.each ?? row.values;

function tableOf(report, rows) {
  return {
    head: ["run", ...rows.map((row) => visible(row.key))],
    rows: report.sides.map(({ label }, side) =>
      [label, ...rows.map((row) => format(valuesOf(row)[side]))]),
  };
}

/** Colours by run, as in the table; by the metric if there are more runs than colours. */
function coloring(report, view, dimension) {
  if (report.columns.length <= COLORS) return {};
  const values = view.metric.each.map(toNumber).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return {
    visualMap: {
      type: "continuous",
      dimension,
      min: low,
      max: high > low ? high : low + 1,
      inRange: { color: [token("--series-6"), token("--series-1"), token("--series-4")] },
      outOfRange: { color: token("--faint") },
      calculable: true,
      itemHeight: 110,
      right: 0,
      top: "middle",
      textStyle: { color: token("--dim") },
      formatter: (value) => number(value),
    },
  };
}

const describe = (view, side) => [
  view.labels[side], ...[view.metric, view.x].map((row) =>
    `${visible(row.key)} ${format(valuesOf(row)[side])}`),
].join("\n");

function scatter(report, view) {
  const [x, y] = [view.x, view.metric].map((row) => axisOf(visible(row.key), valuesOf(row)));
  const rows = view.labels.map((_, side) => ({
    side,
    column: view.columnOf[side],
    value: [x.place(valuesOf(view.x)[side]), y.place(view.metric.each[side])],
    itemStyle: report.columns.length > COLORS ? undefined
      : { color: token(colorOf(view.columnOf[side])) },
  })).filter(({ value }) => value.every((place) => place !== null));
  return {
    ...coloring(report, view, 1),
    grid: { left: 64, right: report.columns.length > COLORS ? 90 : 24, top: 28, bottom: 44 },
    tooltip: tooltip(({ side }) => describe(view, side)),
    xAxis: { ...axisLook(x), nameLocation: "middle", nameGap: 28 },
    yAxis: axisLook(y),
    series: [{ type: "scatter", symbolSize: 10, data: rows, emphasis: { scale: 1.6 } }],
  };
}

function parallel(report, view, width) {
  const rows = [...view.params, view.metric];
  const axes = rows.map((row) => axisOf(visible(row.key), valuesOf(row)));
  const right = Math.min(140, Math.max(60, width * 0.15));
  const room = Math.max((width - 50 - right) / Math.max(rows.length - 1, 1) - 12, 30);
  const data = view.labels.map((_, side) => ({
    side,
    column: view.columnOf[side],
    value: rows.map((row, at) => axes[at].place(valuesOf(row)[side]) ?? "-"),
    lineStyle: report.columns.length > COLORS ? undefined
      : { color: token(colorOf(view.columnOf[side])) },
  }));
  return {
    ...coloring(report, view, rows.length - 1),
    tooltip: tooltip(({ side }) => describe(view, side)),
    parallel: { left: 50, right, top: 40, bottom: 24 },
    parallelAxis: axes.map((axis, dim) => ({
      ...axisLook(axis, room),
      dim,
      nameLocation: "end",
      nameTruncate: { maxWidth: room },
      areaSelectStyle: { color: token("--accent"), borderColor: token("--accent") },
    })),
    series: [{
      type: "parallel",
      smooth: false,
      lineStyle: { width: 2, opacity: 0.85 },
      emphasis: { lineStyle: { width: 4, opacity: 1 } },
      inactiveOpacity: 0.08,
      data,
    }],
  };
}

/** Returns minimum, quartiles and maximum. */
function quartiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share) => {
    const place = share * (sorted.length - 1);
    const [low, high] = [Math.floor(place), Math.ceil(place)];
    return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
  };
  return [0, 0.25, 0.5, 0.75, 1].map(at);
}

function boxesOf(view) {
  const finite = (side) => toNumber(view.metric.each[side]);
  return view.groups.map(({ name, sides }) => {
    const members = sides.filter((side) => Number.isFinite(finite(side)));
    return { name, members, values: members.map(finite) };
  }).filter(({ members }) => members.length > 0);
}

function boxTable(view) {
  return {
    head: ["group", "n", "minimum", "first quartile", "median", "third quartile", "maximum"],
    rows: boxesOf(view).map(({ name, values }) =>
      [name, String(values.length), ...quartiles(values).map(number)]),
  };
}

function boxes(view, width) {
  const all = boxesOf(view);
  const names = all.map(({ name, members }) =>
    `${name.replace(/ ×\d+$/, "")}\n${count(members.length, "run")}`);
  const points = all.flatMap(({ members, values }, at) => members.map((side, i) => ({
    side,
    column: view.columnOf[side],
    value: [at, values[i]],
    itemStyle: { color: token(colorOf(view.columnOf[side])) },
  })));
  const room = Math.max((width - 88) / Math.max(names.length, 1) - 8, 30);
  const group = { name: view.group ? visible(view.group.key) : "", type: "category", names };
  return {
    grid: { left: 64, right: 24, top: 28, bottom: 64 },
    tooltip: tooltip((item) => (item.side === undefined
      ? item.text : describe(view, item.side))),
    xAxis: { ...axisLook(group, room), nameLocation: "middle", nameGap: 44 },
    yAxis: axisLook({ name: visible(view.metric.key), type: "value" }),
    series: [
      {
        type: "boxplot",
        boxWidth: [8, 40],
        itemStyle: { color: "transparent", borderColor: token("--line-strong") },
        data: all.map(({ name, values }) => {
          const [low, first, median, third, high] = quartiles(values);
          const text = `${name}\nmedian ${number(median)}\nquartiles ${number(first)}, ${number(third)}`;
          return { value: [low, first, median, third, high], text };
        }),
      },
      { type: "scatter", symbolSize: 8, data: points },
    ],
  };
}
