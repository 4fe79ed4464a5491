// A line of rollouts/step-<n>.jsonl: a response with what became of it.
import { UserError } from "@posttrain/data";
import { z } from "zod";
import { newerSchema } from "./schemas.js";

/** JSON has no numbers that are not finite: they are written as text. */
const number = z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"]).transform(() => null)]);
const reward = number.nullish().transform((value) => value ?? null);

const schema = z.object({
  schema: z.literal("rollout@1"),
  step: z.int(),
  prompt_id: z.string(),
  line: z.number(),
  sample: z.number(),
  prompt: z.string(),
  completion: z.string(),
  finish: z.string(),
  completion_ids: z.array(z.number()),
  logprobs: z.array(number),
  rewards: z.record(z.string(), reward),
  verdict: z.object({ outcome: z.string(), evidence: z.string() }).nullish(),
  reward,
  advantage: reward,
  masked: z.boolean(),
});

export type RolloutRow = z.output<typeof schema>;

/** UserError `newer_schema`, `bad_rollout` naming `where` and the field. */
export function rolloutRow(text: string, where: string): RolloutRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(
      "bad_rollout",
      `${where}: is no JSON, expected a response as posttrain grpo writes it. The file was edited or damaged.`,
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const said = (value as { readonly schema?: unknown } | null)?.schema;
  if (said !== "rollout@1") throw newerSchema(where, said, "rollout@1");
  const [issue] = parsed.error.issues;
  throw new UserError(
    "bad_rollout",
    `${where}: ${issue?.path.join(".")}: ${issue?.message}. The file was edited or damaged.`,
  );
}
