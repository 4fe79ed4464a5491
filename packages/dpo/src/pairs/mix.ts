// Pairs from other files, mixed in: rows in any form that training reads, made into the columns of ours.
import {
  createRecordIds,
  dataDigest,
  isJsonObject,
  parsePreferenceRow,
  permutation,
  placeText,
  readRows,
  UserError,
} from "@posttrain/data";
import { PAIR_SCHEMA } from "./pair.js";
import { wrongRow } from "./queries.js";

/** A file, and how much of it: a share of its rows, or so many. */
interface Mixed {
  readonly path: string;
  readonly share: number | undefined;
  readonly rows: number | undefined;
}

/** FILE, FILE=0.5 (a share), FILE=1000 (rows); as open-instruct's mixer, 1.0 is a share and 1 is a row. UserError `bad_option`. */
export function parseMixed(text: string): Mixed {
  const [, path = text, amount] = /^(.*)=([^=/]*)$/.exec(text) ?? [];
  if (amount === undefined) return { path, share: 1, rows: undefined };
  const value = /^\d+(\.\d+)?$/.test(amount) ? Number(amount) : Number.NaN;
  if (amount.includes(".") && value <= 1) return { path, share: value, rows: undefined };
  if (!amount.includes(".") && value >= 0) return { path, share: undefined, rows: value };
  throw new UserError(
    "bad_option",
    `mix is ${JSON.stringify(text)}: expected a file, FILE=0.5 for a share of its rows up to 1.0, or FILE=1000 for so many.`,
  );
}

export interface MixedRows {
  readonly rows: readonly object[];
  readonly mixed: readonly { readonly file: string; readonly of: number; readonly taken: number }[];
}

/**
 * The rows that are mixed in, which the seed draws, in the order of their files. Rows of `posttrain dpo pairs` stay as they are; of others
 * the evidence is where they stand. UserError naming file, line and field for rows that are no pair, and for files with too few.
 */
export async function readMixed(files: readonly string[], seed: number): Promise<MixedRows> {
  const rows: object[] = [];
  const mixed: MixedRows["mixed"][number][] = [];
  for (const [place, text] of files.entries()) {
    const { path, share, rows: wanted } = parseMixed(text);
    const own = await readPairs(path);
    const count = wanted ?? Math.round(share! * own.length);
    if (count > own.length) {
      throw new UserError(
        "bad_option",
        `mix asks for ${count} rows of ${path}, which has ${own.length}. Lower the number.`,
      );
    }
    const taken = [...permutation(seed, "dataBuilding", place, own.length).slice(0, count)].sort(
      (a, b) => a - b,
    );
    for (const row of taken) rows.push(own[row]!);
    mixed.push({ file: path, of: own.length, taken: count });
  }
  return { rows, mixed };
}

async function readPairs(path: string): Promise<readonly object[]> {
  const sourceId = createRecordIds();
  const recordId = createRecordIds();
  const source = { file: path, file_sha256: await dataDigest(path) };
  const rows: object[] = [];
  for await (const { line, place, value } of readRows(path)) {
    if (!isJsonObject(value)) throw wrongRow(place, value);
    const parent = sourceId(value);
    const parsed = parsePreferenceRow(value, place);
    if (value["schema"] === PAIR_SCHEMA) {
      rows.push(value);
      continue;
    }
    if (parsed.kind === "tokens") {
      throw new UserError(
        "bad_row",
        `${placeText(place)}: it has tokens, which belong to one tokenizer. Mix in rows of text or messages.`,
      );
    }
    const { prompt, chosen, rejected, margin } = parsed;
    const tools = parsed.kind === "messages" ? parsed.tools : undefined;
    const content = {
      schema: PAIR_SCHEMA,
      ...(prompt !== undefined && { prompt }),
      ...{ chosen, rejected },
      ...(tools !== undefined && { tools }),
      ...(margin !== undefined && { margin }),
    };
    rows.push({
      ...content,
      id: recordId(content),
      parents: [parent],
      evidence: { source: { ...source, line } },
    });
  }
  return rows;
}
