/**
 * The value of an expression at a point: exact while it is rational, else complex with 320 bits. What has no value
 * (division by zero, overflow, a cap, infinity) throws `noValue`, and so agrees with nothing.
 *
 * Conventions: roots and rational powers of negative numbers are real where a real root exists ((-8)^(1/3) = -2);
 * otherwise principal values. `log` without a base is base 10 (`lg` in the tree), `ln` natural. A function that is not known,
 * a limit, an integral and a sum with letters in its bounds are black boxes: their value is a number drawn from a hash
 * of what goes in, so that equal arguments give equal values and others, but for one in 2^60, do not.
 */

import type { Complex } from "./bigfloat.js";
import * as big from "./bigfloat.js";
import { MAX_FACTORIAL, MAX_STEPS, MAX_TERMS, NoValue, noValue, overBudget } from "./limits.js";
import type { Rational } from "./rational.js";
import * as exact from "./rational.js";
import { canonicalText, type Node, walk } from "./syntax.js";

/** Thrown by the exact evaluator where a value is not rational. */
class Inexact extends Error {
  override readonly name = "Inexact";
}

const inexact = new Inexact("inexact");

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

function draw(point: Point, key: string): Rational {
  const h = hash(key, point.seed);
  if (point.range === "integers") return exact.rational((h >> 3n) + 2n);
  if (point.range === "counting") return exact.rational(3n + (h % 97n));
  // Between 1/8 and 32, on a fine grid.
  const octave = Number(h & 7n) - 3;
  const mantissa = (1n << 40n) + ((h >> 8n) & ((1n << 40n) - 1n));
  const negative = point.range === "negative" || (point.range === "signed" && ((h >> 60n) & 1n) === 1n);
  const sign = negative ? -1n : 1n;
  const scale = 1n << BigInt(40 - octave);
  return exact.rational(sign * mantissa, scale);
}

