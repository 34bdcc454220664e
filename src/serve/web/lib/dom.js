// Builds elements. Texts become text nodes: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Creates an element.
 *
 * A property that begins with `on` is a listener, `class` is the class, `data` holds data
 * attributes, `vars` holds custom properties of CSS. Others are set as properties if the element
 * has them, else as attributes; `null`, `undefined` and `false` are left out.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...any} children  elements, texts, numbers, or lists of them; empty ones are left out
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) setProperty(element, key, value);
  element.append(...present(children));
  return element;
}

/**
 * Creates an element of SVG, whose properties are attributes.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...any} children
 * @returns {SVGElement}
 */
export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (isAbsent(value)) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/**
 * Replaces the children of an element.
 *
 * @template {Element} T
 * @param {T} element
 * @param {...any} children
 * @returns {T}
 */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/**
 * Changes a text only if it differs, so that selections and screen readers are left in peace.
 *
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Returns the computed value of a token of `base.css`, for canvases.
 *
 * @param {string} name  `--series-1`
 */
export function token(name) {
  probe ??= document.body.appendChild(h("span", { hidden: true }));
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
let probe = null;

function setProperty(element, key, value) {
  if (isAbsent(value)) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "class") element.className = value;
  else if (key === "data") Object.assign(element.dataset, value);
  else if (key === "vars") setVariables(element, value);
  else if (key in element && key !== "list") element[key] = value;
  else element.setAttribute(key, value === true ? "" : String(value));
}

function setVariables(element, values) {
  for (const [name, value] of Object.entries(values)) element.style.setProperty(name, value);
}

const isAbsent = (value) => value === null || value === undefined || value === false;

const present = (children) => children.flat(Infinity).filter((child) => !isAbsent(child))
  .map((child) => (child instanceof Node ? child : String(child)));
