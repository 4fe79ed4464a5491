// Rows of score as token ids with their labels, every one of them checked before the model is loaded.
import { IGNORED_LABEL, type LossOn, parseSftRow, planRow, type RowPlace } from "@posttrain/data";
import {
  atRow,
  checkText,
  columnOf,
  type IdRow,
  type RowPlan,
  readIdRows,
  rowError,
  type TextSide,
} from "@posttrain/rollout";

interface Scored {
  /** labels[i] is ids[i] where the summary counts it, else IGNORED_LABEL. */
  readonly labels: Int32Array;
}

export type ScoredRow = IdRow & Scored;

/**
 * Rows to score: {text} as it is, else as sft reads them. `lossOn` decides what counts; tokenised rows bring their own labels.
 */
export async function readScored(
  path: string,
  lossOn: LossOn,
  text: TextSide,
): Promise<readonly ScoredRow[]> {
  const { rows } = await readIdRows(path, text, async (value, place): Promise<RowPlan<Scored>> => {
    const { texts, finish } = await planned(value, place, lossOn, text);
    return { texts, finish: (ids) => scored(finish(ids), place) };
  });
  return rows;
}

interface Encoded {
  readonly inputIds: readonly number[];
  readonly labels: readonly number[];
}

/** UserError where nothing counts. */
function scored(
  { inputIds, labels }: Encoded,
  place: RowPlace,
): { readonly inputIds: readonly number[] } & Scored {
  if (labels.some((label, i) => i > 0 && label !== IGNORED_LABEL)) {
    return { inputIds, labels: Int32Array.from(labels) };
  }
  throw rowError(
    "nothing_to_score",
    place,
    inputIds.length < 2
      ? `a row of ${inputIds.length} token: nothing comes before it that could predict it. Remove the row.`
      : "every label is -100, so no token counts. Mend the labels, or remove the row.",
  );
}

async function planned(
  value: unknown,
  place: RowPlace,
  lossOn: LossOn,
  text: TextSide,
): Promise<{
  readonly texts: readonly string[];
  readonly finish: (ids: readonly number[][]) => Encoded;
}> {
  const plain = columnOf(value, "text");
  if (plain !== undefined) {
    const content = checkText("text", plain, place);
    if (lossOn !== "everything") {
      throw rowError(
        "bad_row",
        place,
        `a text row has no answer that loss_on ${lossOn} could mean. Use --loss_on everything, or messages rows.`,
      );
    }
    return { texts: [content], finish: ([inputIds]) => ({ inputIds: inputIds!, labels: inputIds! }) };
  }
  const row = parseSftRow(value, place);
  if (row.kind === "tokens") return { texts: [], finish: () => row };
  const tokenizer = await text.tokenizer();
  const template = "messages" in row ? await text.template() : undefined;
  const { specialTokens, templateDate: now } = text;
  const plan = atRow(place, () => planRow(row, { tokenizer, template, lossOn, specialTokens, now }));
  return {
    texts: plan.texts,
    finish: (ids) => atRow(place, () => plan.finish(ids)),
  };
}
