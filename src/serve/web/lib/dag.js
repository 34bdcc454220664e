// A graph that the server drew: zoom, pan, and arrow keys along its edges.

import { h } from "./dom.js";

// Pages without a graph do not load it.
document.head.append(h("link", { rel: "stylesheet", href: "/assets/lib/dag.css" }));

/** Bounds of the scale, and the factor of a step. */
const SCALES = { least: 0.08, most: 2.5, step: 1.25 };
/** Scale below which texts cannot be read: a graph that is larger does not begin as a whole. */
const READABLE = 0.62;
/** Space around the graph in its box, in pixels of the screen. */
const PADDING = 20;
/** Distance in pixels after which a press is a drag and no click. */
const DRAG = 4;

/**
 * Creates the box of a graph.
 *
 * @param {object} options
 * @param {(id: string | null) => void} [options.onLook]  the box under the pointer or with the
 *   focus, else `null`
 * @returns {{
 *   element: HTMLElement,
 *   show: (svg: string) => void,
 *   choose: (id: string | null) => void,
 *   setDetail: (id: string, text: string) => void,
 *   fit: () => void,
 *   zoom: (factor: number) => void,
 * }}  `show` changes only what differs, and keeps the view and the focus
 */
export function diagram({ onLook = () => {} } = {}) {
  const tools = h("div", { class: "dag-tools" },
    tool("−", "Zoom out (-)", () => view.zoom(1 / SCALES.step)),
    tool("+", "Zoom in (+)", () => view.zoom(SCALES.step)),
    tool("⤢", "Show the whole graph (0)", () => view.fit()));
  const box = h("div", { class: "dag-box" }, tools);
  const view = viewOf(box);
  let texts = new Map();

  function show(source) {
    const next = parse(source);
    if (!next) return;
    const old = view.svg();
    const isSame = old && outline(old) === outline(next);
    const fresh = textsOf(next);
    if (isSame) {
      for (const [id, node] of nodesOf(old)) {
        if (fresh.get(id) !== texts.get(id)) replaceNode(node, nodesOf(next).get(id));
      }
    } else {
      const focused = old?.querySelector(".node:focus")?.dataset.id;
      old?.remove();
      box.prepend(next);
      view.attach(next, Boolean(old));
      if (focused) nodesOf(next).get(focused)?.focus({ preventScroll: true });
    }
    texts = fresh;
  }

  const look = (event) => {
    const node = event.target.closest?.(".node");
    light(view.svg(), node?.dataset.id ?? null);
    onLook(node?.dataset.id ?? null);
  };
  box.addEventListener("pointerover", look);
  box.addEventListener("pointerleave", () => {
    const focused = box.querySelector(".node:focus-visible")?.dataset.id ?? null;
    light(view.svg(), focused);
    onLook(focused);
  });
  box.addEventListener("focusin", (event) => {
    look(event);
    const node = event.target.closest(".node");
    if (node?.matches(":focus-visible")) view.reveal(node);
  });
  box.addEventListener("focusout", look);
  box.addEventListener("keydown", (event) => {
    const node = event.target.closest?.(".node");
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = neighbour(view.svg(), node, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  return {
    element: box,
    show,
    choose(id) {
      for (const [name, node] of nodesOf(view.svg())) {
        node.classList.toggle("is-chosen", name === id);
      }
    },
    setDetail(id, text) {
      const line = nodesOf(view.svg()).get(id)?.querySelector(".detail");
      if (line && line.textContent !== text) line.textContent = text;
    },
    fit: view.fit,
    zoom: view.zoom,
  };
}

const tool = (sign, name, run) =>
  h("button", { type: "button", class: "icon", ariaLabel: name, title: name, onclick: run }, sign);

/** Reads a document; `null` if it is none. */
function parse(source) {
  const parsed = new DOMParser().parseFromString(source, "image/svg+xml").documentElement;
  return parsed.localName === "svg" ? document.importNode(parsed, true) : null;
}

function nodesOf(svg) {
  const nodes = svg ? [...svg.querySelectorAll(".node")] : [];
  return new Map(nodes.map((node) => [node.dataset.id, node]));
}

const textsOf = (svg) =>
  new Map([...nodesOf(svg)].map(([id, node]) => [id, textOf(node)]));

const textOf = (element) => new XMLSerializer().serializeToString(element);

/** Returns all that a change of states leaves alone. */
const outline = (svg) => [svg.getAttribute("viewBox"), textOf(svg.querySelector(".edges")),
  ...[...svg.querySelectorAll(".node")].map((node) => node.dataset.id)].join("\n");

function replaceNode(node, next) {
  for (const { name, value } of next.attributes) {
    if (name !== "class") node.setAttribute(name, value);
  }
  node.replaceChildren(...next.childNodes);
}

/** Marks the edges of a box. */
function light(svg, id) {
  if (!svg) return;
  svg.classList.toggle("has-lit", id !== null);
  for (const edge of svg.querySelectorAll(".edge")) {
    edge.classList.toggle("is-lit", edge.dataset.from === id || edge.dataset.to === id);
  }
}

/** Returns the box to which an arrow key leads: along an edge, or to the next one in the row. */
function neighbour(svg, node, key) {
  const nodes = nodesOf(svg);
  const here = center(node);
  const ends = (from, to) => [...svg.querySelectorAll(".edge")]
    .filter((edge) => edge.dataset[from] === node.dataset.id)
    .map((edge) => nodes.get(edge.dataset[to]));
  const beside = (side) => [...nodes.values()].filter((other) => {
    const { x, y } = center(other);
    return Math.abs(y - here.y) < 24 && (x - here.x) * side > 0;
  });
  const found = {
    ArrowDown: () => ends("from", "to"),
    ArrowUp: () => ends("to", "from"),
    ArrowLeft: () => beside(-1),
    ArrowRight: () => beside(1),
  }[key]?.() ?? [];
  const distance = (other) => Math.hypot(center(other).x - here.x, center(other).y - here.y);
  return found.filter(Boolean).sort((a, b) => distance(a) - distance(b))[0] ?? null;
}

function center(node) {
  const { x, y, width, height } = node.querySelector("rect").getBBox();
  return { x: x + width / 2, y: y + height / 2 };
}

/** Handles the visible part: `x` and `y` of its corner in the graph, and pixels per unit. */
function viewOf(box) {
  let svg = null;
  let graph = { x: 0, y: 0, width: 1, height: 1 };
  let at = { x: 0, y: 0, scale: 1 };
  let isTouched = false;

  const size = () => ({ width: box.clientWidth || 1, height: box.clientHeight || 1 });
  const draw = () => {
    const { width, height } = size();
    svg?.setAttribute("viewBox", [at.x, at.y, width / at.scale, height / at.scale].join(" "));
  };
  const wholeScale = () => {
    const { width, height } = size();
    return Math.min((width - 2 * PADDING) / graph.width, (height - 2 * PADDING) / graph.height, 1);
  };
  const place = (scale) => {
    const { width, height } = size();
    const isHigh = graph.height * scale > height;
    at = {
      scale,
      x: graph.x + graph.width / 2 - width / scale / 2,
      y: isHigh ? graph.y - PADDING / scale : graph.y + graph.height / 2 - height / scale / 2,
    };
    draw();
  };
  const zoomAt = (factor, px, py) => {
    const scale = Math.min(Math.max(at.scale * factor, SCALES.least), SCALES.most);
    at = { scale, x: at.x + px / at.scale - px / scale, y: at.y + py / at.scale - py / scale };
    isTouched = true;
    draw();
  };
  const pan = (dx, dy) => {
    at = { ...at, x: at.x - dx / at.scale, y: at.y - dy / at.scale };
    isTouched = true;
    draw();
  };

  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    const { left, top } = box.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      const factor = Math.exp(-event.deltaY * unit * 0.004);
      zoomAt(factor, event.clientX - left, event.clientY - top);
    } else if (event.shiftKey) pan(-event.deltaY * unit, 0);
    else pan(-event.deltaX * unit, -event.deltaY * unit);
  }, { passive: false });
  drag(box, pan, zoomAt);
  new ResizeObserver(() => (isTouched ? draw() : place(Math.max(wholeScale(), READABLE))))
    .observe(box);

  return {
    svg: () => svg,
    attach(next, keepsView) {
      svg = next;
      const [x, y, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
      graph = { x, y, width, height };
      svg.removeAttribute("width");
      svg.removeAttribute("height");
      if (keepsView && isTouched) draw();
      else place(Math.max(wholeScale(), READABLE));
    },
    fit() {
      place(wholeScale());
      isTouched = false;
    },
    zoom(factor) {
      const { width, height } = size();
      zoomAt(factor, width / 2, height / 2);
    },
    reveal(node) {
      const { x, y } = center(node);
      const { width, height } = size();
      const [px, py] = [(x - at.x) * at.scale, (y - at.y) * at.scale];
      const beyond = (p, most) => Math.min(p - 120, 0) || Math.max(p - (most - 120), 0);
      const [dx, dy] = [beyond(px, width), beyond(py, height)];
      if (dx || dy) pan(-dx, -dy);
    },
  };
}

/** Follows the pointer: one pans, two zoom. A press that moved is no click. */
function drag(box, pan, zoomAt) {
  const pointers = new Map();
  let moved = 0;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest(".dag-tools")) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 1) moved = 0;
  });
  box.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    moved += Math.hypot(dx, dy);
    if (moved < DRAG) return;
    if (!box.hasPointerCapture(event.pointerId)) box.setPointerCapture(event.pointerId);
    box.classList.add("is-dragged");
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const { left, top } = box.getBoundingClientRect();
      const distance = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      zoomAt(distance(now) / distance(before), other.x - left, other.y - top);
    } else pan(dx, dy);
    pointers.set(event.pointerId, now);
  });
  const end = (event) => {
    pointers.delete(event.pointerId);
    if (pointers.size === 0) box.classList.remove("is-dragged");
  };
  box.addEventListener("pointerup", end);
  box.addEventListener("pointercancel", end);
  box.addEventListener("click", (event) => {
    if (moved >= DRAG) event.preventDefault();
  }, true);
  box.addEventListener("dragstart", (event) => event.preventDefault());
}
