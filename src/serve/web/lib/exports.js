// Tables as texts: Markdown, CSV, LaTeX.

/**
 * Formats a table as Markdown.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 * @param {boolean[]} [isNumber]  columns that are aligned at the right
 */
export function markdown(head, rows, isNumber = []) {
  const cell = (text) => text.replaceAll("\\", "\\\\").replaceAll("|", "\\|")
    .replaceAll("\n", " ").replace(/[<*_`[\]]/g, "\\$&");
  const line = (cells) => `| ${cells.map(cell).join(" | ")} |`;
  const rule = `|${head.map((_, at) => (isNumber[at] ? " ---: |" : " --- |")).join("")}`;
  return [line(head), rule, ...rows.map(line), ""].join("\n");
}

/**
 * Formats a table as CSV.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function csv(head, rows) {
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [head, ...rows].map((cells) => `${cells.map(cell).join(",")}\n`).join("");
}

/**
 * Formats a table as LaTeX, for the package `booktabs`.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 * @param {boolean[]} [isNumber]  columns that are aligned at the right
 */
export function latex(head, rows, isNumber = []) {
  const line = (cells) => `  ${cells.map(escapeLatex).join(" & ")} \\\\`;
  const columns = head.map((_, at) => (isNumber[at] ? "r" : "l")).join("");
  return [
    `\\begin{tabular}{${columns}}`, "  \\toprule", line(head), "  \\midrule",
    ...rows.map(line), "  \\bottomrule", "\\end{tabular}", "",
  ].join("\n");
}

const LATEX = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
  "−": "$-$", "±": "$\\pm$", "∞": "$\\infty$", "–": "--", "\n": " ",
};
const escapeLatex = (text) =>
  text.replace(/[\\~^−±∞–\n]|[&%$#_{}]/g, (char) => LATEX[char] ?? `\\${char}`);
