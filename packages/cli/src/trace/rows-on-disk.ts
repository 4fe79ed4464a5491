// Rows below folders by their ids: where each stands, and which rows it names as its parents. An id is what a row says of itself or, where it says nothing, the SHA-256 of its canonical JSON.
import { readdir, stat } from "node:fs/promises";
import { join, normalize } from "node:path";
import { createRecordIds, isJsonObject, readRows, UserError } from "@posttrain/data";

export interface Place {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly row: Readonly<Record<string, unknown>>;
  readonly parents: readonly string[];
}

export interface RowsOnDisk {
  readonly files: readonly string[];
  /** Where a row stands that has this id, or one that begins so. */
  find(id: string): readonly Place[];
}

const rowId = /^[0-9a-f]{64}(#\d+)?$/;
/** Logs of runs and lists of their rows, which hold no rows themselves. */
const isLog =
  /(^|\/)(metrics|steps|trainer_log|rows|rejects|prompts|reference|journal|replies)\.jsonl$|\/(rollouts|episodes)\//;

export async function rowsBelow(
  paths: readonly string[],
  onFile: (file: string) => void,
): Promise<RowsOnDisk> {
  const files = (await Promise.all(paths.map(filesBelow))).flat();
  const byId = new Map<string, Place[]>();
  for (const file of new Set(files)) {
    onFile(file);
    for (const place of await rowsOf(file)) byId.set(place.id, [...(byId.get(place.id) ?? []), place]);
  }
  return {
    files,
    find: (id) => {
      const whole = byId.get(id);
      if (whole !== undefined || rowId.test(id)) return whole ?? [];
      return [...byId].filter(([key]) => key.startsWith(id)).flatMap(([, places]) => places);
    },
  };
}

async function filesBelow(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      "missing_file",
      `${path} does not exist (${error.code}). --search names files, and folders with files of rows.`,
      { cause: error },
    );
  });
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  const below = entries
    .filter(({ name }) => !name.startsWith(".") && name !== "node_modules")
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry) => {
      const inside = join(path, entry.name);
      if (entry.isDirectory()) return filesBelow(inside);
      return Promise.resolve(/\.jsonl(\.gz)?$/.test(entry.name) && !isLog.test(inside) ? [inside] : []);
    });
  return (await Promise.all(below)).flat();
}

/** Rows of a file; lines that are none are passed over. */
export async function rowsOf(file: string): Promise<readonly Place[]> {
  const recordId = createRecordIds();
  const places: Place[] = [];
  try {
    for await (const { line, value } of readRows(file, { onBadRow: () => undefined })) {
      if (!isJsonObject(value)) continue;
      const row = value as Readonly<Record<string, unknown>>;
      const own = recordId(row);
      const said = row["id"];
      const { parents } = row;
      places.push({
        ...{ file: normalize(file), line, row },
        id: typeof said === "string" && rowId.test(said) ? said : own,
        parents: Array.isArray(parents) ? parents.filter((one) => typeof one === "string") : [],
      });
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  return places;
}
