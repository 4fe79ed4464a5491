/** A file of responses as token rows, to be scored or ranked (response-row.ts): each response a whole sequence, its prompt in front. */
import { createHash } from "node:crypto";
import type { TokenInContent } from "./content-tokens.js";
import { planRow } from "./encoding.js";
import type { EncodingPlan } from "./encoding-plan.js";
import type { ModelTexts } from "./model-texts.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { canonicalJson, parentsOf } from "./record-id.js";
import { parseResponseRow, type ResponseFormat, type ResponseRow } from "./response-row.js";
import { checkIds, keptColumns, openBooks, type RowCounts, type RowFileOptions } from "./row-books.js";
import { loadRows, type PendingRow, type RowDataset, type RowPart } from "./row-dataset.js";
import { FATES, limitOf } from "./row-limit.js";
import type { TextStart } from "./tokenizer.js";
import { UserError, userErrorOr } from "./user-error.js";

export interface TokenizedResponses {
  /** SHA-256 of the row's canonical JSON, with `#2`, `#3`, ... for repeats. */
  readonly id: string;
  readonly line: number;
  readonly parents?: readonly string[];
  /** [tokens] Of each response, with its prompt. */
  readonly sequences: readonly Int32Array[];
  /** How the row names each. */
  readonly names: readonly string[];
  readonly format: ResponseFormat;
  readonly labels: ResponseRow["labels"];
  /** SHA-256 of what the responses answer: rows of one prompt have the same. */
  readonly promptKey: string;
  /** What the row has of the columns that were asked for. */
  readonly columns?: Readonly<Record<string, unknown>>;
}

export type ResponseCounts = RowCounts<ResponseFormat>;

export interface ResponseDatasetOptions extends RowFileOptions<ResponseFormat> {
  /** `ranked`: a better and a worse response must be there to learn from; rows without are left out and counted. */
  readonly use: "ranked" | "scored";
  readonly columns?: readonly string[] | undefined;
}

/** `tokens` and `trainedTokens` of its counts: of all sequences. */
export type ResponseDataset = RowDataset<TokenizedResponses, ResponseFormat>;

/** Loads responses. Throws UserError; those about a row name the file and line. */
export function loadResponseRows(data: string, options: ResponseDatasetOptions): Promise<ResponseDataset> {
  return loadRows(data, options, {
    plan: (part, texts) => planned(part, texts, options),
    textsOf: ({ plans }) => plans.flatMap(({ texts }) => texts),
    collector: collector(data, options),
  });
}

type Kept = Omit<TokenizedResponses, "id" | "line" | "sequences">;

interface Planned {
  readonly kept: Kept;
  /** Of each response. */
  readonly plans: readonly EncodingPlan[];
}

async function planned(
  { value, place, id }: RowPart,
  texts: ModelTexts,
  { format, now, specialTokens, use, columns }: ResponseDatasetOptions,
): Promise<Planned | UserError> {
  const parsed = userErrorOr(() => {
    const row = parseResponseRow(value, place, format);
    if (use === "ranked" && row.labels === undefined) throw unranked(place);
    return { row, parents: parentsOf(value, place) };
  });
  if (parsed instanceof UserError) return parsed;
  const { row, parents } = parsed;
  const kept: Kept = {
    ...(parents && { parents }),
    names: row.responses.map(({ name }) => name),
    format: row.format,
    labels: row.labels,
    promptKey: promptKeyOf(value as Readonly<Record<string, unknown>>, id),
    ...keptColumns(value, columns),
  };
  const plans: EncodingPlan[] = [];
  for (const { row: response } of row.responses) {
    if (response.kind === "tokens") {
      plans.push({ texts: [], finish: () => response });
      continue;
    }
    // Outside: a tokenizer that does not load is not the row's fault.
    const loaded = await texts.need("messages" in response, place);
    const plan = userErrorOr(() =>
      planRow(response, { ...loaded, lossOn: "everything", now, specialTokens }),
    );
    if (plan instanceof UserError) return plan;
    plans.push(plan);
  }
  return { kept, plans };
}

const promptColumns = ["prompt", "messages", "prompt_ids", "conversations", "instruction", "input", "system"];

/** Of a row without a prompt of its own, the row. */
function promptKeyOf(row: Readonly<Record<string, unknown>>, id: string): string {
  const asked = promptColumns.flatMap((column) =>
    Object.hasOwn(row, column) ? [[column, row[column]]] : [],
  );
  return createHash("sha256")
    .update(asked.length > 0 ? canonicalJson(asked) : id)
    .digest("hex");
}

function unranked(place: RowPlace): UserError {
  return rowError(
    "bad_row",
    place,
    "labels: expected true or false for each response (or verdicts, as posttrain verify writes them), came none: nothing says which responses are better.",
  );
}

