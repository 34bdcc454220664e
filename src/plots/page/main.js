"use strict";
// Puts the page together: head, sections, keys, printing.

function setTheme() {
  document.documentElement.dataset.theme = theme();
}

function head() {
  const themes = ["auto", "light", "dark"];
  const themeButton = h("button", { type: "button", title: "Theme (t)", onclick: nextTheme },
    `theme: ${state.theme}`);
  function nextTheme() {
    change("theme", themes[(themes.indexOf(state.theme) + 1) % themes.length]);
    themeButton.textContent = `theme: ${state.theme}`;
  }
  const filter = h("input", {
    type: "search",
    id: "filter",
    placeholder: "Find a figure ( / )",
    ariaLabel: "Find a figure by its title",
    value: state.filter,
    oninput: (event) => change("filter", event.target.value),
  });
  const keys = ["run", ...data.metrics.map((metric) => metric.key)];
  const color = runs.length > 1 && data.metrics.length > 0 ? h("label", null, "Color by ",
    h("select", { onchange: (event) => change("colorBy", keys[event.target.selectedIndex]) },
      keys.map((key) => h("option", { value: key, selected: key === state.colorBy }, key)))) : null;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && document.activeElement === filter) filter.blur();
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "t") {
      nextTheme();
    }
  });
  const names = nameRuns(runs.map((_, at) => at));
  return h("header", { class: "top" },
    h("h1", null, data.project ? `${data.project}: ${names}` : names),
    h("div", { class: "controls" }, filter, color, themeButton));
}

/** Returns the stages in the order of the curves and outs, with both. */
function stages() {
  const stages = new Map();
  const of = (stage) => {
    if (!stages.has(stage)) stages.set(stage, { curves: new Map(), outs: [] });
    return stages.get(stage);
  };
  for (const curve of data.curves) {
    const group = curve.group ?? "";
    const { curves } = of(curve.stage);
    if (!curves.has(group)) curves.set(group, []);
    curves.get(group).push(curve);
  }
  data.outs.forEach((out) => of(out.stage).outs.push(out));
  return stages;
}

const grid = (cards) => h("div", { class: "grid" }, cards);

/** The figures of a stage: curves by the prefix of their keys, then the files. Files with one
    figure share a grid; a file with several has a grid of its own. */
function stageSection([stage, { curves, outs }]) {
  const parts = [...curves].map(([group, list]) => [
    group === "" ? null : h("h3", { class: "group" }, group),
    grid(list.map((curve) => chartCard(curve))),
  ]);
  const isSmall = (out) => out.figures.length === 1;
  const lacks = outs.flatMap((out) => out.lacks.map((lack) =>
    h("p", { class: "lack" }, `${nameRuns(lack.runs)}: ${lack.path} ${lack.why}`)));
  const small = outs.filter(isSmall).flatMap((out) => out.figures.map(figureCard));
  return h("section", { class: "figures" }, h("h2", null, stage), parts, lacks,
    small.length > 0 ? grid(small) : null,
    outs.filter((out) => out.figures.length > 1).map((out) => [
      h("h3", { class: "group" }, out.title ?? out.path), manyFigures(out.figures),
    ]));
}

/** Shows the first figures, and the others on request. */
function manyFigures(figures) {
  const most = 12;
  const box = grid(figures.slice(0, most).map(figureCard));
  const rest = figures.slice(most);
  if (rest.length === 0) return box;
  const more = h("button", { type: "button", class: "more", onclick: () => {
    box.append(...rest.map(figureCard));
    more.remove();
    applyFilter();
  } }, `Show ${rest.length} more`);
  return [box, more];
}

/** Hides the figures whose title lacks the text, and sections without figures. */
function applyFilter() {
  const text = state.filter.toLowerCase();
  for (const section of document.querySelectorAll("section.figures")) {
    const cards = [...section.querySelectorAll("article")];
    for (const card of cards) {
      card.classList.toggle("unmatched", !card.dataset.title.toLowerCase().includes(text));
    }
    const isEmpty = (cards) => text !== "" && cards.every((card) => card.matches(".unmatched"));
    section.classList.toggle("unmatched", isEmpty(cards));
    for (const heading of section.querySelectorAll("h3.group")) {
      const below = [...heading.nextElementSibling.querySelectorAll("article")];
      heading.classList.toggle("unmatched", isEmpty(below));
    }
  }
}

function start() {
  setTheme();
  // First, so that everything else is redrawn with the new colors.
  onChange((key) => {
    if (key === "theme") setTheme();
    if (key === "filter") applyFilter();
  });
  prefersDark.addEventListener("change", () => change("theme", state.theme));
  const sections = [runsSection(), sweepSection(), ...[...stages()].map(stageSection)];
  document.getElementById("page").replaceChildren(head(), ...sections.filter(Boolean));
  applyFilter();
  const print = (is) => () => {
    isPrinting = is;
    if (is) whenNear.all();
    change("theme", state.theme);
  };
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));
}

start();
