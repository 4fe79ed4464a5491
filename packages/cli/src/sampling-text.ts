// What commands that print answers say and ask about them: one line of how tokens are drawn, and what of it comes from the model's
// generation_config.json; which tokens are text.
import type { Tokenizer } from "@posttrain/data";
import type { Sampling } from "@posttrain/rollout";
import { z } from "zod";
import { plainNumber } from "./format.js";

export const textOptions = {
  template_date: z
    .string()
    .optional()
    .describe("the date that a chat template writes as today's, such as 2025-07-10"),
  show_special_tokens: z
    .boolean()
    .default(false)
    .describe("answers with their special tokens, the one that ends them too"),
};

export function samplingText({ settings, stop, choices }: Sampling, tokenizer: Tokenizer): string {
  const say = (from: (typeof choices)[number]["from"]): string =>
    choices
      .filter((choice) => choice.from === from)
      .map(({ name, value }) => `${name} ${plainNumber(value)}`)
      .join(", ");
  const file = say("generation_config.json");
  const parts = [
    settings.temperature === 0 ? "greedy" : "",
    say("options"),
    file && `from generation_config.json: ${file}`,
  ];
  const stops = [
    ...settings.stopIds.map((id) => tokenizer.tokenOf(id) ?? `id ${id}`),
    ...stop.map((text) => JSON.stringify(text)),
  ].join(", ");
  return `sampling: ${parts.filter(Boolean).join("; ")}; stops at ${stops || "max_new_tokens alone (the model names no eos token)"}`;
}
