// posttrain-card.json in a model folder: what the model can do, in a sentence, and a question that shows it. chat opens with it.
import { join } from "node:path";
import { readRegularFile, UserError } from "@posttrain/data";
import { z } from "zod";

export const cardFile = "posttrain-card.json";

const schema = z.object({
  description: z.string().min(1),
  example: z.string().min(1),
  /** The model was trained on single questions: what was said before would only confuse it. */
  single_turn: z.boolean().default(false),
});

export type ModelCard = z.output<typeof schema>;

/** undefined when the folder has none. UserError `bad_card`. */
export async function readModelCard(dir: string): Promise<ModelCard | undefined> {
  const path = join(dir, cardFile);
  const text = await readRegularFile(path).then(String, () => undefined);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new UserError(
      "bad_card",
      `${path} is not a model card: expected {"description": "...", "example": "..."}. Mend it or remove it.`,
      { cause },
    );
  }
}
