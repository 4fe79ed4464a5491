/**
 * One answer against its reference, in the conventions of one grader: extraction, comparison, verdict. Pure and synchronous:
 * stages call it through the pool of answer-grader.ts, which can be killed.
 */

import type { Verdict } from "@posttrain/data";
import { UNENDED_THINKING, withoutThinking } from "@posttrain/data";
import { compareAnswers, isJson } from "./compare.js";
import type { CompareOptions } from "./compare-trees.js";
import { type ExtractionOptions, extractAnswer } from "./extract.js";
import { ENGLISH, LANGUAGES } from "./languages.js";
import { MAX_ANSWER_LENGTH, MAX_RESPONSE_LENGTH, NoValue, OverBudget } from "./limits.js";
import { newBudget } from "./points.js";
import { gsm8kEqual, gsm8kExtract } from "./published/gsm8k.js";
import { hendrycksEqual, hendrycksExtract } from "./published/hendrycks.js";
import { type MathVerifyOptions, mathVerify } from "./published/math-verify.js";
import { qwenEqual, qwenExtract, qwenStrip } from "./published/qwen.js";

export const answerModes = ["own", "qwen2.5-math", "hendrycks", "math-verify", "gsm8k"] as const;

/** Whose conventions decide. `own` is for rewards; the others reproduce a published grader, its mistakes included. */
export type AnswerMode = (typeof answerModes)[number];

export interface AnswerOptions extends CompareOptions, ExtractionOptions {
  readonly mode?: AnswerMode;
  /** The response is the answer itself: nothing is extracted, and nothing that extraction cleans is cleaned. */
  readonly extracted?: boolean;
  /** Of `math-verify`: what its parse and verify take. */
  readonly mathVerify?: Omit<MathVerifyOptions, "language"> & {
    /** Lower-case English name, of the languages that lighteval knows. */
    readonly language?: string;
  };
}

/** What decided, for programs. */
interface Details {
  readonly fault?: "row";
  readonly mode: AnswerMode;
  readonly reference: string;
  readonly extracted?: string;
  readonly extractedBy?: string;
  readonly rule?: string;
}

type Outcome = Verdict["outcome"];

const shorten = (text: string): string =>
  text.length > 200 ? `${text.slice(0, 100)} … ${text.slice(-90)}` : text;

function conclude(outcome: Outcome, evidence: string, details: Details): Verdict {
  return { outcome, evidence, details: { ...details, reference: shorten(details.reference) } };
}

/** Against several references the best verdict counts: a pass with any is a pass. */
export function gradeAnswer(
  reference: string | readonly string[],
  response: string,
  options: AnswerOptions = {},
): Verdict {
  const references = typeof reference === "string" ? [reference] : reference;
  let best: Verdict | undefined;
  for (const one of references) {
    const verdict = gradeOne(one, response, options);
    if (verdict.outcome === "pass") return verdict;
    best ??= verdict;
  }
  return best ?? noReference(options.mode ?? "own", "");
}

const noReference = (mode: AnswerMode, reference: string): Verdict =>
  conclude(
    "infrastructure-error",
    "The reference is empty or cannot be read, so no answer can be graded against it.",
    { fault: "row", mode, reference },
  );

function gradeOne(reference: string, response: string, options: AnswerOptions): Verdict {
  const mode = options.mode ?? "own";
  if (reference.trim() === "" || (options.kind === "json" && !isJson(reference)))
    return noReference(mode, reference);
  try {
    return mode === "own"
      ? gradeOwn(reference, response, options)
      : gradeAs(mode, reference, response, options);
  } catch (error) {
    if (error instanceof NoValue) {
      const evidence = `Comparing the answer with the reference "${shorten(reference)}" leaves the range of numbers.`;
      return conclude("fail", evidence, { mode, reference });
    }
    if (!(error instanceof OverBudget)) throw error;
    const evidence =
      "Comparing the answer with the reference takes more operations than one comparison may spend.";
    return conclude("timeout", evidence, { mode, reference });
  }
}

