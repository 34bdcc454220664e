"use strict";
// Curves and points, drawn by uPlot. Each line has its own x values, so the charts use uPlot's
// second mode. Values that are not finite are gaps with a mark at the edge of the chart.

const HEIGHT = 240;

/** Prepares the data of a chart once: numbers with `null` for what cannot be placed. */
function prepare(chart) {
  const columns = [...new Set(chart.lines.map((line) => line.name))];
  return chart.lines.map((line) => {
    const values = line.y.map(toNumber);
    const odd = values.map((value, i) => [line.x[i], value])
      .filter(([, value]) => !Number.isFinite(value));
    return {
      ...line,
      column: Math.max(columns.indexOf(line.name), 0),
      y: values.map((value) => (Number.isFinite(value) ? value : null)),
      odd,
    };
  });
}

function labelOf(line) {
  return [nameRuns(line.runs), line.name].filter(Boolean).join(" · ");
}

function chartCard(chart) {
  const lines = prepare(chart);
  const values = lines.flatMap((line) => line.y.filter((value) => value !== null));
  const canLog = values.length > 0 && values.every((value) => value > 0);
  let isLog = chart.scale === "log";
  let zoom = null;
  let plot = null;
  const place = h("div", { class: "plot", role: "img", style: { height: `${HEIGHT}px` } });
  const tip = h("div", { class: "tip", hidden: true });
  const legend = h("div", { class: "legend" });
  const log = h("button", {
    type: "button",
    ariaPressed: String(isLog),
    disabled: !canLog,
    title: canLog ? "Logarithmic vertical axis" : "Not all values are positive",
    onclick: () => {
      isLog = !isLog;
      log.ariaPressed = String(isLog);
      redraw();
    },
  }, "log");
  const reset = h("button", { type: "button", hidden: true, onclick: () => zoomTo(null) }, "reset");

  const shown = () => lines.filter((line) => visibleRuns(line.runs).length > 0);

  function extent(list, isInside) {
    let [low, high] = [Infinity, -Infinity];
    for (const line of shown()) {
      for (let i = 0; i < line.x.length; i++) {
        const value = list(line)[i];
        if (value === null || !isInside(line.x[i])) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    return low <= high ? [low, high] : null;
  }

  function xRange() {
    const [low, high] = zoom ?? extent((line) => line.x, () => true) ?? [0, 1];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }

  function yRange() {
    const [from, to] = xRange();
    const isInside = (x) => x >= from && x <= to;
    const [low, high] = extent((line) => line.y, isInside) ?? (isLog ? [0.1, 1] : [0, 1]);
    if (isLog) {
      const margin = Math.max(Math.pow(high / low, 0.06), 1.05);
      return [low / margin, high * margin];
    }
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.5;
    return [low - margin, high + margin];
  }

  function zoomTo(range) {
    zoom = range;
    reset.hidden = range === null;
    redraw();
  }

  function redraw() {
    plot?.destroy();
    const drawn = shown();
    plot = new uPlot(options(drawn), [null, ...drawn.map((line) => [line.x, line.y])], place);
    place.ariaLabel = `Chart of ${chart.title}: ${drawn.map(labelOf).slice(0, 10).join(", ")}`;
    plot.over.addEventListener("mousemove", (event) => hover(event, drawn));
    plot.over.addEventListener("mouseleave", () => {
      tip.hidden = true;
      change("focus", null);
    });
    plot.over.addEventListener("dblclick", () => zoomTo(null));
    drawLegend(drawn);
    notes.replaceChildren(...noteTexts(drawn).map((text) => h("p", null, text)));
  }

  function options(drawn) {
    const axis = {
      stroke: cssColor("--dim"),
      grid: { stroke: cssColor("--grid"), width: 1 },
      ticks: { stroke: cssColor("--grid"), width: 1, size: 4 },
      font: "11px system-ui, sans-serif",
    };
    const format = (_, splits) => splits.map((value) => (value === null ? "" : showNumber(value)));
    // The ends of a logarithmic axis are any numbers.
    const isRound = (value) => /^[1-9](\.0+)?e/.test(value.toExponential(3));
    const formatLog = (_, splits) =>
      splits.map((value) => (value !== null && isRound(value) ? showNumber(value) : ""));
    return {
      mode: 2,
      width: Math.max(place.clientWidth, 120),
      height: HEIGHT,
      legend: { show: false },
      focus: { alpha: 0.15 },
      cursor: {
        points: { show: false },
        y: false,
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => null },
      },
      scales: {
        x: { time: false, range: xRange },
        y: { distr: isLog ? 3 : 1, range: yRange },
      },
      axes: [
        { ...axis, label: chart.x, labelSize: 16, labelFont: axis.font, size: 32, values: format },
        { ...axis, size: 56, values: isLog ? formatLog : format },
      ],
      series: [{}, ...drawn.map((line) => ({
        facets: [{ scale: "x", auto: true }, { scale: "y", auto: true }],
        stroke: colorOf(visibleRuns(line.runs)[0]),
        width: drawn.length > 20 ? 1 : 1.5,
        dash: dashOf(visibleRuns(line.runs)[0], line.column),
        paths: chart.mark === "line" ? linePath : () => null,
        points: { show: false },
      }))],
      hooks: {
        draw: [(u) => drawMarks(u, drawn, chart.mark)],
        setSelect: [(u) => {
          const { left, width } = u.select;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (width < 5) return;
          zoomTo([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
        }],
      },
    };
  }

  /** Names the line nearest to the pointer, and lists the values of others at its step. */
  function hover(event, drawn) {
    const bounds = plot.over.getBoundingClientRect();
    const [left, top] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const nearest = drawn.map((line, at) => ({ at, line, ...nearestPoint(plot, line, left, top) }))
      .filter((found) => found.i !== null)
      .sort((a, b) => a.distance - b.distance);
    if (nearest.length === 0) return;
    const { line, i } = nearest[0];
    const most = 6;
    const near = nearest.slice(0, most).sort((a, b) => b.line.y[b.i] - a.line.y[a.i]);
    tip.replaceChildren(
      h("div", { class: "tip-head" }, `${chart.x} ${showNumber(line.x[i])}`),
      ...near.map((found) => h("div", { class: found.line === line ? "near" : "" },
        h("span", { class: "swatch",
          style: { background: colorOf(visibleRuns(found.line.runs)[0]) } }),
        `${labelOf(found.line)} `, h("b", null, showNumber(found.line.y[found.i])))),
      ...(nearest.length > most ? [h("div", null, `and ${nearest.length - most} more`)] : []),
      ...describe(line.runs[0]).map((text) => h("div", { class: "param" }, text)));
    tip.hidden = false;
    const isRight = left > bounds.width / 2;
    tip.style.left = isRight ? "auto" : `${left + 76}px`;
    tip.style.right = isRight ? `${bounds.width - left + 24}px` : "auto";
    change("focus", line.runs[0]);
  }

  function drawLegend(drawn) {
    const most = 12;
    legend.hidden = drawn.length < 2;
    const metric = colorMetric();
    if (metric && drawn.length > most) {
      const style = { background: `linear-gradient(to right, ${ordered().join(", ")})` };
      legend.replaceChildren(h("span", null, metric.key),
        h("span", null, showNumber(metric.low)), h("span", { class: "gradient", style }),
        h("span", null, showNumber(metric.high)));
      return;
    }
    legend.replaceChildren(...drawn.slice(0, most).map((line) => h("span", null,
      h("span", { class: "swatch", style: { background: colorOf(visibleRuns(line.runs)[0]) } }),
      labelOf(line))),
    ...(drawn.length > most ? [h("span", null, `and ${drawn.length - most} more`)] : []));
  }

  const notes = h("div", { class: "notes" });
  const details = h("details", null, h("summary", null, "Summary as a table"));
  details.addEventListener("toggle", () => {
    if (details.open) details.replaceChildren(details.firstChild, summaryTable(chart, shown()));
  });
  const card = h("article", { class: "card", "data-title": chart.title },
    h("header", null, h("h3", { title: chart.title }, chart.title), reset,
      chart.mark === "line" ? log : null),
    h("div", { class: "plot-box" }, place, tip), legend, notes, details);
  let isDrawn = false;
  whenNear(card, () => {
    isDrawn = true;
    redraw();
  });
  const update = (key) => {
    if (!isDrawn) return;
    if (key === "focus") {
      const { top, bottom } = card.getBoundingClientRect();
      if (state.focus !== null && (bottom < 0 || top > innerHeight)) return;
      const at = shown().findIndex((line) => line.runs.includes(state.focus));
      plot.setSeries(at < 0 ? null : at + 1, { focus: true }, false);
    } else if (key !== "filter") {
      redraw();
    }
  };
  onChange(update);
  let width = 0;
  new ResizeObserver(() => {
    if (isDrawn && place.clientWidth !== width) plot.setSize({ width: place.clientWidth, height: HEIGHT });
    width = place.clientWidth;
  }).observe(place);
  return card;
}

/** Draws a line; it is built late, because a page without charts lacks uPlot. */
const linePath = (u, at) => uPlot.paths.linear()(u, at, 0, u.data[at][0].length - 1);

/** Finds the point of a line that is nearest to a place in pixels. */
function nearestPoint(u, line, left, top) {
  const x = u.posToVal(left, "x");
  let [low, high] = [0, line.x.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.x[middle] < x) low = middle + 1;
    else high = middle;
  }
  let found = { i: null, distance: Infinity };
  for (let i = Math.max(low - 3, 0); i <= Math.min(low + 3, line.x.length - 1); i++) {
    if (line.y[i] === null) continue;
    const distance = Math.hypot(u.valToPos(line.x[i], "x") - left, u.valToPos(line.y[i], "y") - top);
    if (distance < found.distance) found = { i, distance };
  }
  return found;
}

/** Draws points, lines of a single point, and a mark at the edge for each value not finite. */
function drawMarks(u, drawn, mark) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left - 4 * ratio, top - 4 * ratio, width + 8 * ratio, height + 8 * ratio);
  ctx.clip();
  drawn.forEach((line, at) => {
    ctx.globalAlpha = u.series[at + 1].alpha ?? 1;
    ctx.strokeStyle = ctx.fillStyle = colorOf(visibleRuns(line.runs)[0]);
    const finite = line.y.filter((value) => value !== null).length;
    if (mark === "point" || finite === 1) {
      for (let i = 0; i < line.x.length; i++) {
        if (line.y[i] === null) continue;
        ctx.beginPath();
        const [x, y] = [u.valToPos(line.x[i], "x", true), u.valToPos(line.y[i], "y", true)];
        ctx.arc(x, y, (finite === 1 ? 3.5 : 2) * ratio, 0, 2 * Math.PI);
        ctx.fill();
      }
    }
    ctx.lineWidth = 1.5 * ratio;
    for (const [place, value] of line.odd) {
      const x = u.valToPos(place, "x", true);
      const size = 4 * ratio;
      ctx.beginPath();
      if (Number.isNaN(value)) {
        const y = top + height - 1.5 * size;
        ctx.moveTo(x - size, y - size);
        ctx.lineTo(x + size, y + size);
        ctx.moveTo(x + size, y - size);
        ctx.lineTo(x - size, y + size);
      } else {
        const [y, tip] = value > 0 ? [top + 2 * size, top] : [top + height - 2 * size, top + height];
        ctx.moveTo(x - size, y);
        ctx.lineTo(x, tip);
        ctx.lineTo(x + size, y);
      }
      ctx.stroke();
    }
  });
  ctx.restore();
}

