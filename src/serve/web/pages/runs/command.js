// The command that prints what the table shows.

/**
 * Returns the words of the command.
 *
 * @param {object} view
 * @returns {string[]}
 */
export function commandOf(view) {
  const words = ["repro", "runs", "list"];
  const add = (option, value) => value && words.push(option, value);
  add("--filter", view.filter);
  // Best values and curves exist on the page only.
  const isField = (key) => !/^(?:best|min|max|curve):/.test(key);
  add("--sort", view.sort.filter(isField).join(","));
  const columns = view.cols.filter((key) => isField(key) && key !== "tags");
  if (columns.length > 0) add("--columns", ["run", "status", ...columns].join(","));
  if (view.tree === "1") words.push("--tree");
  if (view.deleted) words.push("--deleted");
  return words;
}