function gradeOwn(reference: string, response: string, options: AnswerOptions): Verdict {
  const details: Details = { mode: "own", reference };
  const extraction =
    options.extracted === true
      ? ({ found: true, text: response, by: "whole" } as const)
      : extractAnswer(response, options);
  if (!extraction.found)
    return conclude("unparseable", `The response has no final answer: ${extraction.reason}.`, details);
  const known: Details = { ...details, extracted: shorten(extraction.text), extractedBy: extraction.by };
  if (extraction.text.length > MAX_ANSWER_LENGTH) {
    const evidence = `The answer has ${extraction.text.length} characters; more than ${MAX_ANSWER_LENGTH} are not read.`;
    return conclude("unparseable", evidence, known);
  }
  const said = "whole" in extraction ? saidOf(reference, extraction, options) : extraction.text;
  const comparison = compareAnswers(reference, said, options, newBudget());
  const decided: Details = { ...known, rule: comparison.by };
  const both = `the answer ${JSON.stringify(shorten(extraction.text))} (${extraction.by}) and the reference ${JSON.stringify(shorten(reference))}`;
  if (comparison.equal) return conclude("pass", `By ${comparison.by}, ${both} are the same.`, decided);
  // Words where a number was asked for are a wrong answer; signs that nobody can read are none.
  const isWords = /^[\p{L}\p{M}\s'’,.!?-]*$/u.test(extraction.text);
  if (comparison.unreadable === true && !isWords) {
    return conclude(
      "unparseable",
      `The answer ${JSON.stringify(shorten(extraction.text))} cannot be read.`,
      decided,
    );
  }
  return conclude("fail", `By ${comparison.by}, ${both} are not shown to be the same.`, decided);
}

/** Words may be an answer together with what reads like an explanation of them; so may data. */
function saidOf(
  reference: string,
  { text, whole }: { readonly text: string; readonly whole?: string },
  options: AnswerOptions,
): string {
  if (whole === undefined) return text;
  if (options.kind === "json") return whole;
  const { minimumF1: _, ...exact } = options;
  return compareAnswers(reference, whole, { ...exact, kind: "text" }, newBudget()).equal ? whole : text;
}

function gradeAs(
  mode: Exclude<AnswerMode, "own">,
  reference: string,
  response: string,
  options: AnswerOptions,
): Verdict {
  const details: Details = { mode, reference };
  const given = options.extracted === true;
  const seen = given ? response : withoutThinking(response);
  if (seen === undefined) return conclude(UNENDED_THINKING.outcome, UNENDED_THINKING.evidence, details);
  const text = seen.slice(-MAX_RESPONSE_LENGTH);
  const finish = (equal: boolean, extracted: string): Verdict =>
    conclude(
      equal ? "pass" : "fail",
      `${mode} ${equal ? "accepts" : "refuses"} ${JSON.stringify(shorten(extracted))} for ${JSON.stringify(shorten(reference))}.`,
      { ...details, extracted: shorten(extracted) },
    );
  const none = (): Verdict => conclude("unparseable", `${mode} finds no answer in the response.`, details);
  if (mode === "math-verify") {
    const { language, ...rest } = options.mathVerify ?? {};
    const settings = { ...rest, language: LANGUAGES[language ?? "english"] ?? ENGLISH };
    const grade = (gold: string) => mathVerify(gold, text, settings, newBudget());
    let result = grade(reference);
    // Math-Verify wants its references in mathematics: one in which it finds nothing is put there.
    if (result.gold.tree === undefined && result.gold.text === undefined) result = grade(`$${reference}$`);
    if (result.gold.tree === undefined && result.gold.text === undefined) return noReference(mode, reference);
    if (result.prediction.text === undefined && result.prediction.tree === undefined) return none();
    return finish(result.equal, result.prediction.text ?? "");
  }
  const extracted = given
    ? text
    : mode === "gsm8k"
      ? gsm8kExtract(text)
      : mode === "hendrycks"
        ? hendrycksExtract(text)
        : qwenExtract(text);
  if (extracted === undefined || (extracted === "" && !given)) return none();
  if (extracted.length > MAX_ANSWER_LENGTH)
    return conclude("unparseable", "The answer is too long to be read.", details);
  if (mode === "gsm8k") return finish(gsm8kEqual(reference, extracted), extracted);
  if (mode === "hendrycks") return finish(hendrycksEqual(reference, extracted), extracted);
  // Its grader compares what its parser has cleaned; an answer given as extracted is taken as cleaned.
  const gold = given ? reference : qwenStrip(reference);
  return finish(qwenEqual(gold, extracted, newBudget()), extracted);
}
