/**
 * A response against a list of instructions: one verdict, with what each instruction found. Strict takes the
 * response as it is; loose is content with any of eight variants (first line away, last line away, both, and
 * each of the four without asterisks), as IFEval's two accuracies are defined. An empty response follows nothing.
 */

import type { Outcome, Verdict } from "@posttrain/data";
import { UserError } from "@posttrain/data";
import type { Finding } from "./instruction.js";
import { findKind } from "./kinds.js";
import { isBlank, strip } from "./python-text.js";

export interface InstructionRequest {
  readonly id: string;
  readonly kwargs?: unknown;
}

export type Strictness = "strict" | "loose";

/** Evidence quotes responses and parameters, which may be of any length. */
const MAX_EVIDENCE = 500;

/** What one instruction of the list came to. */
export interface InstructionResult {
  readonly id: string;
  readonly outcome: Extract<Outcome, "pass" | "fail" | "infrastructure-error">;
  readonly evidence: string;
}

/** A verdict whose details have one entry for each instruction, in order. */
export interface InstructionVerdict extends Verdict {
  readonly outcome: InstructionResult["outcome"];
  readonly details: { readonly fault?: "row"; readonly instructions: readonly InstructionResult[] };
}

/**
 * Passes if every instruction is followed. An instruction that cannot be checked (unknown id, parameters that
 * do not fit, a pattern that does not end) makes the verdict `infrastructure-error`: it is the row's fault.
 */
export async function checkInstructions(
  response: string,
  requests: readonly InstructionRequest[],
  strictness: Strictness,
): Promise<InstructionVerdict> {
  const variants = (strictness === "strict" ? [response] : looseVariants(response)).filter(
    (variant) => !isBlank(variant),
  );
  const instructions: InstructionResult[] = [];
  for (const request of requests) instructions.push(await checkOne(variants, request));
  const having = (outcome: Outcome) => instructions.filter((result) => result.outcome === outcome);
  const unchecked = having("infrastructure-error");
  if (unchecked.length > 0 || requests.length === 0) {
    const evidence =
      unchecked[0]?.evidence ?? "The list of instructions is empty: there is nothing to check.";
    return { outcome: "infrastructure-error", evidence, details: { fault: "row", instructions } };
  }
  const failed = having("fail");
  return {
    outcome: failed.length === 0 ? "pass" : "fail",
    evidence: (failed.length === 0 ? instructions : failed)
      .map(({ id, evidence }) => `${id}: ${evidence}`)
      .join("; "),
    details: { instructions },
  };
}

async function checkOne(
  variants: readonly string[],
  { id, kwargs }: InstructionRequest,
): Promise<InstructionResult> {
  try {
    const finding = await firstFollowed(variants, id, kwargs);
    return {
      id,
      outcome: finding.followed ? "pass" : "fail",
      evidence: finding.evidence.slice(0, MAX_EVIDENCE),
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { id, outcome: "infrastructure-error", evidence: error.message.slice(0, MAX_EVIDENCE) };
  }
}

/** The finding on the first variant that follows the instruction, else on the response as it is. */
async function firstFollowed(variants: readonly string[], id: string, kwargs: unknown): Promise<Finding> {
  const kind = findKind(id);
  if (kind === undefined) {
    throw new UserError(
      "unknown_instruction",
      `There is no instruction kind "${id}". Kinds are named as in IFEval, such as "keywords:existence", or as in open-instruct's if_functions, such as "verify_keywords".`,
    );
  }
  const check = kind.checker(kwargs);
  let onWhole: Finding | undefined;
  for (const variant of variants) {
    const finding = await check(variant);
    if (finding.followed) return finding;
    onWhole ??= finding;
  }
  return onWhole ?? { followed: false, evidence: "the response is empty" };
}

function looseVariants(response: string): string[] {
  const lines = response.split("\n");
  const shortened = [lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)].map((part) =>
    strip(part.join("\n")),
  );
  const variants = [response, ...shortened];
  return [...new Set([...variants, ...variants.map((variant) => variant.replaceAll("*", ""))])];
}
