// Whether two models read the same token ids: what one knows of a token is then said of the same token by the other.
import { UserError } from "@posttrain/data";
import type { Companions } from "@posttrain/model";

/** Token by id of a tokenizer.json, added tokens included; undefined where there is none. */
function tokensOf(companions: Companions): Map<number, string> | undefined {
  const bytes = companions["tokenizer.json"];
  if (bytes === undefined) return undefined;
  const { model, added_tokens: added } = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
    readonly model?: { readonly vocab?: Readonly<Record<string, number>> };
    readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  };
  const tokens = new Map(Object.entries(model?.vocab ?? {}).map(([token, id]) => [id, token] as const));
  for (const { id, content } of added ?? []) tokens.set(id, content);
  return tokens;
}

/**
 * UserError `other_tokenizer` where an id means one token to the model in `dir` and another to the one in `other`. Tokens that only one of them
 * has are none; nor is a folder without tokenizer.json.
 */
export function refuseOtherVocabulary(dir: string, own: Companions, other: string, its: Companions): void {
  const [a, b] = [tokensOf(own), tokensOf(its)];
  if (a === undefined || b === undefined) return;
  for (const [id, token] of a) {
    const found = b.get(id);
    if (found === undefined || found === token) continue;
    throw new UserError(
      "other_tokenizer",
      `${other} has another tokenizer than ${dir}: token ${id} is ${JSON.stringify(found)} there and ${JSON.stringify(token)} here. Both models must read the same token ids.`,
    );
  }
}
