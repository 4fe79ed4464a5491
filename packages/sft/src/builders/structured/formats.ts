// A table as text: CSV, JSON, Markdown, HTML.
import { cellText, type Table } from "./table.js";

export const tableFormats = ["CSV", "JSON", "Markdown", "HTML"] as const;
export type TableFormat = (typeof tableFormats)[number];

export function tableText(table: Pick<Table, "columns" | "rows">, format: TableFormat): string {
  const { columns } = table;
  const header = columns.map(({ name }) => name);
  const rows = table.rows.map((row) => row.map((cell, i) => cellText(cell, columns[i]!)));
  return writers[format](
    header,
    rows,
    columns.map(({ type }) => type !== "text"),
  );
}

/** In a block of its own, as in a message. */
export const fenced = (table: Pick<Table, "columns" | "rows">, format: TableFormat): string =>
  `\`\`\`${format.toLowerCase()}\n${tableText(table, format)}\n\`\`\``;

type Writer = (
  header: readonly string[],
  rows: readonly (readonly string[])[],
  isNumber: readonly boolean[],
) => string;

const writers: Readonly<Record<TableFormat, Writer>> = {
  CSV: (header, rows) => [header, ...rows].map((cells) => cells.map(csvCell).join(",")).join("\n"),
  JSON: (header, rows, isNumber) => {
    const object = (cells: readonly string[]): string =>
      `{${cells.map((cell, i) => `${JSON.stringify(header[i])}: ${isNumber[i] ? cell : JSON.stringify(cell)}`).join(", ")}}`;
    return `[\n${rows.map((cells) => `  ${object(cells)}`).join(",\n")}\n]`;
  },
  Markdown: (header, rows) =>
    [header, header.map(() => "---"), ...rows]
      .map((cells) => `| ${cells.map(markdownCell).join(" | ")} |`)
      .join("\n"),
  HTML: (header, rows) => {
    const line = (cells: readonly string[], tag: string): string =>
      `  <tr>${cells.map((cell) => `<${tag}>${htmlText(cell)}</${tag}>`).join("")}</tr>`;
    return `<table>\n${[line(header, "th"), ...rows.map((cells) => line(cells, "td"))].join("\n")}\n</table>`;
  },
};

const csvCell = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const markdownCell = (text: string): string => text.replaceAll("|", "\\|");
const htmlText = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