function variable(point: Point, name: string): Rational {
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

const step = (budget: Budget): void => {
  if (--budget.steps < 0) throw overBudget;
};

// Exact ---------------------------------------------------------------------------------------------------------------

function exactValue(node: Node, point: Point, budget: Budget): Rational {
  step(budget);
  const value = (of: Node): Rational => exactValue(of, point, budget);
  switch (node.kind) {
    case "number":
      return node.value;
    case "based":
      return fromBase(node.digits, node.base);
    case "variable":
      return variable(point, node.name);
    case "word":
      return variable(point, `word ${node.text.toLowerCase()}`);
    case "letters":
    case "product":
      return node.factors.map(value).reduce(exact.multiply, exact.ONE);
    case "sum":
      return node.terms.map(value).reduce(exact.add, exact.ZERO);
    case "quotient":
      return exact.divide(value(node.top), value(node.bottom));
    case "negative":
      return exact.negate(value(node.of));
    case "percent":
      return exact.divide(value(node.of), exact.rational(100n));
    case "degrees":
      return value(node.of);
    case "power":
      return exactPower(value(node.base), value(node.exponent));
    case "apply":
      return exactApply(node.name, node.args, point, budget);
    case "constant":
      if (node.name === "infinity") throw noValue;
      throw inexact;
    default:
      throw noValue;
  }
}

function fromBase(digits: string, base: number): Rational {
  let value = 0n;
  for (const digit of digits) {
    if (Number(digit) >= base) throw noValue;
    value = value * BigInt(base) + BigInt(digit);
  }
  return exact.rational(value);
}

function exactPower(base: Rational, exponent: Rational): Rational {
  if (exponent.d === 1n) return exact.power(base, exponent.n);
  if (exponent.d > 64n) throw inexact;
  const root = exact.exactRoot(base, Number(exponent.d));
  if (root === undefined) throw inexact;
  return exact.power(root, exponent.n);
}

function exactApply(name: string, args: readonly Node[], point: Point, budget: Budget): Rational {
  if (name === "sum" || name === "prod") {
    const terms = bounded(args, point, budget);
    if (terms !== undefined) {
      const values = terms.map((at) => exactValue(args[2] as Node, at, budget));
      return name === "sum" ? values.reduce(exact.add, exact.ZERO) : values.reduce(exact.multiply, exact.ONE);
    }
  }
  if (isBlackBox(name)) return draw(point, blackBoxKey(name, args, point, budget));
  const values = args.map((arg) => exactValue(arg, point, budget));
  const [a = exact.ZERO, b] = values;
  switch (name) {
    case "root": {
      const degree = a;
      if (degree.d !== 1n || degree.n < 1n || degree.n > 64n || b === undefined) throw inexact;
      const root = exact.exactRoot(b, Number(degree.n));
      if (root === undefined) throw inexact;
      return root;
    }
    case "factorial":
      return factorial(a);
    case "binomial":
      return binomial(a, b ?? exact.ZERO);
    case "abs":
      return a.n < 0n ? exact.negate(a) : a;
    case "floor":
      return exact.rational(exact.floor(a));
    case "ceil":
      return exact.rational(-exact.floor(exact.negate(a)));
    case "mod": {
      if (b === undefined || b.n === 0n) throw noValue;
      return exact.subtract(a, exact.multiply(b, exact.rational(exact.floor(exact.divide(a, b)))));
    }
    case "max":
      return values.reduce((x, y) => (exact.compare(x, y) >= 0 ? x : y));
    case "min":
      return values.reduce((x, y) => (exact.compare(x, y) <= 0 ? x : y));
    case "gcd":
    case "lcm":
      return integers(values, name);
    case "logBase":
    case "lg": {
      // log_2 8 = 3 exactly, where it is.
      const base = name === "lg" ? exact.rational(10n) : a;
      const of = name === "lg" ? a : (b ?? exact.ZERO);
      if (base.d === 1n && of.d === 1n && base.n > 1n && of.n > 0n) {
        let power = 0n;
        let rest = of.n;
        while (rest % base.n === 0n) {
          rest /= base.n;
          power++;
        }
        if (rest === 1n) return exact.rational(power);
      }
      throw inexact;
    }
    default:
      throw inexact;
  }
}

function factorial(a: Rational): Rational {
  if (a.d !== 1n || a.n < 0n || a.n > BigInt(MAX_FACTORIAL)) throw noValue;
  let product = 1n;
  for (let k = 2n; k <= a.n; k++) product *= k;
  return exact.rational(product);
}

function binomial(n: Rational, k: Rational): Rational {
  if (k.d !== 1n || k.n < 0n || k.n > BigInt(MAX_FACTORIAL)) throw noValue;
  let value = exact.ONE;
  for (let j = 0n; j < k.n; j++) {
    value = exact.divide(exact.multiply(value, exact.subtract(n, exact.rational(j))), exact.rational(j + 1n));
  }
  return value;
}

function integers(values: readonly Rational[], name: "gcd" | "lcm"): Rational {
  if (values.some((value) => value.d !== 1n || value.n <= 0n)) throw noValue;
  return values.reduce((x, y) => {
    let [p, q] = [x.n, y.n];
    while (q !== 0n) [p, q] = [q, p % q];
    return exact.rational(name === "gcd" ? p : (x.n / p) * y.n);
  });
}

// Black boxes -----------------------------------------------------------------------------------------------------------

const isBlackBox = (name: string): boolean =>
  name.startsWith("call:") ||
  /^(?:sum|prod|int|iint|oint|lim|det|tr|rank|dim|deg|arg|Arg|Re|Im|sgn|bigcup|bigcap)$/.test(name);

function blackBoxKey(name: string, args: readonly Node[], point: Point, budget: Budget): string {
  return `${name}(${args.map((arg) => valueKey(arg, point, budget)).join(";")})`;
}

/** A value as text; what is no number (a matrix, a bound `k = 1`) by its parts. */
function valueKey(node: Node, point: Point, budget: Budget): string {
  if (node.kind === "relation") {
    return node.sides
      .map((side, i) => `${node.operators[i - 1] ?? ""}${valueKey(side, point, budget)}`)
      .join("");
  }
  if (node.kind === "matrix")
    return node.rows.map((row) => row.map((cell) => valueKey(cell, point, budget)).join(",")).join("|");
  try {
    if (point.range === "integers" || point.range === "counting") {
      const value = exactValue(node, point, budget);
      return `${value.n}/${value.d}`;
    }
    return big.fingerprint(approximate(node, point, budget, { left: false }));
  } catch (error) {
    if (error instanceof NoValue) return canonicalText(node);
    throw error;
  }
}

/** Points for `\sum_{k=low}^{high}` where both bounds are integers and few, else undefined. */
function bounded(args: readonly Node[], point: Point, budget: Budget): Point[] | undefined {
  const [low, high] = args;
  if (
    low?.kind !== "relation" ||
    low.operators.length !== 1 ||
    low.operators[0] !== "=" ||
    high === undefined
  )
    return undefined;
  const [index, from] = low.sides;
  if (index?.kind !== "variable" && !(index?.kind === "constant" && index.name === "i")) return undefined;
  if (from === undefined || freeVariables(from).size > 0 || freeVariables(high).size > 0) return undefined;
  try {
    const start = exactValue(from, point, budget);
    const end = exactValue(high, point, budget);
    if (start.d !== 1n || end.d !== 1n || end.n - start.n >= BigInt(MAX_TERMS) || index.kind === "constant")
      return undefined;
    const points: Point[] = [];
    for (let k = start.n; k <= end.n; k++) {
      const values = new Map(point.values);
      values.set(index.name, exact.rational(k));
      points.push({ ...point, values });
    }
    return points;
  } catch (error) {
    if (error instanceof NoValue || error instanceof Inexact) return undefined;
    throw error;
  }
}

// Floating point --------------------------------------------------------------------------------------------------------

/** Whether an intermediate value left the real line: `left` is set and stays. */
interface Domain {
  left: boolean;
}

function approximate(node: Node, point: Point, budget: Budget, domain: Domain): Complex {
  step(budget);
  const value = (of: Node): Complex => {
    const result = approximate(of, point, budget, domain);
    if (!big.isReal(result)) domain.left = true;
    return result;
  };
  switch (node.kind) {
    case "number":
      return big.complexFrom(node.value);
    case "based":
      return big.complexFrom(fromBase(node.digits, node.base));
    case "variable":
      return big.complexFrom(variable(point, node.name));
    case "word":
      return big.complexFrom(variable(point, `word ${node.text.toLowerCase()}`));
    case "letters":
    case "product":
      return node.factors.map(value).reduce(big.mulComplex);
    case "sum":
      return node.terms.map(value).reduce(big.addComplex);
    case "quotient":
      return big.divComplex(value(node.top), value(node.bottom));
    case "negative":
      return big.negateComplex(value(node.of));
    case "percent":
      return big.divComplex(value(node.of), big.complexFrom(exact.rational(100n)));
    case "degrees":
      return value(node.of);
    case "constant":
      if (node.name === "pi") return big.fromReal(big.PI);
      if (node.name === "e") return big.expComplex(big.COMPLEX_ONE);
      if (node.name === "i") return big.IMAGINARY;
      throw noValue;
    case "power":
      return power(node, point, budget, domain, value);
    case "apply":
      return apply(node.name, node.args, point, budget, domain, value);
    default:
      throw noValue;
  }
}

function power(
  node: Extract<Node, { kind: "power" }>,
  point: Point,
  budget: Budget,
  domain: Domain,
  value: (of: Node) => Complex,
): Complex {
  // An exponent that is a plain number keeps the power real; so does one that happens to be rational.
  let exponent: Rational | undefined;
  try {
    exponent = exactValue(node.exponent, { ...point, values: new Map() }, budget);
    if (freeVariables(node.exponent).size > 0) exponent = undefined;
  } catch (error) {
    if (!(error instanceof Inexact)) throw error;
  }
  if (exponent !== undefined) {
    if (exponent.d === 1n) {
      if (exponent.n > 1_000_000n || exponent.n < -1_000_000n) throw noValue;
      const base = value(node.base);
      if (exponent.n <= 0n && big.isZero(base)) throw noValue;
      return big.powerInteger(base, exponent.n);
    }
    return rationalPower(value(node.base), exponent, domain);
  }
  const base = value(node.base);
  const general = approximate(node.exponent, point, budget, domain);
  if (big.isZero(base)) throw noValue;
  if (big.isReal(base) && big.signOf(base.re) < 0) domain.left = true;
  return big.expComplex(big.mulComplex(general, big.lnComplex(base)));
}

function rationalPower(base: Complex, exponent: Rational, domain: Domain): Complex {
  if (big.isZero(base)) {
    if (exponent.n <= 0n) throw noValue;
    return base;
  }
  if (big.isReal(base) && big.signOf(base.re) < 0) {
    if (exponent.d % 2n === 1n) {
      const size = rationalPower(big.negateComplex(base), exponent, domain);
      return exponent.n % 2n === 0n ? size : big.negateComplex(size);
    }
    domain.left = true;
  }
  if (exponent.d === 2n) {
    if (exponent.n > 1_000_000n || exponent.n < -1_000_000n) throw noValue;
    return big.powerInteger(big.sqrtComplex(base), exponent.n);
  }
  return big.expComplex(big.mulComplex(big.complexFrom(exponent), big.lnComplex(base)));
}

function apply(
  name: string,
  args: readonly Node[],
  point: Point,
  budget: Budget,
  domain: Domain,
  value: (of: Node) => Complex,
): Complex {
  if (name === "sum" || name === "prod") {
    const terms = bounded(args, point, budget);
    if (terms !== undefined && terms.length > 0) {
      const values = terms.map((at) => approximate(args[2] as Node, at, budget, domain));
      return values.reduce(name === "sum" ? big.addComplex : big.mulComplex);
    }
  }
  if (isBlackBox(name)) return big.complexFrom(draw(point, blackBoxKey(name, args, point, budget)));
  if (name === "root") {
    const [degree, of] = args as [Node, Node];
    let n: Rational;
    try {
      n = exactValue(degree, point, budget);
    } catch (error) {
      if (error instanceof Inexact) throw noValue;
      throw error;
    }
    return rationalPower(value(of), exact.divide(exact.ONE, n), domain);
  }
  // sin 30^\circ: degrees count as such inside of trigonometric functions only.
  const [first, second] = args;
  if (first === undefined) throw noValue;
  const degrees = first.kind === "degrees" && /^(?:sin|cos|tan|cot|sec|csc)$/.test(name);
  const a = degrees
    ? big.divComplex(
        big.mulComplex(value(first), big.fromReal(big.PI)),
        big.complexFrom(exact.rational(180n)),
      )
    : value(first);
  const realOnly = (): Complex => {
    if (!big.isReal(a)) throw noValue;
    return a;
  };
  const log = (x: Complex): Complex => {
    if (big.isZero(x)) throw noValue;
    if (!big.isReal(x) || big.signOf(x.re) < 0) domain.left = true;
    return big.lnComplex(x);
  };
  switch (name) {
    case "sin":
      return big.sinCosComplex(a).sin;
    case "cos":
      return big.sinCosComplex(a).cos;
    case "tan":
    case "cot": {
      const { sin, cos } = big.sinCosComplex(a);
      return name === "tan" ? big.divComplex(sin, cos) : big.divComplex(cos, sin);
    }
    case "sec":
      return big.divComplex(big.COMPLEX_ONE, big.sinCosComplex(a).cos);
    case "csc":
      return big.divComplex(big.COMPLEX_ONE, big.sinCosComplex(a).sin);
    case "arcsin":
    case "asin":
      return arcsin(realOnly());
    case "arccos":
    case "acos": {
      const half = big.divComplex(big.fromReal(big.PI), big.complexFrom(exact.rational(2n)));
      return big.addComplex(half, big.negateComplex(arcsin(realOnly())));
    }
    case "arctan":
    case "atan":
      return big.atan(a);
    case "arccot": {
      const half = big.divComplex(big.fromReal(big.PI), big.complexFrom(exact.rational(2n)));
      return big.addComplex(half, big.negateComplex(big.atan(a)));
    }
    case "sinh":
    case "cosh":
    case "tanh": {
      const [plus, minus] = [big.expComplex(a), big.expComplex(big.negateComplex(a))];
      const [top, bottom] = [big.addComplex(plus, big.negateComplex(minus)), big.addComplex(plus, minus)];
      if (name === "tanh") return big.divComplex(top, bottom);
      return big.divComplex(name === "sinh" ? top : bottom, big.complexFrom(exact.rational(2n)));
    }
    case "exp":
      return big.expComplex(a);
    case "ln":
      return log(a);
    case "lg":
      return big.divComplex(log(a), big.lnComplex(big.complexFrom(exact.rational(10n))));
    case "logBase": {
      if (second === undefined) throw noValue;
      return big.divComplex(log(value(second)), log(a));
    }
    case "abs":
      return big.fromReal(big.absComplex(a));
    case "max":
    case "min": {
      const values = args.map(value);
      return values.reduce((x, y) => (big.compareReal(x.re, y.re) >= 0 === (name === "max") ? x : y));
    }
    default: {
      // Factorials, floors and the like have no approximation of their own: exact or nothing.
      try {
        return big.complexFrom(exactApply(name, args, point, budget));
      } catch (error) {
        if (error instanceof Inexact) throw noValue;
        throw error;
      }
    }
  }
}

/** atan(x / sqrt(1 - x^2)), on [-1, 1]. */
function arcsin(x: Complex): Complex {
  const cosine = big.addComplex(big.COMPLEX_ONE, big.negateComplex(big.mulComplex(x, x)));
  if (big.isZero(cosine)) {
    const half = big.divComplex(big.fromReal(big.PI), big.complexFrom(exact.rational(2n)));
    return big.signOf(x.re) > 0 ? half : big.negateComplex(half);
  }
  if (big.signOf(cosine.re) < 0) throw noValue;
  return big.atan(big.divComplex(x, big.sqrtComplex(cosine)));
}

// Faces -----------------------------------------------------------------------------------------------------------------

/** The exact value, "inexact" where it is not rational, "none" where there is none. */
export function exactly(node: Node, point: Point, budget: Budget): Rational | "inexact" | "none" {
  try {
    return exactValue(node, point, budget);
  } catch (error) {
    if (error instanceof Inexact) return "inexact";
    if (error instanceof NoValue) return "none";
    throw error;
  }
}

export interface Approximation {
  readonly value: Complex;
  /** No intermediate value left the real line. */
  readonly real: boolean;
}

export function approximately(node: Node, point: Point, budget: Budget): Approximation | undefined {
  const domain: Domain = { left: false };
  try {
    const value = approximate(node, point, budget, domain);
    return { value, real: !domain.left && big.isReal(value) };
  } catch (error) {
    if (error instanceof NoValue || error instanceof Inexact) return undefined;
    throw error;
  }
}
