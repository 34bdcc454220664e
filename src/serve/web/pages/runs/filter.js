// The box of the filter, with completion.

import { get, url } from "../../lib/api.js";
import { fill, h } from "../../lib/dom.js";
import { visible } from "../../lib/format.js";
import { fit } from "../../lib/palette.js";
import { complete, fieldText, operatorsOf, placeIn } from "./completion.js";

const MOST_SHOWN = 12;

/**
 * Creates the box.
 *
 * @param {{names: () => Promise<object>, apply: (filter: string) => void}} options  `names` are
 *   those of all fields
 */
export function filterBox({ names, apply }) {
  let shown = [];
  let chosen = -1;
  let asked = 0;
  const values = new Map();
  const list = h("ul", {
    id: "completions", role: "listbox", ariaLabel: "Completions", hidden: true,
  });
  const input = h("input", {
    type: "search", id: "filter", role: "combobox", autocomplete: "off", spellcheck: false,
    ariaLabel: "Filter", placeholder: "Filter: metrics.accuracy > 0.7 and status = 'ok'",
    "aria-controls": list.id, "aria-expanded": "false", "aria-autocomplete": "list",
    "aria-describedby": "filter-error",
  });
  const error = h("p", { id: "filter-error", class: "filter-error", role: "alert" });
  const box = h("div", { class: "filter-box" }, input, list);

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    chosen = -1;
  };

  async function suggest() {
    const ticket = (asked += 1);
    const place = placeIn(input.value.slice(0, input.selectionStart ?? input.value.length));
    const found = await candidates(place, names, values).catch(() => []);
    if (ticket !== asked || document.activeElement !== input) return;
    shown = best(found, place.typed).map((text) => ({ text, place }));
    chosen = -1;
    const isDone = shown.length === 0 || (shown.length === 1 && shown[0].text === place.typed);
    if (isDone) {
      close();
      return;
    }
    fill(list, shown.map(({ text }, at) => h("li", {
      id: `completion-${at}`, role: "option", "aria-selected": "false",
      onmousedown: (event) => {
        event.preventDefault();
        accept(at);
      },
    }, visible(text))));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  }

  function mark(at) {
    chosen = (at + shown.length) % shown.length;
    [...list.children].forEach((item, i) =>
      item.setAttribute("aria-selected", String(i === chosen)));
    list.children[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", `completion-${chosen}`);
  }

  function accept(at) {
    const { text, place } = shown[at];
    const result = complete(input.value, input.selectionStart ?? input.value.length, place, text);
    input.value = result.text;
    input.setSelectionRange(result.cursor, result.cursor);
    close();
    suggest();
  }

  input.addEventListener("input", suggest);
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", () => {
    asked += 1;
    close();
  });
  input.addEventListener("change", () => apply(input.value.trim()));
  input.addEventListener("keydown", (event) => {
    const isOpen = !list.hidden;
    if (isOpen && event.key === "ArrowDown") mark(chosen + 1);
    else if (isOpen && event.key === "ArrowUp") mark(chosen < 0 ? -1 : chosen - 1);
    else if (isOpen && event.key === "Tab" && !event.shiftKey) accept(Math.max(chosen, 0));
    else if (event.key === "Enter" && isOpen && chosen >= 0) accept(chosen);
    else if (event.key === "Enter") {
      close();
      apply(input.value.trim());
    } else if (event.key === "Escape" && isOpen) close();
    else if (event.key === "Escape") input.blur();
    else return;
    event.preventDefault();
  });

  return {
    element: box,
    error,
    focus: () => input.focus(),
    setText(text) {
      if (document.activeElement !== input) input.value = text;
    },
    setError(message) {
      error.textContent = message ?? "";
      input.setAttribute("aria-invalid", String(Boolean(message)));
    },
  };
}

/** Orders candidates by how well they fit; those that do not are left out. */
function best(candidates, typed) {
  if (typed === "") return candidates.slice(0, MOST_SHOWN);
  const plain = typed.replace(/^['"`]/, "");
  const scored = candidates.map((text) => ({ text, score: fit(text.replace(/^['"]/, ""), plain) }));
  return scored.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score)
    .slice(0, MOST_SHOWN).map(({ text }) => text);
}

async function candidates(place, names, values) {
  switch (place.kind) {
    case "field": return fields(await names());
    case "operator": return operatorsOf(place.field);
    case "and": return ["and"];
    default: {
      const { field } = place;
      if (/^metrics?\./.test(field) || !fields(await names()).includes(field)) return [];
      if (!values.has(field)) values.set(field, await get(url("/api/runs/values", { field })));
      return values.get(field);
    }
  }
}

function fields(names) {
  return [
    ...names.attributes,
    ...names.metrics.map(({ name }) => fieldText("metrics.", name)),
    ...names.params.map((name) => fieldText("params.", name)),
    ...names.tags.map((name) => fieldText("tags.", name)),
  ];
}
