// The score of a conversation as the reward model's own folder renders it, whatever model wrote the answer.
import { type ChatMessage, loadChatTemplate, loadTokenizer, planRow } from "@posttrain/data";
import type { OpenScorer } from "./with-scorer.js";

/** Scores a conversation that ends with an answer; null where it is longer than the reward model's context. Throws UserError for a folder without tokenizer or template. */
export async function conversationScorer({
  dir,
  scorer,
}: Pick<OpenScorer, "dir" | "scorer">): Promise<
  (messages: readonly ChatMessage[]) => Promise<number | null>
> {
  const [tokenizer, template] = await Promise.all([loadTokenizer(dir), loadChatTemplate(dir)]);
  return async (messages) => {
    const row: Parameters<typeof planRow>[0] = {
      format: "messages",
      kind: "messages",
      messages,
      untrained: new Set(),
      nameOf: (turn) => `turn ${turn + 1}`,
      tools: undefined,
      variables: undefined,
    };
    // What a person types may spell a special token: it is text here.
    const plan = planRow(row, { tokenizer, template, lossOn: "everything", specialTokens: "text" });
    const { inputIds } = plan.finish(await tokenizer.encodeBatch(plan.texts));
    return (await scorer([Int32Array.from(inputIds)]))[0] as number | null;
  };
}
