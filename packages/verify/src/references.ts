/** Where a row keeps the right answer, whoever wrote the file. */

import { extractAnswer } from "@posttrain/answers";
import { isJsonNumber, plainAnswer, stringifyJson } from "@posttrain/data";
import { z } from "zod";
import { parseLiteral } from "./python-literal.js";
import type { Row } from "./verifier.js";

/** In the order in which they are looked at. `solution` is TRL's and MATH's; where it is the response it is no reference. */
const referenceColumns = [
  "answer",
  "ground_truth",
  "reward_model",
  "reference",
  "target",
  "gold",
  "label",
  "expected_answer",
  "final",
  "solution",
] as const;

/** The raw value of the reference and its column; undefined where the row has none. */
export function referenceValue(row: Row): { readonly value: unknown; readonly column: string } | undefined {
  const solutionIsResponse = !["responses", "completions", "response", "completion", "prediction"].some(
    (name) => row[name] != null,
  );
  for (const column of referenceColumns) {
    if (column === "solution" && solutionIsResponse) continue;
    const value = row[column];
    if (value === undefined || value === null) continue;
    if (column !== "reward_model") return { value, column };
    const nested = (value as Readonly<Record<string, unknown>>)["ground_truth"];
    if (nested !== undefined && nested !== null)
      return { value: nested, column: "reward_model.ground_truth" };
  }
  return undefined;
}

/** The references as texts, of which one is enough. Numbers count as the row writes them, truth values as what they read as. */
export const references = referencesWith(String);

/** The same, but a number is its value: 72.0 is 72. */
export const plainReferences = referencesWith(plainAnswer);

function referencesWith(numberText: (value: unknown) => string) {
  return z
    .custom<Row>((row) => typeof row === "object" && row !== null)
    .transform((row, context): readonly string[] => {
      const found = referenceValue(row);
      const refuse = (message: string): typeof z.NEVER => {
        context.addIssue({ code: "custom", message });
        return z.NEVER;
      };
      if (found === undefined) {
        return refuse(
          "it has no reference: expected answer, ground_truth, reward_model.ground_truth, target, label or solution",
        );
      }
      const { value, column } = found;
      const values = Array.isArray(value) ? value : isTargets(value) ? value.target : [value];
      const texts = (Array.isArray(values) ? values : [values]).map((one) => plainText(one, numberText));
      if (texts.length === 0 || texts.some((text) => text === undefined || text.trim() === "")) {
        return refuse(
          `${column}: expected text, a number, true or false, or a list of these, came ${stringifyJson(value)?.slice(0, 80)}`,
        );
      }
      return texts as string[];
    });
}

/** verl's search data: {"target": [...]}. */
function isTargets(value: unknown): value is { readonly target: unknown } {
  return typeof value === "object" && value !== null && "target" in value;
}

function plainText(value: unknown, numberText: (value: unknown) => string): string | undefined {
  if (typeof value === "string") return value;
  if (isJsonNumber(value)) return numberText(value);
  return typeof value === "boolean" ? String(value) : undefined;
}

/** Of a reference that shows its work (`... #### 72`, `... \boxed{72}`) what it comes to. */
export function finalAnswer(reference: string): string {
  if (!/####|\\(?:boxed|fbox)/.test(reference)) return reference;
  const extraction = extractAnswer(reference);
  return extraction.found ? extraction.text : reference;
}

/** A column that holds data, or data as text (JSON, or Python's literals). */
export function dataOf(value: unknown): unknown {
  if (typeof value !== "string") return value;
  return parseLiteral(value)?.value;
}
