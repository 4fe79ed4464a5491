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
import {
  blackBoxKey,
  bounded,
  exactApply,
  exactValue,
  fromBase,
  Inexact,
  isBlackBox,
} from "./exact-value.js";
import { NoValue, noValue } from "./limits.js";
import { type Budget, draw, freeVariables, type Point, step, variable } from "./points.js";
import type { Rational } from "./rational.js";
import * as exact from "./rational.js";
import type { Node } from "./syntax.js";

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
  if (isBlackBox(name)) {
    const keyOf = (node: Node): string => big.fingerprint(approximate(node, point, budget, { left: false }));
    return big.complexFrom(draw(point, blackBoxKey(name, args, keyOf)));
  }
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
