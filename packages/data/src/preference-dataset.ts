/** A file of preferences as token rows: reads, checks, renders, tokenises, cuts to length. DPO and reward models read the same. */
import { createHash } from "node:crypto";
import type { ModelTexts } from "./model-texts.js";
import { type EncodedPair, type PreferencePlan, planPreference } from "./preference-encoding.js";
import { noDifference, type PreferenceFormat, parsePreferenceRow, sides } from "./preference-row.js";
import { placeText, type RowPlace, rowError } from "./reading/place.js";
import { parentsOf } from "./record-id.js";
import { checkIds, keptColumns, openBooks, type RowCounts, type RowFileOptions } from "./row-books.js";
import { loadRows, type PendingRow, type RowDataset, type RowPart } from "./row-dataset.js";
import { FATES, limitOf } from "./row-limit.js";
import type { TextStart } from "./tokenizer.js";
import { UserError, userErrorOr } from "./user-error.js";

export interface TokenizedPair {
  /** SHA-256 of the row's canonical JSON, with `#2`, `#3`, ... for repeats. */
  readonly id: string;
  readonly line: number;
  /** Ids of the rows that this one was made from, as its `parents` column lists them. */
  readonly parents?: readonly string[];
  /** [tokens] What both sides answer. Empty only where it may be (`prompt: "optional"`). */
  readonly promptIds: Int32Array;
  /** [tokens] What follows the prompt: at least one token each. */
  readonly chosenIds: Int32Array;
  readonly rejectedIds: Int32Array;
  readonly margin?: number;
  /** What the row has of the columns that were asked for. */
  readonly columns?: Readonly<Record<string, unknown>>;
}

/** `trainedTokens`: those of the answers. `tokens`: of both sides, each with the prompt. */
export type PreferenceCounts = RowCounts<PreferenceFormat>;

export interface PreferenceDatasetOptions extends RowFileOptions<PreferenceFormat> {
  /** `required`: something must come before the answers, the same in both (DPO). `optional`: sides may be whole (reward models). */
  readonly prompt: "required" | "optional";
  /** Further columns that rows keep, such as labels by criterion. */
  readonly columns?: readonly string[] | undefined;
}

export type PreferenceDataset = RowDataset<TokenizedPair, PreferenceFormat>;

/** Loads preferences. Throws UserError; those about a row name the file and line. */
export function loadPreferenceRows(
  data: string,
  options: PreferenceDatasetOptions,
): Promise<PreferenceDataset> {
  return loadRows(data, options, {
    plan: (part, texts) => planned(part, texts, options),
    textsOf: ({ plan }) => plan.texts,
    collector: collector(data, options),
  });
}

interface Planned {
  readonly format: PreferenceFormat;
  readonly kept: Pick<TokenizedPair, "parents" | "margin" | "columns">;
  readonly plan: PreferencePlan;
}

async function planned(
  { value, place }: RowPart,
  texts: ModelTexts,
  { format, now, specialTokens, prompt, columns }: PreferenceDatasetOptions,
): Promise<Planned | UserError> {
  const parsed = userErrorOr(() => ({
    row: parsePreferenceRow(value, place, format),
    parents: parentsOf(value, place),
  }));
  if (parsed instanceof UserError) return parsed;
  const { row, parents } = parsed;
  const { margin } = row;
  const kept = {
    ...(parents && { parents }),
    ...(margin !== undefined && { margin }),
    ...keptColumns(value, columns),
  };
  // Outside: a tokenizer that does not load is not the row's fault.
  const loaded = row.kind === "tokens" ? undefined : await texts.need(row.kind === "messages", place);
  // Rows of tokens need none.
  const { tokenizer, template } = loaded ?? { tokenizer: undefined as never, template: undefined };
  const plan = userErrorOr(() => planPreference(row, { tokenizer, template, now, specialTokens, prompt }));
  return plan instanceof UserError ? plan : { format: row.format, kept, plan };
}

