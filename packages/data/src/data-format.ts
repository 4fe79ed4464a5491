/**
 * How a row is written, by its columns: every form that a file of training data may have, whichever stage it is for. Stages read those that they train on
 * (sft-row.ts, preference-row.ts, prompt-row.ts); `posttrain data` tells, counts and converts all of them.
 */
import { isJsonObject } from "./lossless-json.js";

export const dataFormats = [
  "tokens",
  "messages",
  "sharegpt",
  "alpaca",
  "prompt-completion",
  "text",
  "prompt",
  "question",
  "verl",
  "preference",
  "preference-implicit",
  "preference-sharegpt",
  "preference-alpaca",
  "preference-nemo",
  "preference-tokens",
  "unpaired",
  "unpaired-messages",
  "responses",
] as const;
export type DataFormat = (typeof dataFormats)[number];

/** What is asked, where no column is called prompt: the first that a row has. */
export const questionColumns = ["question", "problem", "query", "instruction"] as const;

/** Undefined for rows of no form that is known. */
export function detectFormat(value: unknown): DataFormat | undefined {
  if (!isJsonObject(value)) return undefined;
  const has = (...columns: readonly string[]): boolean =>
    columns.every((column) => value[column] !== undefined && value[column] !== null);
  if (has("input_ids")) return "tokens";
  if (has("chosen_ids", "rejected_ids")) return "preference-tokens";
  if (has("context", "completions")) return "preference-nemo";
  if (has("chosen", "rejected")) {
    if (has("prompt") || has("messages")) return "preference";
    if (has("conversations")) return "preference-sharegpt";
    return has("instruction") ? "preference-alpaca" : "preference-implicit";
  }
  if (has("prompt", "completion", "label")) return "unpaired";
  if (has("messages") && typeof (value["label"] ?? value["kto_tag"]) === "boolean")
    return "unpaired-messages";
  if (["responses", "responses_ids", "response_ids"].some((column) => has(column))) return "responses";
  if (has("completions") || (has("response") && (has("prompt") || has("messages")))) return "responses";
  if (has("messages")) return "messages";
  if (has("prompt", "completion")) return "prompt-completion";
  if (has("conversations")) return "sharegpt";
  if (has("instruction", "output")) return "alpaca";
  if (has("reward_model") && has("prompt")) return "verl";
  if (has("prompt")) return "prompt";
  if (questionColumns.some((column) => has(column))) return "question";
  return has("text") ? "text" : undefined;
}
