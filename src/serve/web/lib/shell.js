// Fills the frame of a page: theme, keys, palette, live mark. Then mounts the page's own module.

import { get, url } from "./api.js";
import { fill, h } from "./dom.js";
import { visible } from "./format.js";
import { onKey, showKeys } from "./keys.js";
import { onState } from "./live.js";
import { addEntries, addProvider, openPalette } from "./palette.js";
import { attachThemeButton, nextTheme } from "./theme.js";

const PAGES = [
  ["h", "Home", "/"], ["r", "Runs", "/runs"], ["c", "Compare", "/compare"],
  ["p", "Pipeline", "/pipeline"], ["m", "Models", "/models"],
];
const LIVE = {
  connecting: "",
  live: "live",
  lost: "not connected",
  paused: "",
};

const by = (id) => document.getElementById(id);

function start() {
  attachThemeButton(by("theme-button"));
  by("palette-button").addEventListener("click", openPalette);
  by("help-button").addEventListener("click", showKeys);
  for (const [key, title, href] of PAGES) {
    onKey(`g ${key}`, `Go to ${title}`, () => location.assign(href));
    addEntries({ title, note: "page", keys: `g ${key}`, href });
  }
  onKey("Ctrl+K", "Search and do", openPalette);
  onKey("t", "Change the theme", nextTheme);
  onKey("?", "Show the keys", showKeys);
  addEntries(
    { title: "Change the theme", keys: "t", run: nextTheme },
    { title: "Show the keys", keys: "?", run: showKeys },
  );
  addProvider(findRuns);
  onState((state) => {
    by("live").dataset.state = state;
    by("live").textContent = LIVE[state];
  });
}

/** Finds runs by number or by name, for the palette. */
async function findRuns(query) {
  const [, number] = /^(?:run-)?(\d+)$/.exec(query) ?? [];
  if (number) return [{ title: `run-${number}`, note: "run", href: `/runs/run-${number}` }];
  if (query.length < 2 || /['%_]/.test(query)) return [];
  const filter = `name ILIKE '%${query}%'`;
  const { rows } = await get(url("/api/runs", { filter, count: 8, columns: "started" }));
  return rows.run.map((run, at) => ({
    title: visible(rows.name[at]), note: `run-${run}`, href: `/runs/run-${run}`,
  }));
}

async function mount() {
  const main = by("main");
  try {
    const page = await import(`../pages/${document.documentElement.dataset.page}.js`);
    await page.mount(main);
  } catch (error) {
    console.error(error);
    fill(main, h("div", { class: "notice bad" }, h("h1", null, "This page failed to load"),
      h("p", null, error.message), error.hint && h("p", null, error.hint)));
  }
  main.ariaBusy = "false";
}

/** Sends the addresses that MLflow's clients print to the pages of this dashboard. */
function redirectMlflow() {
  const match = /^#\/experiments\/([^/?]+)(?:\/runs\/([^/?]+))?/.exec(location.hash);
  if (location.pathname !== "/" || !match) return false;
  const [, experiment, run] = match;
  location.replace(run ? `/runs/${run}` : `/runs?experiment=${experiment}`);
  return true;
}

if (!redirectMlflow()) {
  start();
  mount();
}
