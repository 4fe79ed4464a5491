// Data builder: arithmetic with worked steps, one digit at a time, true answers. Problem i of a seed is a function of (seed, i).
//
// Which pairs of operands are held out is a property of the pair alone, the same for every seed, kind and order of the two: a pair that
// is asked in an evaluation occurs in no training set. Subtraction puts the larger operand first: answers are never negative.
import { uniform, uniform4 } from "@posttrain/data";

export const arithmeticKinds = ["addition", "subtraction", "multiplication"] as const;
export type ArithmeticKind = (typeof arithmeticKinds)[number];

export interface ArithmeticProblem {
  readonly kind: ArithmeticKind;
  readonly operands: readonly [number, number];
  readonly answer: number;
}

/** A training row: messages, and what a grader or a table needs beside them. */
export interface ArithmeticRow extends ArithmeticProblem {
  readonly schema: "arithmetic@1";
  /** Digits of the longer operand. */
  readonly difficulty: number;
  readonly messages: readonly [
    { readonly role: "user"; readonly content: string },
    { readonly role: "assistant"; readonly content: string },
  ];
}

/** Digits of the two operands; each pair of lengths is drawn equally often. */
export type OperandLengths = Readonly<Record<ArithmeticKind, readonly (readonly [number, number])[]>>;

/** Addition and subtraction of 1 to 3 digits in every mix, multiplication of 2 by 1. */
export const shortOperands: OperandLengths = {
  addition: mixes([1, 2, 3], [1, 2, 3]),
  subtraction: mixes([1, 2, 3], [1, 2, 3]),
  multiplication: [[2, 1]],
};

/** One operand of 4 digits beside one of 1 to 4, multiplication of 3 by 1: longer than anything in shortOperands. */
export const longOperands: OperandLengths = {
  addition: [...mixes([4], [1, 2, 3, 4]), ...mixes([1, 2, 3], [4])],
  subtraction: mixes([4], [1, 2, 3, 4]),
  multiplication: [[3, 1]],
};

export interface ArithmeticOptions {
  readonly seed: number;
  readonly split: "training" | "heldOut";
  readonly lengths: OperandLengths;
}

/** Share of operand pairs that are held out. */
const heldOutShare = 0.25;

/** Problem `index` (from 0): its kind is arithmeticKinds[index % 3]. */
export function arithmeticProblem(
  index: number,
  { seed, split, lengths }: ArithmeticOptions,
): ArithmeticProblem {
  const kind = arithmeticKinds[index % 3] as ArithmeticKind;
  const choices = lengths[kind];
  for (let attempt = 0; ; attempt++) {
    const [u, v, w] = uniform4(seed, "dataBuilding", [index, attempt, split === "training" ? 0 : 1, 0]);
    const [first, second] = choices[Math.floor(u * choices.length)] as readonly [number, number];
    const pair: [number, number] = [numberOf(first, v), numberOf(second, w)];
    if (isHeldOut(pair) !== (split === "heldOut")) continue;
    if (kind === "subtraction") pair.sort((a, b) => b - a);
    return { kind, operands: pair, answer: results[kind](...pair) };
  }
}

/** `count` problems in equal shares, no two alike, from index `first` on (a multiple of 3). RangeError when there are not that many. */
export function distinctArithmeticProblems(
  count: number,
  { first = 0, ...options }: ArithmeticOptions & { readonly first?: number },
): readonly ArithmeticProblem[] {
  const taken = new Set<string>();
  const next = [first, first + 1, first + 2];
  return Array.from({ length: count }, (_, place) => {
    const kind = place % 3;
    for (let tries = 0; tries < 10_000; tries++) {
      const problem = arithmeticProblem(next[kind] as number, options);
      next[kind] = (next[kind] as number) + 3;
      const question = arithmeticQuestion(problem);
      if (taken.has(question)) continue;
      taken.add(question);
      return problem;
    }
    throw new RangeError(
      `there are no ${count} different ${options.split} problems with operands this short`,
    );
  });
}

