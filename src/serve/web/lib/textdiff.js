// Differences of texts, line by line.

/** Number of pairs of lines above which everything between the equal ends counts as changed. */
const MOST_PAIRS = 4_000_000;

/**
 * Finds the shortest way from one list of lines to another.
 *
 * @param {string[]} before
 * @param {string[]} after
 * @returns {{mark: " " | "-" | "+", text: string}[]}
 */
export function diffLines(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let [a, b] = [before.length, after.length];
  while (a > start && b > start && before[a - 1] === after[b - 1]) [a, b] = [a - 1, b - 1];
  const line = (mark) => (text) => ({ mark, text });
  return [
    ...before.slice(0, start).map(line(" ")),
    ...between(before.slice(start, a), after.slice(start, b)),
    ...before.slice(a).map(line(" ")),
  ];
}

/** Differences by the longest common subsequence. */
function between(before, after) {
  const changes = [];
  const [n, m] = [before.length, after.length];
  const isSmall = n * m <= MOST_PAIRS;
  const lengths = new Uint32Array(isSmall ? (n + 1) * (m + 1) : 0);
  const at = (i, j) => i * (m + 1) + j;
  for (let i = n - 1; i >= 0 && isSmall; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      lengths[at(i, j)] = before[i] === after[j] ? lengths[at(i + 1, j + 1)] + 1
        : Math.max(lengths[at(i + 1, j)], lengths[at(i, j + 1)]);
    }
  }
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    if (isSmall && i < n && j < m && before[i] === after[j]) {
      changes.push({ mark: " ", text: before[i] });
      [i, j] = [i + 1, j + 1];
    } else if (i < n && (!isSmall || j >= m || lengths[at(i + 1, j)] >= lengths[at(i, j + 1)])) {
      changes.push({ mark: "-", text: before[i] });
      i += 1;
    } else {
      changes.push({ mark: "+", text: after[j] });
      j += 1;
    }
  }
  return changes;
}

/**
 * Splits a line into what it has in common with another at its start, what differs, and what it
 * has in common at its end.
 *
 * @param {string} text
 * @param {string} other
 */
export function marked(text, other) {
  const most = Math.min(text.length, other.length);
  let start = 0;
  while (start < most && text[start] === other[start]) start += 1;
  let end = 0;
  while (end < most - start && text.at(-1 - end) === other.at(-1 - end)) end += 1;
  return [text.slice(0, start), text.slice(start, text.length - end), text.slice(text.length - end)];
}
