"use strict";
// Confusion matrices, bars, tables and images. All of them are plain elements, so they can be
// read, searched and printed without a library.

function figureCard(figure) {
  switch (figure.kind) {
    case "chart": return chartCard(figure);
    case "bars": return barsCard(figure);
    case "matrix": return matrixCard(figure);
    case "table": return tableCard(figure);
    case "image": return imageCard(figure);
  }
  return h("p", null, `unknown figure: ${figure.kind}`);
}

/** Frames a figure, with the names of its runs, and hides it with them. */
function frame(figure, content, className, note, noteClass = "notes") {
  const names = h("span", { class: "of" });
  const card = h("article", { class: `card ${className}`, "data-title": figure.title },
    h("header", null, h("h3", { title: figure.title }, figure.title), names), content,
    note ? h("div", { class: noteClass }, h("p", null, note)) : null);
  const update = (key) => {
    if (key && !["hidden", "colorBy", "theme"].includes(key)) return;
    const visible = visibleRuns(figure.runs);
    card.classList.toggle("gone", visible.length === 0);
    names.replaceChildren(...visible.slice(0, 6).map((at) => h("span", null,
      h("span", { class: "swatch", style: { background: colorOf(at) } }), runs[at])),
    ...(visible.length > 6 ? [`and ${visible.length - 6} more`] : []));
    names.title = figure.runs.map((at) => runs[at]).join(", ");
  };
  update();
  onChange(update);
  return card;
}

function matrixCard(figure) {
  const { classes, cells } = figure;
  const share = (row, at) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return sum > 0 ? row[at] / sum : 0;
  };
  const total = cells.flat().reduce((a, b) => a + b, 0);
  const right = cells.reduce((sum, row, at) => sum + row[at], 0);
  const cell = (row, actual, at) => {
    const part = share(row, at);
    const title = `${figure.y} ${classes[actual]}, ${figure.x} ${classes[at]}: `
      + `${row[at]}, ${(100 * part).toFixed(1)} % of the row`;
    return h("td", {
      class: `${part > 0.55 ? "strong" : ""}${row[at] === 0 ? " zero" : ""}`,
      title,
      style: { "backgroundColor": `color-mix(in srgb, var(--heat) ${100 * part}%, transparent)` },
    }, showNumber(row[at]));
  };
  const table = h("table", { class: classes.length > 6 ? "matrix many" : "matrix" },
    h("caption", null, `Rows: ${figure.y}. Columns: ${figure.x}. Shade: share of the row.`),
    h("thead", null, h("tr", null, h("td", null),
      classes.map((name) => h("th", { scope: "col" }, h("span", null, name))))),
    h("tbody", null, cells.map((row, actual) => h("tr", null,
      h("th", { scope: "row" }, classes[actual]), row.map((_, at) => cell(row, actual, at))))));
  const note = total > 0 ? `${showNumber(right)} of ${showNumber(total)} on the diagonal: `
    + `${(100 * right / total).toFixed(1)} %` : "No pairs";
  return frame(figure, h("div", { class: "scroll", tabIndex: 0 }, table), "", note, "remark");
}

function barsCard(figure) {
  const all = figure.groups.flatMap((group) => group.values.map(toNumber))
    .filter((value) => Number.isFinite(value));
  const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)];
  const place = (value) => (high > low ? 100 * (value - low) / (high - low) : 0);
  const box = h("div", { class: "scroll", tabIndex: 0 });
  const draw = (key) => {
    if (key && !["hidden", "colorBy", "theme"].includes(key)) return;
    const groups = figure.groups.filter((group) => visibleRuns(group.runs).length > 0);
    const columns = [...new Set(groups.map((group) => group.name))];
    const bar = (group, at) => {
      const value = toNumber(group.values[at]);
      const [from, to] = [place(Math.min(value ?? 0, 0)), place(Math.max(value ?? 0, 0))];
      const color = colorOf(visibleRuns(group.runs)[0]);
      return h("tr", { class: group === groups[0] ? "first" : "" },
        group === groups[0]
          ? h("th", { scope: "rowgroup", rowSpan: groups.length }, figure.categories[at]) : null,
        groups.length > 1 ? h("td", { class: "group-name" }, labelOf(group)) : null,
        h("td", { class: "bar" }, Number.isFinite(value) ? h("span", { style: {
          marginLeft: `${from}%`,
          width: `${to - from}%`,
          background: color,
          opacity: String(1 - 0.25 * columns.indexOf(group.name)),
        } }) : null),
        h("td", { class: "number" }, showValue(group.values[at])));
    };
    box.replaceChildren(h("table", { class: "bars" },
      h("caption", null, `${figure.y} by ${figure.x}`),
      figure.categories.map((_, at) =>
        h("tbody", null, groups.map((group) => bar(group, at))))));
  };
  draw();
  onChange(draw);
  const everyRun = [...new Set(figure.groups.flatMap((group) => group.runs))];
  return frame({ ...figure, runs: everyRun }, box, "");
}

function tableCard(figure) {
  const isNumeric = figure.columns.map((_, at) =>
    figure.rows.every((row) => row[at] === null || toNumber(row[at]) !== null));
  const table = h("table", { class: "data" },
    h("thead", null, h("tr", null, figure.columns.map((name, at) =>
      h("th", { scope: "col", class: isNumeric[at] ? "number" : "" }, name)))),
    h("tbody", null, figure.rows.map((row) => h("tr", null, row.map((value, at) =>
      h("td", { class: isNumeric[at] ? "number" : "", title: showValue(value) },
        showValue(value)))))));
  const note = figure.total > figure.rows.length
    ? `The first ${figure.rows.length} of ${figure.total} rows` : null;
  return frame(figure, h("div", { class: "scroll tall", tabIndex: 0 }, table), "", note);
}

function imageCard(figure) {
  const image = h("img", {
    alt: `${figure.title} of ${nameRuns(figure.runs)}`,
    loading: "lazy",
    src: `data:${figure.media};base64,${figure.data}`,
  });
  return frame(figure, image, "image");
}
