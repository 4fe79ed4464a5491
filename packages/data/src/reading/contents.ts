/** What a file of rows holds: by its name; and content that its first bytes give away as something else. */
import { UserError } from "../user-error.js";

export type Content = "jsonl" | "json" | "csv" | "parquet";

const byEnding: Readonly<Record<string, Content>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  csv: "csv",
  tsv: "csv",
  parquet: "parquet",
};

/** The content that a name promises, in .gz or .zst too; undefined where it promises none. */
export function contentOf(path: string): Content | undefined {
  const ending = /\.([a-z]+)(?:\.(?:gz|zst))?$/.exec(path.toLowerCase())?.[1];
  return ending === undefined ? undefined : byEnding[ending];
}

/** Formats whose first bytes no JSON and no CSV has, and what to do about them. */
const others: readonly (readonly [start: string, name: string, remedy: string])[] = [
  ["1f8b", "gzip", "Name it .jsonl.gz (.csv.gz, .json.gz), or unpack it (gunzip)."],
  ["28b52ffd", "zstd", "Name it .jsonl.zst (.csv.zst, .json.zst), or unpack it (zstd -d)."],
  ["fd377a585a00", "xz", "Unpack it (xz -d)."],
  ["425a68", "bzip2", "Unpack it (bunzip2)."],
  ["04224d18", "lz4", "Unpack it (lz4 -d)."],
  ["504b0304", "a zip archive", "Unpack it and name the file inside it."],
  ["377abcaf271c", "a 7z archive", "Unpack it and name the file inside it."],
  ["50415231", "Parquet", "Name it .parquet."],
  ["4152524f5731", "Arrow", "Convert it to Parquet: datasets' to_parquet writes it."],
  ["ffffffff", "an Arrow stream", "Convert it to Parquet: datasets' to_parquet writes it."],
  ["4f626a01", "Avro", "Convert it to JSON Lines or Parquet."],
  ["53514c69746520666f726d6174", "an SQLite database", "Convert it to JSON Lines or Parquet."],
  ["89484446", "HDF5", "Convert it to JSON Lines or Parquet."],
  ["25504446", "a PDF", "Expected rows."],
  ...["8002", "8003", "8004", "8005"].map(
    (start) =>
      [
        start,
        "a pickle",
        "Convert it to JSON Lines or Parquet; a pickle runs code when it is read.",
      ] as const,
  ),
];

/** UserError where a file of text begins as another format does. */
export function refuseOtherContent(path: string, chunk: Buffer): void {
  const start = chunk.subarray(0, 16).toString("hex");
  if (path.endsWith(".gz") && start.startsWith("1f8b")) return;
  if (path.endsWith(".zst") && (start.startsWith("28b52ffd") || /^5.2a4d18/.test(start))) return;
  const found = others.find(([bytes]) => start.startsWith(bytes));
  if (found === undefined) return;
  const expected = { json: "JSON", csv: "CSV", jsonl: "JSON Lines", parquet: "Parquet" }[
    contentOf(path) ?? "jsonl"
  ];
  throw new UserError(
    "unreadable_file",
    `${path} is ${found[1]}, not ${expected}, as its first bytes say. ${found[2]}`,
  );
}