/** Says what a chart leaves out or marks. */
function noteTexts(drawn) {
  const notes = [];
  const thinned = drawn.filter((line) => line.total > line.x.length);
  if (thinned.length > 0) {
    const [most] = thinned.toSorted((a, b) => b.total - a.total);
    notes.push(`Decimated: ${most.x.length.toLocaleString("en")} of `
      + `${most.total.toLocaleString("en")} points`
      + (thinned.length > 1 ? ` (and ${thinned.length - 1} more)` : "")
      + "; the smallest and the largest of each part are kept.");
  }
  const odd = drawn.filter((line) => line.odd.length > 0);
  if (odd.length > 0) {
    const place = (line) => {
      const [step, value] = line.odd[0];
      return `${labelOf(line)} ${showNumber(String(value))} at ${showNumber(step)}`
        + (line.odd.length > 1 ? ` and ${line.odd.length - 1} more` : "");
    };
    notes.push(`Not finite: ${odd.slice(0, 3).map(place).join(", ")}`
      + (odd.length > 3 ? `, and in ${count(odd.length - 3, "other line")}` : ""));
  }
  return notes;
}

function summaryTable(chart, drawn) {
  const columns = ["line", "points", "first", "last", "smallest", `at ${chart.x}`, "largest",
    `at ${chart.x}`, "not finite"];
  const row = (line) => {
    const finite = line.y.map((value, i) => [value, line.x[i]]).filter(([value]) => value !== null);
    const pick = (isBetter) => finite.reduce((a, b) => (isBetter(b[0], a[0]) ? b : a));
    const [low, high] = finite.length === 0 ? [["–", "–"], ["–", "–"]]
      : [pick((a, b) => a < b), pick((a, b) => a > b)];
    const cells = [line.total, finite[0]?.[0], finite.at(-1)?.[0], ...low, ...high, line.odd.length];
    return h("tr", null, h("th", { scope: "row" }, labelOf(line)),
      cells.map((value) => h("td", { class: "number" }, showValue(value))));
  };
  return h("div", { class: "scroll", tabIndex: 0 }, h("table", null,
    h("thead", null, h("tr", null, columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, drawn.map(row))));
}