function collector(path: string, options: ResponseDatasetOptions) {
  const { onOverlong, vocabSize, use } = options;
  const limit = limitOf(options);
  const maxLength = limit.tokens;
  const rows: TokenizedResponses[] = [];
  const books = openBooks<ResponseFormat>(path, options);
  const { counts, reject } = books;

  const add = (pending: PendingRow<Planned>, starts: readonly TextStart[]): void => {
    const { place, row } = pending;
    counts.read++;
    let sequences: readonly (readonly number[])[];
    let lengths: readonly number[];
    const found: TokenInContent[] = [];
    try {
      if (row instanceof UserError) throw row;
      let next = 0;
      const encoded = row.plans.map((plan, i) => {
        const own = starts.slice(next, next + plan.texts.length);
        next += plan.texts.length;
        found.push(...(plan.tokensInContent ?? []));
        refuseUnread(own, maxLength, onOverlong);
        const whole = own[0]?.whole ?? true;
        const { inputIds } = plan.finish(
          own.map(({ ids }) => (whole ? ids : ids.slice(0, own[0]!.ids.length))),
          whole,
        );
        checkIds(row.kept.names[i]!, inputIds, vocabSize, place);
        return { inputIds, length: whole ? inputIds.length : own[0]!.atLeast, whole };
      });
      sequences = encoded.map(({ inputIds }) => inputIds);
      lengths = encoded.map(({ length }) => length);
      if (use === "ranked") refuseContradiction(sequences, row.kept, place);
    } catch (error) {
      books.bad(pending, error);
      return;
    }
    books.note(pending, row.kept.format, found);
    const { labels } = row.kept;
    if (use === "ranked" && !(labels?.includes(true) && labels.includes(false))) {
      counts.emptied++;
      const all = labels?.includes(true) ? "better" : labels?.includes(false) ? "worse" : "unjudged";
      reject(pending, "nothing_to_rank", null, `all responses are ${all}: there is nothing to prefer.`);
      return;
    }
    const length = Math.max(...lengths);
    const tokens = `${length} tokens of prompt and longest response`;
    if (length > maxLength && onOverlong === "error") {
      books.bad(pending, rowError("row_too_long", place, limit.refusal(tokens)), length);
      counts.overlong++;
      return;
    }
    if (length > maxLength) {
      const lost = lengths.reduce((sum, own) => sum + Math.max(0, own - maxLength), 0);
      const cut = sequences.map((ids) => ids.slice(0, maxLength));
      const left = use === "scored" || firstEqual(cut, row.kept.labels!) === undefined;
      const fate = onOverlong === "drop" ? "dropped" : left ? "truncated" : "emptied";
      counts.overlong++;
      counts[fate]++;
      counts.lostTrainedTokens += fate === "truncated" ? lost : sumOf(lengths);
      reject(pending, fate, length, FATES[fate](tokens, limit, String(lost)));
      if (fate !== "truncated") return;
      sequences = cut;
    }
    counts.kept++;
    counts.tokens += sumOf(sequences.map((ids) => ids.length));
    counts.trainedTokens = counts.tokens;
    rows.push({
      id: pending.id!,
      line: pending.line,
      ...row.kept,
      sequences: sequences.map((ids) => Int32Array.from(ids)),
    });
  };
  return { add, result: () => ({ rows, ...books.result() }) };
}

const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0);

/** A text that cannot be read to its end, but where it is known to be too long and not one token of it is asked for. */
function refuseUnread(
  [all, ...rest]: readonly TextStart[],
  maxLength: number,
  onOverlong: ResponseDatasetOptions["onOverlong"],
): void {
  const unread = [all, ...rest].find((start) => start?.refusal);
  if (unread?.refusal === undefined || all === undefined) return;
  const needed = onOverlong === "truncate" ? all.ids.length : all.atLeast;
  if (all.whole || needed <= maxLength) throw unread.refusal;
}

/** UserError where one response is labelled better and worse. */
function refuseContradiction(
  sequences: readonly (readonly number[])[],
  { labels, names }: Kept,
  place: RowPlace,
): void {
  const equal = labels && firstEqual(sequences, labels);
  if (equal === undefined) return;
  throw rowError(
    "contradiction",
    place,
    `${names[equal[0]]} and ${names[equal[1]]} are the same response, one among the better, one among the worse. Mend the labels, or remove one.`,
  );
}

/** The first better response that is a worse one too. */
function firstEqual(
  sequences: readonly (readonly number[])[],
  labels: readonly (boolean | null)[],
): readonly [number, number] | undefined {
  const worse = new Map(
    sequences.flatMap((ids, i) => (labels[i] === false ? [[ids.join(), i] as const] : [])),
  );
  for (const [i, ids] of sequences.entries()) {
    const other = labels[i] === true ? worse.get(ids.join()) : undefined;
    if (other !== undefined) return [i, other];
  }
  return undefined;
}
