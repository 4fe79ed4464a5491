/** Exact values at a point; `inexact` is thrown where a value is not rational, `noValue` where there is none. */
import { MAX_FACTORIAL, MAX_TERMS, NoValue, noValue } from "./limits.js";
import { type Budget, draw, freeVariables, type Point, step, variable } from "./points.js";
import type { Rational } from "./rational.js";
import * as exact from "./rational.js";
import { canonicalText, type Node } from "./syntax.js";

export class Inexact extends Error {
  override readonly name = "Inexact";
}

const inexact = new Inexact("inexact");

export function exactValue(node: Node, point: Point, budget: Budget): Rational {
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

export function fromBase(digits: string, base: number): Rational {
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

export function exactApply(name: string, args: readonly Node[], point: Point, budget: Budget): Rational {
  if (name === "sum" || name === "prod") {
    const terms = bounded(args, point, budget);
    if (terms !== undefined) {
      const values = terms.map((at) => exactValue(args[2] as Node, at, budget));
      return name === "sum" ? values.reduce(exact.add, exact.ZERO) : values.reduce(exact.multiply, exact.ONE);
    }
  }
  if (isBlackBox(name)) {
    const keyOf = (node: Node): string => {
      const { n, d } = exactValue(node, point, budget);
      return `${n}/${d}`;
    };
    return draw(point, blackBoxKey(name, args, keyOf));
  }
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

export const isBlackBox = (name: string): boolean =>
  name.startsWith("call:") ||
  /^(?:sum|prod|int|iint|oint|lim|det|tr|rank|dim|deg|arg|Arg|Re|Im|sgn|bigcup|bigcap)$/.test(name);

/** What goes in, by the values of its parts; what is no number (a matrix, a bound `k = 1`) piece by piece. */
export function blackBoxKey(name: string, args: readonly Node[], keyOf: (node: Node) => string): string {
  const key = (node: Node): string => {
    if (node.kind === "relation") {
      return node.sides.map((side, i) => `${node.operators[i - 1] ?? ""}${key(side)}`).join("");
    }
    if (node.kind === "matrix") return node.rows.map((row) => row.map(key).join(",")).join("|");
    try {
      return keyOf(node);
    } catch (error) {
      if (error instanceof NoValue) return canonicalText(node);
      throw error;
    }
  };
  return `${name}(${args.map(key).join(";")})`;
}

/** Points for `\sum_{k=low}^{high}` where both bounds are integers and few, else undefined. */
export function bounded(args: readonly Node[], point: Point, budget: Budget): Point[] | undefined {
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
