// Rows of score as token ids with their labels, every one of them checked before the model is loaded.
import { IGNORED_LABEL, type LossOn, parseSftRow, planRow, type RowPlace } from "@posttrain/data";
import {
  allOf,
  atRow,
  checkText,
  columnOf,
  type PromptRow,
  readIdRows,
  rowError,
  startOf,
  type TextSide,
} from "@posttrain/rollout";

export interface ScoredRow extends PromptRow {
  /** labels[i] is ids[i] where the summary counts it, else IGNORED_LABEL. */
  readonly labels: Int32Array;
}

/**
 * Rows to score: {text} as it is, else as sft reads them. `lossOn` decides what counts; tokenised rows bring their own labels.
 */
export async function readScored(
  path: string,
  lossOn: LossOn,
  text: TextSide,
): Promise<readonly ScoredRow[]> {
  const labels: Int32Array[] = [];
  const rows = await readIdRows(
    path,
    async (value, place) => {
      const encoded = await encode(value, place, lossOn, text);
      if (!encoded.labels.some((label, i) => i > 0 && label !== IGNORED_LABEL)) {
        throw rowError(
          "nothing_to_score",
          place,
          encoded.inputIds.length < 2
            ? `a row of ${encoded.inputIds.length} token: nothing comes before it that could predict it. Remove the row.`
            : "every label is -100, so no token counts. Mend the labels, or remove the row.",
        );
      }
      labels.push(Int32Array.from(encoded.labels));
      return encoded.inputIds;
    },
    text,
  );
  return rows.map((row, i) => ({ ...row, labels: labels[i]! }));
}

async function encode(
  value: unknown,
  place: RowPlace,
  lossOn: LossOn,
  text: TextSide,
): Promise<{ readonly inputIds: readonly number[]; readonly labels: readonly number[] }> {
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
    const inputIds = allOf(await startOf(content, text), place, text);
    return { inputIds, labels: inputIds };
  }
  const row = parseSftRow(value, place);
  if (row.kind === "tokens") return row;
  const tokenizer = await text.tokenizer();
  const template = "messages" in row ? await text.template() : undefined;
  return atRow(place, async () => {
    const plan = planRow(row, {
      tokenizer,
      template,
      lossOn,
      specialTokens: text.specialTokens,
      now: text.templateDate,
    });
    const all = allOf(await startOf(plan.texts[0]!, text), place, text);
    return plan.finish([[...all], ...(await tokenizer.encodeBatch(plan.texts.slice(1)))]);
  });
}
