// Changes that the server announces. Only a visible page holds the connection: browsers allow six
// connections per server, and many pages may be open.

/** @typedef {"connecting" | "live" | "lost" | "paused"} LiveState */

const listeners = { store: new Set(), workspace: new Set(), state: new Set() };
/** @type {EventSource | null} */
let source = null;
/** @type {LiveState} */
let state = "connecting";

/**
 * Calls `fn` when runs changed.
 *
 * @param {(change: {revision: number}) => void} fn
 * @returns {() => void}  ends it
 */
export const onStore = (fn) => listen("store", fn);

/**
 * Calls `fn` when `pipeline.toml`, the lock or a dep changed.
 *
 * @param {(change: any) => void} fn
 * @returns {() => void}  ends it
 */
export const onWorkspace = (fn) => listen("workspace", fn);

/**
 * Calls `fn` with the state of the connection, now and when it changes.
 *
 * @param {(state: LiveState) => void} fn
 * @returns {() => void}  ends it
 */
export function onState(fn) {
  fn(state);
  return listen("state", fn);
}

function listen(kind, fn) {
  listeners[kind].add(fn);
  open();
  return () => listeners[kind].delete(fn);
}

function tell(kind, value) {
  for (const fn of listeners[kind]) fn(value);
}

function setState(next) {
  if (state === next) return;
  state = next;
  tell("state", state);
}

function open() {
  if (source || document.hidden) return;
  source = new EventSource("/api/events");
  source.addEventListener("open", () => {
    // Changes may have been missed.
    if (state === "lost" || state === "paused") {
      tell("store", { revision: -1 });
      tell("workspace", {});
    }
    setState("live");
  });
  source.addEventListener("error", () => setState("lost"));
  for (const kind of ["store", "workspace"]) {
    source.addEventListener(kind, (event) => tell(kind, parse(event.data)));
  }
}

function parse(text) {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return {};
  }
}

function close() {
  source?.close();
  source = null;
  setState("paused");
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
// A page that waits in the cache of the browser, for Back, must not hold a connection.
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());