/** Takes rows in order and keeps the books. */
function collector(path: string, options: PreferenceDatasetOptions) {
  const { onOverlong, vocabSize } = options;
  const limit = limitOf(options);
  const maxLength = limit.tokens;
  const rows: TokenizedPair[] = [];
  const books = openBooks<PreferenceFormat>(path, options);
  const { counts, reject } = books;
  const judged = judgements();

  const add = (pending: PendingRow<Planned>, starts: readonly TextStart[]): void => {
    const { place, row } = pending;
    counts.read++;
    let pair: EncodedPair;
    try {
      if (row instanceof UserError) throw row;
      refuseUnread(starts, maxLength, onOverlong);
      pair = row.plan.finish(starts);
      for (const side of sides) checkIds(`${side}_ids`, pair[side], vocabSize, place);
      checkPair(pair, starts, place);
    } catch (error) {
      books.bad(pending, error);
      return;
    }
    // Of a row that was not read to its end all numbers are the least that they can be.
    const [chosenLength, rejectedLength] = sides.map((side, i) => starts[i]?.atLeast ?? pair[side].length);
    const length = Math.max(chosenLength!, rejectedLength!);
    const whole = starts.every((start) => start.whole);
    const tokens = `${whole ? "" : "at least "}${length} tokens of prompt and longer side`;
    if (length > maxLength && onOverlong === "error") {
      books.note(pending, row.format, row.plan.tokensInContent);
      books.bad(pending, rowError("row_too_long", place, limit.refusal(tokens)), length);
      counts.overlong++;
      return;
    }
    // The first token of all is predicted by nothing.
    const { promptTokens } = pair;
    const answered = (end: number): number => Math.max(0, end - Math.max(1, promptTokens));
    const trained = answered(chosenLength!) + answered(rejectedLength!);
    const [chosen, rejected] = sides.map((side) => pair[side].slice(promptTokens, maxLength));
    const left = Math.min(chosen!.length, rejected!.length) > 0 && !sameIds(chosen!, rejected!);
    const keeps = length <= maxLength || (onOverlong === "truncate" && left);
    if (keeps) {
      const opposite = judged(pair, chosen!, rejected!, place);
      if (opposite !== undefined) {
        const error = rowError(
          "contradiction",
          place,
          `${opposite.path === place.path ? `${opposite.unit ?? "line"} ${opposite.line}` : placeText(opposite)} prefers these two the other way round: its chosen is the rejected here, for the same prompt. Keep one of the two rows.`,
        );
        books.bad(pending, error);
        return;
      }
    }
    books.note(pending, row.format, row.plan.tokensInContent);
    if (length > maxLength) {
      const kept = keeps
        ? answered(promptTokens + chosen!.length) + answered(promptTokens + rejected!.length)
        : 0;
      const lost = `${whole ? "" : "at least "}${trained - kept}`;
      counts.overlong++;
      counts.lostTrainedTokens += trained - kept;
      if (keeps || onOverlong === "drop") {
        const fate = keeps ? "truncated" : "dropped";
        counts[fate]++;
        reject(pending, fate, length, FATES[fate](tokens, limit, lost));
      } else {
        counts.emptied++;
        // The start is what is kept: a prompt that is cut leaves no answer.
        const cut = promptTokens >= maxLength;
        const what = cut
          ? `${promptTokens} tokens of prompt, ${limit.name}: left out, as the cut would take of the prompt and leave no answer.`
          : `${tokens}, ${limit.name}: left out, as both sides would be the same after the cut.`;
        reject(
          pending,
          cut ? "prompt_cut" : "emptied",
          length,
          `${what} ${limit.raise} or shorten ${cut ? "the prompt" : "the answers"}.`,
        );
      }
    }
    if (!keeps) return;
    counts.kept++;
    counts.tokens += 2 * promptTokens + chosen!.length + rejected!.length;
    counts.trainedTokens +=
      answered(promptTokens + chosen!.length) + answered(promptTokens + rejected!.length);
    rows.push({
      id: pending.id!,
      line: pending.line,
      ...row.kept,
      promptIds: Int32Array.from(pair.chosen.slice(0, promptTokens)),
      chosenIds: Int32Array.from(chosen!),
      rejectedIds: Int32Array.from(rejected!),
    });
  };
  return { add, result: () => ({ rows, ...books.result() }) };
}

/** A text that cannot be read to its end, but where the row is known to be too long and not one token of it is asked for. */
function refuseUnread(
  starts: readonly TextStart[],
  maxLength: number,
  onOverlong: PreferenceDatasetOptions["onOverlong"],
): void {
  const unread = starts.find(({ refusal }) => refusal);
  if (unread?.refusal === undefined) return;
  const enough = ({ ids, atLeast, whole }: TextStart): boolean =>
    whole || (onOverlong === "truncate" ? ids.length : atLeast) > maxLength;
  const answers = starts.slice(0, sides.length);
  const known =
    onOverlong === "truncate" ? answers.every(enough) : answers.some((text) => !text.whole && enough(text));
  if (!known) throw unread.refusal;
}

/** Of sides that were read to their ends: both answer, and differently. */
function checkPair(
  { promptTokens, ...pair }: EncodedPair,
  starts: readonly TextStart[],
  place: RowPlace,
): void {
  const [chosen, rejected] = sides.map((side) => pair[side]);
  for (const [i, side] of sides.entries()) {
    if (starts[i]?.whole === false || pair[side].length > promptTokens) continue;
    throw rowError(
      "empty_turn",
      place,
      `${side}: no token follows the prompt. Give an answer, or remove the row.`,
    );
  }
  if (starts.every(({ whole }) => whole) && sameIds(chosen!, rejected!)) throw noDifference(place);
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** Remembers which answer was preferred to which: returns the place that has it the other way round. */
function judgements() {
  const places = new Map<string, RowPlace>();
  const digest = (ids: readonly number[]): string =>
    createHash("sha256").update(Int32Array.from(ids)).digest("base64").slice(0, 24);
  return (
    { chosen: whole, promptTokens }: EncodedPair,
    chosen: readonly number[],
    rejected: readonly number[],
    place: RowPlace,
  ): RowPlace | undefined => {
    const [prompt, better, worse] = [whole.slice(0, promptTokens), chosen, rejected].map(digest);
    const opposite = places.get(`${prompt} ${worse} ${better}`);
    const own = `${prompt} ${better} ${worse}`;
    if (opposite === undefined && !places.has(own)) places.set(own, place);
    return opposite;
  };
}