/** Whether a pair belongs to evaluation, whatever the seed, the kind or the order. */
export function isHeldOut([a, b]: readonly [number, number]): boolean {
  return uniform(0, "dataBuilding", [Math.min(a, b), Math.max(a, b), 2, 0]) < heldOutShare;
}

export function arithmeticRow(problem: ArithmeticProblem): ArithmeticRow {
  return {
    schema: "arithmetic@1",
    ...problem,
    difficulty: String(Math.max(...problem.operands)).length,
    messages: [
      { role: "user", content: arithmeticQuestion(problem) },
      { role: "assistant", content: `${workedSteps(problem)}\nAnswer: ${problem.answer}` },
    ],
  };
}

const signs: Readonly<Record<ArithmeticKind, string>> = {
  addition: "+",
  subtraction: "-",
  multiplication: "*",
};
const results: Readonly<Record<ArithmeticKind, (a: number, b: number) => number>> = {
  addition: (a, b) => a + b,
  subtraction: (a, b) => a - b,
  multiplication: (a, b) => a * b,
};

export function arithmeticQuestion({ kind, operands: [a, b] }: ArithmeticProblem): string {
  return `What is ${a} ${signs[kind]} ${b}?`;
}

/**
 * Units first, a column a line; what a column passes on is the last number of the next line, from the second column on.
 *
 *     385 + 47   5+7=12    385 - 47   15-7=8 (15: it borrows)   47 * 6   7*6=42
 *                8+4+1=13             8-4-1=3                            4*6=24
 *                3+0+1=4              3-0-0=3                            24+4=28
 */
function workedSteps({ kind, operands: [a, b] }: ArithmeticProblem): string {
  const steps: string[] = [];
  const columns = kind === "multiplication" ? String(a).length : String(Math.max(a, b)).length;
  let carry = 0;
  for (let column = 0; column < columns; column++) {
    const x = digit(a, column);
    const y = digit(b, kind === "multiplication" ? 0 : column);
    if (kind === "subtraction") {
      const borrow = x - y - carry < 0 ? 1 : 0;
      const from = x + 10 * borrow;
      steps.push(`${from}-${y}${column === 0 ? "" : `-${carry}`}=${from - y - carry}`);
      carry = borrow;
      continue;
    }
    const own = results[kind](x, y);
    if (kind === "addition") {
      steps.push(`${x}+${y}${column === 0 ? "" : `+${carry}`}=${own + carry}`);
    } else {
      steps.push(`${x}*${y}=${own}`);
      if (column > 0) steps.push(`${own}+${carry}=${own + carry}`);
    }
    carry = Math.floor((own + carry) / 10);
  }
  return steps.join("\n");
}

/** The number after the last "Answer:", if that is how the text ends. */
export function extractArithmeticAnswer(text: string): string | undefined {
  return /(?:^|\n)Answer: (\d+)\s*$/.exec(text)?.[1];
}

/** Exact match of the final answer; a response that was cut off (finish "length") or has no answer is wrong. */
export function isArithmeticCorrect(
  { answer }: ArithmeticProblem,
  response: { readonly text: string; readonly finish: "stop" | "length" },
): boolean {
  return response.finish === "stop" && extractArithmeticAnswer(response.text) === String(answer);
}

function mixes(first: readonly number[], second: readonly number[]): [number, number][] {
  return first.flatMap((a) => second.map((b): [number, number] => [a, b]));
}

/** A whole number of that many digits; one digit may be 0. `u` in [0, 1). */
function numberOf(length: number, u: number): number {
  const least = length === 1 ? 0 : 10 ** (length - 1);
  return least + Math.floor(u * (10 ** length - least));
}

function digit(value: number, column: number): number {
  return Math.floor(value / 10 ** column) % 10;
}
