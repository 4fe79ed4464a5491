/**
 * What a verifier is: a name, what it needs to find in a row, and how it grades a response with it. The needs are a zod schema, so
 * that a row without them is found before anything is graded, and so that an error can say which field.
 */

import { type AnswerGrader, answerModes, exactMatchExtractions } from "@posttrain/answers";
import type { Verdict } from "@posttrain/data";
import { comparisonKinds, type GradeOptions } from "@posttrain/sandbox";
import { z } from "zod";

/** A row of a data file: extra columns are welcome everywhere. */
export type Row = Readonly<Record<string, unknown>>;

/** What decides how strictly a verifier grades; each reads what concerns it. Set for a file, and overridden by a row. */
export const verifierSettings = z.strictObject({
  /** Whose conventions decide whether answers agree; `own` is for rewards. */
  mode: z.enum([...answerModes, "open-instruct"]).optional(),
  /** Own mode: `lenient` goes on to the last formula, letter or number where no answer is announced. */
  extraction: z.enum(["strict", "lenient"]).optional(),
  /** exact_match: what of a response is its answer. Default: auto. */
  extract: z.enum(exactMatchExtractions).optional(),
  /** Instructions: the response as it is, or any of IFEval's eight variants. */
  strictness: z.enum(["strict", "loose"]).optional(),
  /** Words: token F1 from which they agree. */
  minimum_f1: z.number().min(0).max(1).optional(),
  /** Numbers, in answers (own mode), and in what programs print and return: how far apart they may be. */
  tolerance: z
    .strictObject({ absolute: z.number().min(0).optional(), relative: z.number().min(0).optional() })
    .optional(),
  /** Verifiers that score from 0 to 1: the score from which a response passes. */
  pass_score: z.number().optional(),
  /** Programs: the block of an answer that counts. Default: the last that defines what is asked for, with what it uses of the others. */
  choose: z.enum(["first", "last", "longest", "all"]).optional(),
  /** Programs: whether their output is compared as the same bytes, words, lines, or with numbers within a tolerance. Default: words. */
  comparison: z.enum(comparisonKinds).optional(),
  /** Programs: CPU time in seconds for all tests together. */
  cpu_seconds: z.number().positive().max(3600).optional(),
  /** Programs: memory in MiB. */
  memory_mb: z.number().positive().max(1_000_000).optional(),
});

export type VerifierSettings = z.infer<typeof verifierSettings>;

/** Those of them that every command which grades programs has as options. */
export const programOptions = {
  choose: verifierSettings.shape.choose.describe(
    "the block of an answer that is its program; default: the last that defines what is asked for, with what it uses of the others",
  ),
  comparison: verifierSettings.shape.comparison.describe(
    "of what a program prints: the same words (tokens, the default), lines, bytes (exact), or numbers within a tolerance (floats)",
  ),
  absolute_tolerance: z
    .number()
    .min(0)
    .optional()
    .describe("how far numbers may be apart, in what a program prints or returns and in answers (own mode)"),
  relative_tolerance: z.number().min(0).optional().describe("the same, as a share of the expected number"),
};

type ProgramOptions = z.infer<z.ZodObject<typeof programOptions>>;

export function programSettings(options: ProgramOptions): VerifierSettings {
  const { choose, comparison, absolute_tolerance: absolute, relative_tolerance: relative } = options;
  const tolerance = {
    ...(absolute !== undefined && { absolute }),
    ...(relative !== undefined && { relative }),
  };
  return {
    ...(choose !== undefined && { choose }),
    ...(comparison !== undefined && { comparison }),
    ...(Object.keys(tolerance).length > 0 && { tolerance }),
  };
}

/** What verifiers grade with; held open for many rows. */
export interface Tools {
  readonly answers: AnswerGrader;
  /** Of the sandbox: route, whether unsealed tests are refused, a signal. */
  readonly sandbox: GradeOptions;
}

/**
 * What a verifier looks at. An answer is not there before its response has ended, and the answers of several responses can be counted;
 * programs and instructions are judged by what is there. A verifier of the user's own sees the whole response.
 */
export type Judged = "answer" | "program" | "instructions" | "response";

export interface VerifierDefinition {
  readonly name: string;
  readonly judges: Judged;
  readonly needs: z.ZodType;
  /** `needs` is what the schema made of the row. */
  readonly grade: (
    response: string,
    needs: unknown,
    settings: VerifierSettings,
    tools: Tools,
  ) => Promise<Verdict>;
}

/** Keeps the schema's type for `grade`. */
export function defineVerifier<Needs extends z.ZodType>(definition: {
  readonly name: string;
  readonly judges: Judged;
  readonly needs: Needs;
  readonly grade: (
    response: string,
    needs: z.output<Needs>,
    settings: VerifierSettings,
    tools: Tools,
  ) => Promise<Verdict>;
}): VerifierDefinition {
  return { ...definition, grade: definition.grade as VerifierDefinition["grade"] };
}

/** A row cannot be graded as it stands; retrying changes nothing. */
export function rowFault(reason: string): Verdict {
  return { outcome: "infrastructure-error", evidence: `Not graded: ${reason}`, details: { fault: "row" } };
}

/** A score from 0 to 1 as a verdict; the score stays readable in the details. */
export function scored(score: number, passScore: number, what: string): Verdict {
  return {
    outcome: score >= passScore ? "pass" : "fail",
    evidence: `${what} scores ${Number(score.toFixed(4))}; ${passScore} passes.`,
    details: { score },
  };
}
