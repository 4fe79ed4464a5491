// A problem that is made, with its true answer and the way to it.
import type { Draws } from "../draws.js";

export interface MadeProblem {
  readonly kind: string;
  readonly text: string;
  readonly answer: string;
  /** Each computes something, with its numbers written out. */
  readonly steps: readonly string[];
}

/** Of a grade, 1 to 5; undefined: these draws gave none. */
export type ProblemMaker = (draws: Draws, difficulty: number) => MadeProblem | undefined;

export const divisor = (a: number, b: number): number => (b === 0 ? Math.abs(a) : divisor(b, a % b));

/** In lowest terms; a whole number as such. `below` is positive. */
export function lowest(above: number, below: number): string {
  const by = divisor(above, below);
  return below === by ? String(above / by) : `${above / by}/${below / by}`;
}

/** As a summand behind others: " + 3", " - 3". */
export const plus = (value: number, of = ""): string =>
  ` ${value < 0 ? "-" : "+"} ${of !== "" && Math.abs(value) === 1 ? "" : Math.abs(value)}${of}`;

/** As a factor of a letter: "x", "-x", "3x". */
export const times = (factor: number, letter: string): string =>
  `${factor === 1 ? "" : factor === -1 ? "-" : factor}${letter}`;
