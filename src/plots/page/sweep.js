"use strict";
// Runs that differ in params: parallel coordinates and scatter, drawn by ECharts.

const MOST_AXES = 14;

/** Returns how an axis shows values: as numbers, on a log scale, or as categories. */
function axisOf(key, values) {
  const present = values.filter((value) => value !== null && value !== undefined);
  const numbers = present.map(toNumber);
  if (numbers.some((value) => value === null)) {
    const names = [...new Set(present.map(showValue))].sort((a, b) => compareValues(a, b));
    const at = (value) => (value === null || value === undefined ? null
      : names.indexOf(showValue(value)));
    return { name: key, type: "category", names, place: at };
  }
  const finite = numbers.filter((value) => Number.isFinite(value));
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const place = (value) => {
    const number = toNumber(value);
    return Number.isFinite(number) ? number : null;
  };
  return { name: key, type: low > 0 && high / low >= 50 ? "log" : "value", place };
}

function sweepSection() {
  const metrics = data.metrics.filter((metric) => metric.values.some((v) => Number.isFinite(toNumber(v))));
  const main = mainMetric() ?? metrics[0];
  if (!main || differingParams.length === 0 || runs.length < 3) return null;
  let metric = main;
  let param = differingParams[0];
  const select = (label, list, chosen, choose) => {
    const options = list.map((one) => h("option", { value: one.key, selected: one === chosen }, one.key));
    return h("label", null, `${label} `, h("select", {
      onchange: (event) => {
        choose(list[event.target.selectedIndex]);
        draw();
      },
    }, options));
  };
  const parallel = h("div", { class: "wide-chart", role: "img" });
  const scatter = h("div", { class: "wide-chart", role: "img" });
  const [axes, all] = [MOST_AXES - 1, differingParams.length];
  const rest = all > axes ? ` The first ${axes} of ${all} params are shown.` : "";
  let charts = [];
  const draw = () => {
    charts.forEach((chart) => chart.dispose());
    charts = [echarts.init(parallel), echarts.init(scatter)];
    charts[0].setOption(parallelOption(metric));
    charts[1].setOption(scatterOption(param, metric));
    parallel.ariaLabel = `Parallel coordinates of ${count(runs.length, "run")}, by ${metric.key}. `
      + "The table of runs has the values.";
    scatter.ariaLabel = `${metric.key} over ${param.key} of ${count(runs.length, "run")}`;
    charts.forEach((chart) => {
      chart.on("mouseover", (event) => change("focus", event.data?.run ?? null));
      chart.on("mouseout", () => change("focus", null));
    });
  };
  const section = h("section", { id: "sweep" }, h("h2", null, "Params and metrics"),
    h("div", { class: "controls" },
      select("Metric", metrics, metric, (chosen) => { metric = chosen; }),
      select("Param", differingParams, param, (chosen) => { param = chosen; })),
    h("article", { class: "card" }, h("header", null, h("h3", null, "Parallel coordinates")),
      parallel, h("div", { class: "remark" }, h("p", null, `Drag along an axis to choose runs.${rest}`))),
    h("article", { class: "card" }, h("header", null, h("h3", null, "Metric by param")), scatter));
  let isDrawn = false;
  whenNear(section, () => {
    isDrawn = true;
    draw();
  });
  onChange((key) => {
    if (isDrawn && ["hidden", "theme"].includes(key)) draw();
  });
  new ResizeObserver(() => charts.forEach((chart) => chart.resize())).observe(section);
  return section;
}

/** Options that both charts have. The colors of the lines follow the metric. */
function baseOption(metric, dimension) {
  const values = runs.map((_, at) => at).filter(isVisible).map((at) => toNumber(metric.values[at]))
    .filter((value) => Number.isFinite(value));
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  return {
    animation: false,
    textStyle: { color: cssColor("--ink"), fontFamily: "system-ui, sans-serif" },
    // In the canvas, because an HTML tooltip would need inline styles.
    tooltip: {
      renderMode: "richText",
      confine: true,
      backgroundColor: cssColor("--raised"),
      borderColor: cssColor("--line"),
      textStyle: { color: cssColor("--ink"), fontSize: 12 },
      formatter: (item) => {
        const at = item.data.run;
        return [runs[at], `${metric.key} ${showValue(metric.values[at])}`, ...describe(at)].join("\n");
      },
    },
    visualMap: {
      type: "continuous",
      dimension,
      min: low,
      max: high > low ? high : low + 1,
      inRange: { color: ordered() },
      outOfRange: { color: cssColor("--faint") },
      calculable: true,
      itemHeight: 110,
      right: 0,
      top: "middle",
      textStyle: { color: cssColor("--dim") },
      formatter: (value) => showNumber(value),
    },
  };
}

function axisStyle(axis) {
  const line = { lineStyle: { color: cssColor("--line") } };
  return {
    name: axis.name,
    type: axis.type,
    data: axis.names,
    scale: true,
    nameTextStyle: { color: cssColor("--ink") },
    axisLine: line,
    axisTick: line,
    splitLine: { lineStyle: { color: cssColor("--grid") } },
    axisLabel: {
      color: cssColor("--dim"),
      hideOverlap: true,
      // Lines cross the labels.
      textBorderColor: cssColor("--raised"),
      textBorderWidth: 3,
      formatter: axis.names ? undefined : (value) => showNumber(value),
    },
  };
}

function parallelOption(metric) {
  const columns = [...differingParams.slice(0, MOST_AXES - 1), metric];
  const axes = columns.map((column) => axisOf(column.key, column.values));
  const rows = runs.map((_, at) => at).filter(isVisible).map((at) => ({
    run: at,
    value: columns.map((column, i) => axes[i].place(column.values[at]) ?? "-"),
  }));
  return {
    ...baseOption(metric, columns.length - 1),
    parallel: { left: 50, right: 110, top: 40, bottom: 24 },
    parallelAxis: axes.map((axis, dim) => ({
      ...axisStyle(axis),
      dim,
      nameLocation: "end",
      nameTruncate: { maxWidth: 150 },
      areaSelectStyle: { color: cssColor("--accent"), borderColor: cssColor("--accent") },
    })),
    series: [{
      type: "parallel",
      smooth: false,
      lineStyle: { width: rows.length > 60 ? 1 : 1.6, opacity: 0.8 },
      emphasis: { lineStyle: { width: 3, opacity: 1 } },
      inactiveOpacity: 0.05,
      data: rows,
    }],
  };
}

function scatterOption(param, metric) {
  const [x, y] = [param, metric].map((column) => axisOf(column.key, column.values));
  const rows = runs.map((_, at) => at).filter(isVisible).map((at) => ({
    run: at,
    value: [x.place(param.values[at]), y.place(metric.values[at])],
  })).filter((row) => row.value.every((value) => value !== null));
  return {
    ...baseOption(metric, 1),
    grid: { left: 64, right: 110, top: 28, bottom: 48 },
    xAxis: { ...axisStyle(x), nameLocation: "middle", nameGap: 28 },
    yAxis: axisStyle(y),
    series: [{ type: "scatter", symbolSize: 9, data: rows, emphasis: { scale: 1.5 } }],
  };
}
