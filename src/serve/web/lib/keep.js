// Parts of a page that stay while their data are equal: focus, selection and scroll are left alone.

/**
 * Creates a function that builds a part, or returns the one that it built before from equal data.
 *
 * @returns {(key: string, data: any, build: () => any) => any}
 */
export function keeper() {
  const kept = new Map();
  return (key, data, build) => {
    const text = JSON.stringify(data);
    const known = kept.get(key);
    if (known?.text === text) return known.part;
    const part = build();
    kept.set(key, { text, part });
    return part;
  };
}

/**
 * Replaces the children of an element, unless they are the same.
 *
 * @template {Element} T
 * @param {T} element
 * @param {...any} children  elements, or lists of them; empty ones are left out
 * @returns {T}
 */
export function settle(element, ...children) {
  const next = children.flat(Infinity).filter((child) => child instanceof Node);
  const isSame = next.length === element.childNodes.length
    && next.every((child, at) => child === element.childNodes[at]);
  if (!isSame) element.replaceChildren(...next);
  return element;
}
