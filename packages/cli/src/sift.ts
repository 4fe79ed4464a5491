// What the commands do that take rows out of data: rows that stay go into a new file, those that do not beside it, each with its reason.
import {
  type DataRow,
  placeText,
  type RowPlace,
  readRows,
  textsOf,
  UserError,
  wholeText,
} from "@posttrain/data";
import { z } from "zod";
import { namingOf, namingOptions } from "./data-naming.js";
import { count, percent, plural } from "./format.js";
import type { Output } from "./output.js";
import { watchReading } from "./reading.js";
import { openResultFile } from "./result-file.js";
import { openRowFile } from "./row-file.js";

export const siftOptions = {
  data: z
    .string()
    .describe(
      "rows: a file (JSONL, JSON, CSV, Parquet; .gz, .zst), files, a folder, FOLDER:SPLIT, a glob, FOLDER:NAME of dataset_info.json",
    ),
  output: z
    .string()
    .describe("new file of the rows that stay: .parquet, else JSONL; the others go into OUTPUT.removed"),
  ...namingOptions,
};
type SiftOptions = z.output<z.ZodObject<typeof siftOptions>>;

/** Said in the notes of each command. */
export const siftNotes =
  'Rows that stay are not changed and keep their order. OUTPUT.removed has a line for each other row: {"file", "line", "reason", "why", "row"}. --json prints {"rows", "kept", "removed": {REASON: count}, "output", "removed_rows"}, and what is named here.';

/** Why a row goes. What else is known of it stands beside its row in the file. */
export interface Removal {
  readonly reason: string;
  readonly why: string;
  readonly [fact: string]: unknown;
}

export interface Sifting {
  /** Looks at all rows in order: removals by the number of the row, from 0. */
  readonly decide: (rows: AsyncIterable<DataRow>) => Promise<ReadonlyMap<number, Removal>>;
  /** Rows that cannot be read are removed too, instead of ending with their error. */
  readonly takesBadRows?: boolean;
  /** What else is said and told, once all rows were looked at. */
  readonly tell?: () => object;
}

const SAMPLES = 3;
const SAMPLE_CHARACTERS = 120;

/** UserError of readers and writers; `changed_file`; `no_rows` where none would stay. */
export async function sift(
  options: SiftOptions,
  { decide, takesBadRows = false, tell = () => ({}) }: Sifting,
  output: Output,
): Promise<void> {
  const { data, output: path } = options;
  const naming = namingOf(options);
  const removedPath = `${path}.removed`;
  const reading = watchReading(output);
  const kept = await openRowFile(path);
  const removed = await openResultFile(removedPath).catch(async (error: unknown) => {
    await kept.discard();
    throw error;
  });
  const digests: string[] = [];
  type OnBad = (error: UserError, line: number, place: RowPlace) => void;
  const read = (onBad: OnBad): AsyncGenerator<DataRow> =>
    readRows(data, {
      naming,
      onProgress: reading.onProgress,
      onEnd: (digest) => digests.push(digest),
      ...(takesBadRows && { onBadRow: onBad }),
    });
  try {
    const counts = new Map<string, number>();
    const add = (reason: string): void => {
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    };
    let rows = 0;
    async function* counted() {
      for await (const row of read(({ code }) => add(code))) {
        rows++;
        yield row;
      }
    }
    const removals = await decide(counted());
    reading.end();
    for (const { reason } of removals.values()) add(reason);
    const bad = [...counts.values()].reduce((sum, n) => sum + n, 0) - removals.size;
    const samples = new Map<string, string[]>();
    const sample = (reason: string, text: () => string): void => {
      const some = samples.get(reason) ?? [];
      samples.set(reason, some);
      if (some.length < SAMPLES) some.push(text());
    };
    async function* staying(isCounted: boolean) {
      let number = 0;
      const badRows: object[] = [];
      const onBad: OnBad = ({ code, message }, _, { path: file, line, unit }) => {
        badRows.push({ file, line, unit, reason: code, why: message });
        if (isCounted) sample(code, () => message);
      };
      const flush = async (): Promise<void> => {
        for (const row of badRows.splice(0)) if (isCounted) await removed.write(row);
      };
      for await (const { value, place } of read(onBad)) {
        await flush();
        const removal = removals.get(number++);
        if (removal === undefined) yield value as Readonly<Record<string, unknown>>;
        else if (isCounted) {
          const { path: file, line, unit } = place;
          sample(removal.reason, () => `${placeText(place)}: ${removal.why}${excerpt(value)}`);
          await removed.write({ file, line, unit, ...removal, row: value });
        }
      }
      await flush();
      if (new Set(digests).size > 1)
        throw new UserError(
          "changed_file",
          `${data} changed while it was read: let its writer finish, then start again.`,
        );
      // First what was removed, then what stays: where OUTPUT is, nothing is missing.
      if (isCounted && removals.size + bad > 0) await removed.commit();
    }
    const total = rows + bad;
    const stay = rows - removals.size;
    if (stay > 0) await kept.writeAll(staying);
    else for await (const _ of staying(true)) break;
    output.print(
      `${data}: ${plural(total, "row")}, ${count(stay)} stay, ${count(total - stay)} removed (${percent(total - stay, total)})`,
    );
    for (const [reason, n] of [...counts].sort((a, b) => b[1] - a[1])) {
      output.print(`${reason}: ${plural(n, "row")}`);
      for (const text of samples.get(reason) ?? []) output.say(`  ${text}`);
    }
    const more = tell();
    if (stay === 0)
      throw new UserError(
        "no_rows",
        `No row of ${data} stays: all are in ${removedPath}, and ${path} is not written.`,
      );
    const beside = total > stay ? `; what was removed: ${removedPath}` : "";
    output.print(`${plural(stay, "row")}: ${path}${beside}`);
    output.result({
      quiet: path,
      json: {
        rows: total,
        kept: stay,
        removed: Object.fromEntries(counts),
        ...more,
        output: path,
        removed_rows: total > stay ? removedPath : null,
      },
    });
  } finally {
    reading.end();
    await kept.discard();
    await removed.discard();
  }
}

/** The beginning of what the row says. */
function excerpt(value: unknown): string {
  let text: string;
  try {
    text = wholeText(textsOf(value, { path: "", line: 0 }));
  } catch {
    return ""; // Its reason says it.
  }
  const line = text.replace(/\s+/gu, " ").trim();
  return ` | ${line.length > SAMPLE_CHARACTERS ? `${line.slice(0, SAMPLE_CHARACTERS)} ...` : line}`;
}
