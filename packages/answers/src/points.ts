/** Where an expression is evaluated: values of its variables, drawn from a seed, and what the evaluation may cost. */
import { MAX_STEPS, overBudget } from "./limits.js";
import { type Rational, rational } from "./rational.js";
import { type Node, walk } from "./syntax.js";

export interface Budget {
  steps: number;
}

export const newBudget = (): Budget => ({ steps: MAX_STEPS });

/** Values of variables by name; those that are missing are drawn from the seed. */
export interface Point {
  readonly seed: bigint;
  /** Integers of 61 bits or (under factorials) below 100 for exact evaluation; fractions for floating point. */
  readonly range: "integers" | "counting" | "positive" | "negative" | "signed";
  readonly values: Map<string, Rational>;
}

export const newPoint = (seed: bigint, range: Point["range"]): Point => ({ seed, range, values: new Map() });

const MASK = (1n << 64n) - 1n;

/** FNV-1a, then the finaliser of splitmix64. */
export function hash(text: string, seed = 0xcbf29ce484222325n): bigint {
  let h = seed & MASK;
  for (let i = 0; i < text.length; i++) h = ((h ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n) & MASK;
  h = ((h ^ (h >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  h = ((h ^ (h >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return h ^ (h >> 31n);
}

export function draw(point: Point, key: string): Rational {
  const h = hash(key, point.seed);
  if (point.range === "integers") return rational((h >> 3n) + 2n);
  if (point.range === "counting") return rational(3n + (h % 97n));
  // Between 1/8 and 32, on a fine grid.
  const octave = Number(h & 7n) - 3;
  const mantissa = (1n << 40n) + ((h >> 8n) & ((1n << 40n) - 1n));
  const negative = point.range === "negative" || (point.range === "signed" && ((h >> 60n) & 1n) === 1n);
  const sign = negative ? -1n : 1n;
  const scale = 1n << BigInt(40 - octave);
  return rational(sign * mantissa, scale);
}

export function variable(point: Point, name: string): Rational {
  let value = point.values.get(name);
  if (value === undefined) {
    value = draw(point, `variable ${name}`);
    point.values.set(name, value);
  }
  return value;
}

/** The names whose values an expression depends on; `e`, `i` and pi are constants. */
export function freeVariables(node: Node): Set<string> {
  const names = new Set<string>();
  for (const part of walk(node)) {
    if (part.kind === "variable") names.add(part.name);
    else if (part.kind === "word") names.add(`word ${part.text}`);
  }
  return names;
}

export const step = (budget: Budget): void => {
  if (--budget.steps < 0) throw overBudget;
};
