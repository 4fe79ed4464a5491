/**
 * Whether two expressions are one, shown and not guessed: the same exact rational; else the same value at random points,
 * exactly where both are rational functions, to 200 bits where they are not. The points come from a hash of the pair, so
 * a comparison always goes the same way, and no answer can be made for points known beforehand. docs/answer-matching.md
 * states the chance of error.
 */
import { agree, divComplex, isZero } from "./bigfloat.js";
import { approximately } from "./evaluate.js";
import { exactly } from "./exact-value.js";
import { type Budget, freeVariables, hash, newPoint, type Point } from "./points.js";
import { divide, equal, type Rational } from "./rational.js";
import { canonicalText, type Node, walk } from "./syntax.js";

/** Exact points: a different rational function of degree d survives one with chance d / 2^61. */
const EXACT_POINTS = 2;
/** Points below 100 for factorials of letters. */
const COUNTING_POINTS = 6;
/** Floating points that must agree, of so many that may be tried. */
const FLOAT_POINTS = 4;
const FLOAT_TRIES = 14;

export function infinityOf(node: Node): 1 | -1 | undefined {
  if (node.kind === "constant" && node.name === "infinity") return 1;
  if (node.kind !== "negative") return undefined;
  const inner = infinityOf(node.of);
  return inner === undefined ? undefined : inner === 1 ? -1 : 1;
}

const usesImaginary = (node: Node): boolean => {
  for (const part of walk(node)) if (part.kind === "constant" && part.name === "i") return true;
  return false;
};

function seedOf(a: Node, b: Node): bigint {
  const [first, second] = [canonicalText(a), canonicalText(b)].sort();
  return hash(`${first}\u0000${second}`);
}

export function equalScalars(a: Node, b: Node, budget: Budget): boolean {
  const [infinityA, infinityB] = [infinityOf(a), infinityOf(b)];
  if (infinityA !== undefined || infinityB !== undefined) return infinityA === infinityB;
  if (canonicalText(a) === canonicalText(b)) return !alwaysWithoutValue(a, budget);
  const seed = seedOf(a, b);
  const constant = freeVariables(a).size === 0 && freeVariables(b).size === 0;
  if (!constant && !(isRationalFunction(a) && isRationalFunction(b)))
    return equalApproximately(a, b, seed, constant, budget);
  const counting = !constant && (counts(a) || counts(b));
  for (let k = 0; k < (counting ? COUNTING_POINTS : EXACT_POINTS); k++) {
    const point = newPoint(seed + BigInt(k), counting ? "counting" : "integers");
    const [x, y] = [exactly(a, point, budget), exactly(b, point, budget)];
    if (x === "none" || y === "none") return false;
    if (x === "inexact" || y === "inexact") return equalApproximately(a, b, seed, constant, budget);
    if (!equal(x, y)) return false;
  }
  return true;
}

/** Made of +, -, *, / and whole powers: equal on the positive integers is equal everywhere. */
function isRationalFunction(node: Node): boolean {
  for (const part of walk(node)) {
    if (
      part.kind === "apply" &&
      !/^(?:factorial|binomial)$/.test(part.name) &&
      !part.name.startsWith("call:")
    )
      return false;
    if (
      part.kind === "power" &&
      (freeVariables(part.exponent).size > 0 || !isRationalFunction(part.exponent))
    )
      return false;
    if (part.kind === "power" && part.exponent.kind === "quotient") return false;
    if (part.kind === "power" && part.exponent.kind === "number" && part.exponent.value.d !== 1n)
      return false;
  }
  return true;
}

/** A factorial or binomial of letters has exact values at small whole numbers only. */
function counts(node: Node): boolean {
  for (const part of walk(node)) {
    if (part.kind === "apply" && /^(?:factorial|binomial)$/.test(part.name) && freeVariables(part).size > 0)
      return true;
  }
  return false;
}

/** 0/0 equals not even itself; an overflow that is written the same way twice does. */
function alwaysWithoutValue(node: Node, budget: Budget): boolean {
  for (const part of walk(node)) {
    if (part.kind !== "quotient") continue;
    const bottom = exactly(part.bottom, newPoint(1n, "integers"), budget);
    if (typeof bottom === "object" && bottom.n === 0n) return true;
  }
  return false;
}

function equalApproximately(a: Node, b: Node, seed: bigint, constant: boolean, budget: Budget): boolean {
  const imaginary = usesImaginary(a) || usesImaginary(b);
  let agreed = 0;
  for (let k = 0; k < FLOAT_TRIES; k++) {
    const point = floatPoint(seed, k);
    const [x, y] = [approximately(a, point, budget), approximately(b, point, budget)];
    if (constant) return x !== undefined && y !== undefined && agree(x.value, y.value);
    if (x === undefined || y === undefined) {
      // One has a value where the other has none: 1/x and x/x^2 at 0 never come here, ln(-x) and ln(x) do.
      continue;
    }
    if (imaginary || x.real === y.real) {
      if (agree(x.value, y.value)) agreed++;
      // Outside of the reals, principal values of equal expressions may part; such a point says nothing.
      else if (imaginary || x.real) return false;
    } else return false;
    if (agreed >= FLOAT_POINTS) return true;
  }
  return false;
}

/** The second point is negative in all variables, so that sqrt(x^2) and x part there. */
const floatPoint = (seed: bigint, k: number): Point =>
  newPoint(seed + BigInt(100 + k), k === 1 ? "negative" : k % 2 === 0 ? "positive" : "signed");

/**
 * The constant c with a = c b at every point tried, as +1 or -1 by its sign; undefined where there is none. Two
 * equations whose sides differ by a constant factor have the same solutions.
 */
export function constantRatio(a: Node, b: Node, budget: Budget): 1 | -1 | undefined {
  const seed = seedOf(a, b);
  if (!(isRationalFunction(a) && isRationalFunction(b))) return ratioApproximately(a, b, seed, budget);
  let first: Rational | undefined;
  for (let k = 0; k < EXACT_POINTS + 1; k++) {
    const point = newPoint(seed + BigInt(k), "integers");
    const [x, y] = [exactly(a, point, budget), exactly(b, point, budget)];
    if (x === "inexact" || y === "inexact") return ratioApproximately(a, b, seed, budget);
    if (x === "none" || y === "none" || x.n === 0n || y.n === 0n) return undefined;
    const ratio = divide(x, y);
    if (first !== undefined && !equal(ratio, first)) return undefined;
    first = ratio;
  }
  return first === undefined ? undefined : first.n > 0n ? 1 : -1;
}

function ratioApproximately(a: Node, b: Node, seed: bigint, budget: Budget): 1 | -1 | undefined {
  let first: ReturnType<typeof divComplex> | undefined;
  let agreed = 0;
  for (let k = 0; k < FLOAT_TRIES && agreed < FLOAT_POINTS; k++) {
    const point = floatPoint(seed, k);
    const [x, y] = [approximately(a, point, budget), approximately(b, point, budget)];
    if (x === undefined || y === undefined) continue;
    if (isZero(x.value) || isZero(y.value)) return undefined;
    const ratio = divComplex(x.value, y.value);
    if (first === undefined) first = ratio;
    else if (!agree(ratio, first)) return undefined;
    agreed++;
  }
  if (first === undefined || agreed < FLOAT_POINTS || first.im.m !== 0n) return undefined;
  return first.re.m > 0n ? 1 : -1;
}
