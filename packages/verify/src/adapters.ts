/**
 * Reward functions as other trainers have them, as verifiers. TRL: (completions, columns) to a list of numbers or nulls. verl:
 * (data_source, solution_str, ground_truth, extra_info) to a number or {score}. Our own: (response, row) to a verdict, a truth value
 * or a number. A number is a score; from `passScore` (1) it passes. null: not applicable, so nobody's lesson.
 */
import { asDouble, isJsonObject, outcomes, stringifyJson, type Verdict } from "@posttrain/data";
import { referenceValue } from "./references.js";
import { responseColumns } from "./responses.js";
import { type Row, scored } from "./verifier.js";

/** What calls a function: whose signature it has. */
export type Convention = "own" | "trl" | "verl";

export type TrlReward = (
  completions: readonly unknown[],
  columns: Readonly<Record<string, readonly unknown[]>>,
) => readonly (number | null)[] | Promise<readonly (number | null)[]>;

export type VerlScore = (
  dataSource: unknown,
  solution: string,
  groundTruth: unknown,
  extraInfo: unknown,
) => number | boolean | { readonly score: number } | Promise<number | boolean | { readonly score: number }>;

export type Grade = (response: string, row: Row) => Promise<Verdict>;

/** By a function's name: compute_score is verl's, grade ours, all else a reward function of TRL's. */
export function conventionOf(name: string): Convention {
  if (name === "grade") return "own";
  return /^compute_?score$/i.test(name) ? "verl" : "trl";
}

/** One completion and its row, in the form that TRL calls with: lists of one; messages where the row has messages. */
export function trlArguments(response: string, row: Row): readonly [unknown[], Record<string, unknown[]>] {
  const isConversational = Array.isArray(row["prompt"]) || Array.isArray(row["completion"]);
  const completion = isConversational ? [{ role: "assistant", content: response }] : response;
  const isResponse = (name: string): boolean =>
    name !== "solution" && responseColumns.some((one) => one === name);
  const rest = Object.entries(row).filter(([name]) => name !== "prompt" && !isResponse(name));
  return [
    [completion],
    {
      prompts: [row["prompt"] ?? row["question"] ?? row["messages"] ?? null],
      ...Object.fromEntries(rest.map(([name, value]) => [name, [value]])),
    },
  ];
}

/** All responses to one prompt, as TRL calls with a batch: lists of one length, each column once for every response. */
export function trlGroupArguments(
  responses: readonly { readonly text: string; readonly ids: Int32Array; readonly promptIds: Int32Array }[],
  row: Row,
): readonly [unknown[], Record<string, unknown[]>] {
  const all = responses.map(({ text }) => trlArguments(text, row));
  const [, columns = {}] = all[0] ?? [];
  return [
    all.flatMap(([completions]) => completions),
    {
      ...Object.fromEntries(
        Object.entries(columns).map(([name, [value]]) => [name, responses.map(() => value)]),
      ),
      completion_ids: responses.map(({ ids }) => [...ids]),
      prompt_ids: responses.map(({ promptIds }) => [...promptIds]),
    },
  ];
}

export function verlArguments(response: string, row: Row): readonly [unknown, string, unknown, unknown] {
  return [row["data_source"] ?? null, response, referenceValue(row)?.value ?? null, row["extra_info"] ?? {}];
}

/** What a function of the user's returned, as a verdict. What it cannot mean is nobody's failure. */
export function verdictOf(value: unknown, convention: Convention, passScore = 1): Verdict {
  if (convention === "trl") {
    return Array.isArray(value) && value.length === 1
      ? fromScore(value[0], passScore)
      : unusable(value, "a list of one number or null, for one completion");
  }
  if (convention === "verl" && isJsonObject(value)) {
    const { score, ...rest } = value;
    const verdict = fromScore(score, passScore);
    return { ...verdict, details: { ...rest, ...verdict.details } };
  }
  if (convention === "own" && isJsonObject(value)) return fromVerdict(value);
  return fromScore(value, passScore);
}

function fromScore(given: unknown, passScore: number): Verdict {
  const value = asDouble(given);
  if (typeof value === "boolean")
    return { outcome: value ? "pass" : "fail", evidence: `The verifier returned ${value}.` };
  if (value === null)
    return {
      outcome: "infrastructure-error",
      evidence: "Not graded: the verifier returned null, which says that it does not apply to this row.",
      details: { fault: "row" },
    };
  if (typeof value === "number" && Number.isFinite(value)) return scored(value, passScore, "The verifier");
  return unusable(value, "a number, true, false or null");
}

function fromVerdict(value: Readonly<Record<string, unknown>>): Verdict {
  const { outcome, evidence, details } = value;
  const known = outcomes.find((one) => one === outcome);
  if (known === undefined) return unusable(value, `a verdict whose outcome is one of ${outcomes.join(", ")}`);
  return {
    outcome: known,
    evidence: typeof evidence === "string" ? evidence : `The verifier says ${known}.`,
    ...(isJsonObject(details) && { details }),
  };
}

function unusable(value: unknown, expected: string): Verdict {
  return {
    outcome: "infrastructure-error",
    evidence: `Not graded: the verifier returned ${stringifyJson(value)?.slice(0, 200)}, expected ${expected}.`,
    details: { fault: "verifier" },
  };
}

/** TRL's signature as a verifier, in this process. It is called with one completion at a time. */
export function fromTrlReward(reward: TrlReward, options: { readonly passScore?: number } = {}): Grade {
  return async (response, row) =>
    verdictOf(await reward(...trlArguments(response, row)), "trl", options.passScore);
}

/** verl's signature as a verifier, in this process. */
export function fromVerlScore(score: VerlScore, options: { readonly passScore?: number } = {}): Grade {
  return async (response, row) =>
    verdictOf(await score(...verlArguments(response, row)), "verl", options.passScore);
}
