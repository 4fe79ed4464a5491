/**
 * The verifiers of allenai/open-instruct that rewards in the wild name (open_instruct/ground_truth_utils.py and math_utils.py,
 * Apache-2.0): a score from 0 to 1 for a response and a label. Its `is_equiv`, SymPy there, is this package's comparison.
 */

import { MAX_ANSWER_LENGTH, MAX_RESPONSE_LENGTH, OverBudget } from "../limits.js";
import { tryParse } from "../parse.js";
import { newBudget } from "../points.js";
import { equalScalars } from "../scalars.js";
import { normaliseText, tokenF1 } from "../text-answers.js";
import { hendrycksEqual, hendrycksExtract } from "./hendrycks.js";

export type AnswerScorer = (response: string, label: string | readonly string[]) => number;

/** Its patterns look back over all of a text: of a long one the end is read. */
const MAX_TEXT = 20_000;
const bounded = (text: string): string => text.slice(-MAX_TEXT);

/** What comes after the thinking, without the answer's tags. */
function withoutThinking(response: string): string {
  const text = response.replaceAll("<|assistant|>", "").trim().split("</think>").at(-1) ?? "";
  return text.replaceAll("<answer>", "").replaceAll("</answer>", "").trim();
}

const only = (label: string | readonly string[]): string =>
  typeof label === "string" ? label : (label[0] ?? "");
const score = (pass: boolean): number => (pass ? 1 : 0);

function gsm8k(response: string, label: string | readonly string[]): number {
  // Commas between digits go, pair by pair as Python's re.sub does it.
  const text = bounded(response).replace(/(\d),(\d)/g, "$1$2");
  const last = text.match(/[-+]?(?:\d*\.\d+|\d+)/g)?.at(-1) ?? text;
  return score(last.toLowerCase() === only(label).toLowerCase());
}

const SUBSTITUTIONS: readonly (readonly [string, string])[] = [
  ["an ", ""],
  ["a ", ""],
  [".$", "$"],
  ["\\$", ""],
  ["\\ ", ""],
  [" ", ""],
  ["mbox", "text"],
  [",\\text{and}", ","],
  ["\\text{and}", ","],
  ["\\text{m}", "\\text{}"],
];
/** Appendix D of Lewkowycz et al. 2022. */
const REMOVED = [
  ..."square ways integers dollars mph inches ft hours km units \\ldots sue points feet minutes digits cents degrees cm gm pounds".split(
    " ",
  ),
  ..."meters meals edges students childrentickets multiples \\text{s} \\text{.}".split(" "),
  "\\text{\ns}",
  "\\text{}^2",
  "\\text{}^3",
  "\\text{\n}",
  ...'\\text{} \\mathrm{th} ^\\circ ^{\\circ} \\; ,\\! {,} " \\dots'.split(" "),
];

function minervaNormal(source: string): string {
  let text = source.split("=").at(-1) ?? "";
  for (const [from, to] of SUBSTITUTIONS) text = text.replaceAll(from, to);
  for (const word of REMOVED) text = text.replaceAll(word, "");
  const formula = /\$([\s\S]*?)\$/.exec(text);
  if (formula !== null) text = `$${formula[1]}$`;
  text = text
    .replace(/\\text\{(.*?)\}/g, "$1")
    .replace(/\\textbf\{(.*?)\}/g, "$1")
    .replace(/\\overline\{(.*?)\}/g, "$1")
    .replace(/\\boxed\{(.*)\}/g, "$1")
    .replace(/frac([^{])(.)/g, "frac{$1}{$2}")
    .replace(/sqrt([^{])/g, "sqrt{$1}")
    .replaceAll("$", "");
  const digits = text.replaceAll(",", "");
  return /^\d+$/.test(digits) ? digits : text;
}

function minervaAnswer(response: string): string | undefined {
  const match = /Final Answer: The final answer is(.*?). I hope it is correct./.exec(
    `${response}I hope it is correct.`,
  );
  return match === null ? undefined : minervaNormal((match[1] ?? "").trim());
}

/** Equal as symbols, or as cleaned text. */
function isEquivalent(answer: string, label: string): boolean {
  if (answer.length > MAX_ANSWER_LENGTH) return false;
  const [a, b] = [tryParse(answer), tryParse(label)];
  try {
    if (a !== undefined && b !== undefined && equalScalars(a, b, newBudget())) return true;
  } catch (error) {
    if (!(error instanceof OverBudget)) throw error;
  }
  return hendrycksEqual(answer, label);
}

function math(source: string, label: string | readonly string[]): number {
  const response = bounded(source);
  const answers = [hendrycksExtract(response), minervaAnswer(response)].filter(
    (answer) => answer !== undefined,
  );
  if (answers.length === 0) {
    const dollars = [...response.matchAll(/\$/g)].map((match) => match.index);
    const [from, to] = dollars.slice(-2);
    if (from !== undefined && to !== undefined) answers.push(minervaNormal(response.slice(from + 1, to)));
    else answers.push(minervaNormal(response), response);
  }
  return score(answers.some((answer) => isEquivalent(answer, only(label))));
}

function strictMath(source: string, label: string | readonly string[]): number {
  const response = bounded(source);
  return score(isEquivalent(minervaAnswer(response) ?? minervaNormal(response), only(label)));
}

const sameText = (answer: string, label: string | readonly string[]): number =>
  score(normaliseText(answer) === normaliseText(only(label)));

function stringMatcher(response: string, label: string | readonly string[]): number {
  if (!response.includes("<answer>") || !response.includes("</answer>")) return 0;
  return sameText((response.split("<answer>").at(-1) ?? "").split("</answer>")[0] ?? "", label);
}

/** A list of labels counts for `string_f1` alone, which takes the best. */
const scorers: Readonly<Record<string, AnswerScorer>> = {
  gsm8k,
  math,
  strict_math: strictMath,
  puzzle: (response, label) => sameText(withoutThinking(response), label),
  string_matcher: stringMatcher,
  flan: (response, label) => sameText((response.split("The answer is: ").at(-1) ?? "").trim(), label),
  string_f1: (response, label) => {
    const text = withoutThinking(response);
    return Math.max(...(typeof label === "string" ? [label] : label).map((one) => tokenF1(text, one).f1));
  },
};

/** By open-instruct's names. Of a response longer than MAX_RESPONSE_LENGTH the end is read. */
export const openInstructScorers: Readonly<Record<string, AnswerScorer>> = Object.fromEntries(
  Object.entries(scorers).map(([name, scorer]): [string, AnswerScorer] => [
    name,
    (response, label) => scorer(response.slice(-MAX_RESPONSE_LENGTH), label),
  ]),
);
