// A scorer held against what people, judges and verifiers prefer.
import { type ChatTemplate, planRow, rowError, type Tokenizer, UserError } from "@posttrain/data";
import type { Scorer } from "../scorer.js";
import { type BestOf, bestOfN, type Judged } from "./best-of-n.js";
import { type Aggregate, type EvalFormat, formats } from "./formats.js";
import type { Candidate, EvalItem, ScoredItem } from "./item.js";
import { type Common, commonReport } from "./report.js";

export interface EvalReport extends Common, Aggregate {
  readonly format: EvalFormat;
  readonly title: string;
  /** Items that count. */
  readonly rows: number;
  /** Items left out because one of their responses has no score: it is longer than the model's context, or empty. */
  readonly unscored: number;
  /** Pairs that say nothing: nobody won. */
  readonly ties: number;
  /** Where the truth of responses is known. */
  readonly best_of_n: readonly BestOf[];
  /** Of those: responses that could not be graded, and questions that are all right or all wrong, where no choice can gain. */
  readonly ungraded: number;
  readonly uniform_questions: number;
}

const bestOfSizes = [1, 2, 4, 8, 16] as const;

/** The report of items with a list of scores each, in the order of their candidates; null: no score. */
export function reportOf(
  format: EvalFormat,
  items: readonly EvalItem[],
  scores: readonly (readonly (number | null)[])[],
  seed: number,
): EvalReport {
  const judged = items.flatMap((item, i) => judgedOf(item, scores[i] as readonly (number | null)[]));
  const scored = items.flatMap((item, i): readonly ScoredItem[] => {
    const own = scores[i] as readonly (number | null)[];
    return own.includes(null) ? [] : [{ item, scores: own as readonly number[] }];
  });
  const telling = scored.filter(({ item }) => item.pairs.length > 0);
  return {
    format,
    title: formats[format].title,
    rows: scored.length,
    unscored: items.length - scored.length,
    ties: scored.reduce((sum, { item }) => sum + item.ties, 0),
    ...(telling.length === 0 ? { parts: [], score: Number.NaN } : formats[format].aggregate(telling)),
    ...commonReport(scored),
    best_of_n: bestOfN(judged, bestOfSizes, seed),
    ungraded: items.reduce(
      (sum, { values }) => sum + (values?.filter((value) => value === null).length ?? 0),
      0,
    ),
    uniform_questions: judged.filter(({ values }) => values.every((value) => value === values[0])).length,
  };
}

/** Of an item with values: the responses that have both. */
function judgedOf({ values }: EvalItem, scores: readonly (number | null)[]): readonly Judged[] {
  if (values === undefined) return [];
  const places = scores.flatMap((score, i) => (score !== null && values[i] !== null ? [i] : []));
  if (places.length === 0) return [];
  return [{ scores: places.map((i) => scores[i] as number), values: places.map((i) => values[i] as number) }];
}

/** The rows' own scores. UserError `no_scores` where a row has none. */
export function givenScoresOf(items: readonly EvalItem[]): readonly (readonly (number | null)[])[] {
  return items.map(({ given, place }) => {
    if (given !== undefined) return given;
    throw rowError(
      "no_scores",
      place,
      "no scores beside the responses (reward_scores, or score_chosen and score_rejected). Add them, or name a reward model.",
    );
  });
}

export interface Texts {
  readonly tokenizer: () => Promise<Tokenizer>;
  readonly template: () => Promise<ChatTemplate>;
}

/** Candidates that go through tokenizer and model together: their text alone is held. */
const itemsAtOnce = 64;

/** Scores of all candidates of all items by `scorer`. UserError with a row's place where it cannot be rendered. */
export async function scoreItems(
  items: readonly EvalItem[],
  scorer: Scorer,
  texts: Texts,
  onProgress: (done: number) => void = () => undefined,
): Promise<readonly (readonly (number | null)[])[]> {
  const all: (readonly (number | null)[])[] = [];
  for (let start = 0; start < items.length; start += itemsAtOnce) {
    const batch = items.slice(start, start + itemsAtOnce);
    const sequences: Int32Array[] = [];
    for (const item of batch) {
      for (const candidate of item.candidates) sequences.push(await idsOf(candidate, item, texts));
    }
    const scores = await scorer(sequences);
    let next = 0;
    for (const { candidates } of batch) {
      all.push(scores.slice(next, next + candidates.length));
      next += candidates.length;
    }
    onProgress(all.length);
  }
  return all;
}

async function idsOf({ row }: Candidate, { place }: EvalItem, texts: Texts): Promise<Int32Array> {
  if (row.kind === "tokens") return Int32Array.from(row.inputIds);
  const tokenizer = await texts.tokenizer();
  const template = "messages" in row ? await texts.template() : undefined;
  try {
    const plan = planRow(row, { tokenizer, template, lossOn: "everything" });
    return Int32Array.from(plan.finish([...(await tokenizer.encodeBatch([...plan.texts]))]).inputIds);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw rowError(error.code, place, error.message, error);
  }
}
