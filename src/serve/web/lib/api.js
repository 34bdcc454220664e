// Requests to the server. A `get` whose answer did not change returns the same object again, so
// that a page can leave alone what it shows.

/** An answer that is an error; `message` begins with the fact, `hint` holds the remedy. */
export class ApiError extends Error {
  /**
   * @param {number} status  0 if the server did not answer
   * @param {string} code
   * @param {string} message
   * @param {string | null} [hint]
   */
  constructor(status, code, message, hint = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** Number of answers that are remembered. */
const REMEMBERED = 40;
/** @type {Map<string, {etag: string, value: any}>} */
const answers = new Map();

/**
 * Fetches JSON.
 *
 * @param {string} path  `/api/runs?count=50`
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<any>}  the same object as the last time if it did not change
 * @throws {ApiError}
 */
export async function get(path, { signal } = {}) {
  const known = answers.get(path);
  const headers = known ? { "if-none-match": known.etag } : {};
  const response = await request(path, { headers, signal });
  if (response.status === 304 && known) return known.value;
  const value = await read(response);
  const etag = response.headers.get("etag");
  answers.delete(path);
  if (etag) answers.set(path, { etag, value });
  if (answers.size > REMEMBERED) answers.delete(answers.keys().next().value);
  return value;
}

/**
 * Fetches a text.
 *
 * @param {string} path
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<string>}
 * @throws {ApiError}
 */
export async function getText(path, { signal } = {}) {
  const response = await request(path, { signal });
  if (!response.ok) await read(response);
  return response.text();
}

/**
 * Fetches bytes.
 *
 * @param {string} path
 * @returns {Promise<ArrayBuffer>}
 * @throws {ApiError}
 */
export async function getBytes(path) {
  const response = await request(path, {});
  if (!response.ok) await read(response);
  return response.arrayBuffer();
}

/**
 * Sends an edit.
 *
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 * @throws {ApiError}
 */
export async function post(path, body) {
  const headers = { "content-type": "application/json" };
  return read(await request(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

/**
 * Builds the query of a path; values that are `null`, `undefined` or empty are left out.
 *
 * @param {string} path
 * @param {Record<string, any>} values  a list repeats its key
 */
export function url(path, values) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    for (const one of [value].flat()) {
      if (one !== null && one !== undefined && one !== "") query.append(key, String(one));
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Reports whether an error only means that a newer request took the place of this one. */
export const isAborted = (error) => error?.name === "AbortError";

async function request(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new ApiError(0, "UNREACHABLE", "the server does not answer", "is `repro ui` running?");
  }
}

async function read(response) {
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError(response.status, "INVALID", "the answer is not JSON");
  }
  if (response.ok) return value;
  const message = value?.message ?? `the server answered ${response.status}`;
  throw new ApiError(response.status, value?.error_code ?? "ERROR", message, value?.hint ?? null);
}
