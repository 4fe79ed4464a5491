/**
 * Several sources as one: so much of each, interleaved as the seed draws, each in the order of its own files. Sources stream: they are read once to be counted
 * and once more for each pass that is asked of them.
 */
import { permutation, uniform } from "./philox.js";
import type { Naming } from "./reading/dataset-info.js";
import type { DataRow, ReadRowsOptions, readRows } from "./reading/read-rows.js";
import { UserError } from "./user-error.js";

/** A source, and how much of it: a share of its rows (above 1: several passes), a number of rows, or its weight in a mix of `rows`. */
export interface MixSource {
  readonly data: string;
  readonly share?: number;
  readonly rows?: number;
  readonly weight?: number;
  /** What its columns and roles are called. */
  readonly naming?: Naming;
}

/** A source as text: DATA (all of it), DATA=0.5 (a share), DATA=1000 (rows); of a mix by weights DATA=WEIGHT. UserError `bad_option`. */
export function mixSourceOf(text: string, byWeight: boolean): MixSource {
  const [, data = text, amount] = /^(.*)=([^=/]*)$/.exec(text) ?? [];
  if (amount === undefined) return byWeight ? { data, weight: 1 } : { data, share: 1 };
  if (!/^\d+(\.\d+)?$/.test(amount)) {
    throw new UserError(
      "bad_option",
      `sources has ${JSON.stringify(text)}: expected DATA, DATA=0.5 for a share of its rows, or DATA=1000 for so many.`,
    );
  }
  const number = Number(amount);
  if (byWeight) return { data, weight: number };
  return amount.includes(".") ? { data, share: number } : { data, rows: number };
}

export interface MixOptions {
  readonly seed: number;
  /** Rows in all, where sources have weights. */
  readonly rows?: number | undefined;
  readonly onProgress?: ReadRowsOptions["onProgress"];
  /** Takes rows whose text holds no value; they count for nothing. */
  readonly onBadRow?: ReadRowsOptions["onBadRow"];
  /** Reads one source. */
  readonly read: typeof readRows;
}

export interface MixPart {
  readonly data: string;
  /** Rows that it has. */
  readonly of: number;
  /** Rows that are taken of it; more than `of`: some come again. */
  readonly taken: number;
}

export interface Mix {
  readonly parts: readonly MixPart[];
  /** SHA-256 of the files of each source. */
  readonly digests: readonly string[];
  readonly rows: AsyncIterable<DataRow & { readonly source: number }>;
}

/** Throws UserError: of readers, `bad_option` for amounts that do not go together. */
export async function mixOf(sources: readonly MixSource[], options: MixOptions): Promise<Mix> {
  const { seed, onProgress, onBadRow, read } = options;
  const counts: number[] = [];
  const digests: string[] = [];
  for (const { data, naming } of sources) {
    let count = 0;
    const onEnd = (digest: string): unknown => digests.push(digest);
    // They are told of when they are read for good.
    const skipping = onBadRow && { onBadRow: () => undefined };
    for await (const _ of read(data, { onProgress, onEnd, naming, ...skipping })) count++;
    counts.push(count);
  }
  const taken = amountsOf(sources, counts, options.rows);
  const parts = sources.map(({ data }, i) => ({ data, of: counts[i]!, taken: taken[i]! }));
  const passes = sources.map(
    ({ data, naming }) =>
      () =>
        read(data, { onProgress, naming, ...(onBadRow && { onBadRow }) }),
  );
  return { parts, digests, rows: interleaved(parts, passes, seed) };
}

function amountsOf(
  sources: readonly MixSource[],
  counts: readonly number[],
  total: number | undefined,
): readonly number[] {
  const weights = sources.map(({ weight }) => weight ?? 0);
  const sum = weights.reduce((all, weight) => all + weight, 0);
  if (total === undefined)
    return sources.map(({ share = 1, rows }, i) => rows ?? Math.round(share * counts[i]!));
  if (sum === 0) throw new UserError("bad_option", "rows asks for a mix by weights, and all weights are 0.");
  // The largest remainders make up what rounding down leaves.
  const exact = weights.map((weight) => (weight / sum) * total);
  const amounts = exact.map(Math.floor);
  const byRemainder = exact
    .map((_, i) => i)
    .sort((a, b) => exact[b]! - amounts[b]! - (exact[a]! - amounts[a]!) || a - b);
  let left = total - amounts.reduce((all, amount) => all + amount, 0);
  for (const i of byRemainder) if (left-- > 0) amounts[i]!++;
  return amounts;
}

async function* interleaved(parts: readonly MixPart[], passes: readonly Pass[], seed: number) {
  const left = parts.map(({ taken }) => taken);
  const streams = parts.map((part, i) => drawn(part, passes[i]!, i, seed));
  let total = left.reduce((all, rows) => all + rows, 0);
  for (let place = 0; total > 0; place++) {
    // Every order of what is left is as likely as any other.
    let at = uniform(seed, "dataBuilding", [place, MIX_PLACES, 0, 0]) * total;
    let source = 0;
    while (source < left.length - 1 && at >= left[source]!) at -= left[source++]!;
    while (left[source] === 0) source--;
    left[source]!--;
    total--;
    const { value } = await streams[source]!.next();
    if (value !== undefined) yield { ...(value as DataRow), source };
  }
}

/** Apart from the draws of rows, whose second counter is the source. */
const MIX_PLACES = 2 ** 31 + 1;

/** The rows that are taken of a source: whole passes, then one of rows that the seed draws. */
async function* drawn(
  { of, taken }: MixPart,
  pass: Pass,
  source: number,
  seed: number,
): AsyncGenerator<DataRow> {
  for (let rest = taken; rest > 0; rest -= of) {
    const some =
      rest < of ? new Set(permutation(seed, "dataBuilding", source, of).slice(0, rest)) : undefined;
    let row = 0;
    for await (const read of pass()) if (some === undefined || some.has(row++)) yield read;
  }
}

/** The rows of a source, from the first one on. */
type Pass = () => AsyncIterable<DataRow>;
