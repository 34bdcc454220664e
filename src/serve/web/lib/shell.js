// Fills the frame of a page: theme, keys, palette, live mark. Then mounts the page's own module.

import { fill, h } from "./dom.js";
import { onKey, showKeys } from "./keys.js";
import { onState } from "./live.js";
import { addEntries, openPalette } from "./palette.js";
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
  onState((state) => {
    by("live").dataset.state = state;
    by("live").textContent = LIVE[state];
  });
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
