/**
 * Sets of reals as sorted pieces: intervals, finite sets, their unions, intersections and differences, and inequalities
 * in one variable. Ends are compared by value, so that [1,2] u [2,3] is [1,3].
 */
import { compareReal, isReal, type Real, realFrom } from "./bigfloat.js";
import { approximately } from "./evaluate.js";
import { exactly } from "./exact-value.js";
import { MAX_ITEMS } from "./limits.js";
import { type Budget, freeVariables, newPoint } from "./points.js";
import { add, equal, multiply, negate, type Rational, rational, subtract } from "./rational.js";
import { infinityOf } from "./scalars.js";
import { canonicalText, type Node, type Relation } from "./syntax.js";
import { mapNode } from "./trees.js";

/** An end: a value, or minus or plus infinity. */
interface End {
  readonly tree: Node;
  readonly at: Real | "low" | "high";
}

export interface Piece {
  readonly low: End;
  readonly lowOpen: boolean;
  readonly high: End;
  readonly highOpen: boolean;
}

function compareEnds(a: End, b: End): number {
  if (a.at === b.at) return 0;
  if (a.at === "low" || b.at === "high") return -1;
  if (a.at === "high" || b.at === "low") return 1;
  return compareReal(a.at, b.at);
}

function endOf(node: Node, budget: Budget): End | undefined {
  const infinity = infinityOf(node);
  if (infinity !== undefined) return { tree: node, at: infinity > 0 ? "high" : "low" };
  if (freeVariables(node).size > 0) return undefined;
  const exact = exactly(node, newPoint(1n, "integers"), budget);
  if (exact === "none") return undefined;
  if (exact !== "inexact") return { tree: node, at: realFrom(exact) };
  const value = approximately(node, newPoint(1n, "positive"), budget);
  return value !== undefined && isReal(value.value) ? { tree: node, at: value.value.re } : undefined;
}

const low: End = { tree: { kind: "negative", of: { kind: "constant", name: "infinity" } }, at: "low" };
const high: End = { tree: { kind: "constant", name: "infinity" }, at: "high" };
const everything: Piece = { low, lowOpen: true, high, highOpen: true };

const isEmpty = (piece: Piece): boolean => {
  const order = compareEnds(piece.low, piece.high);
  return order > 0 || (order === 0 && (piece.lowOpen || piece.highOpen));
};

/** Sorted, joined where they touch. */
function tidy(pieces: readonly Piece[]): Piece[] {
  const sorted = pieces
    .filter((piece) => !isEmpty(piece))
    .sort((a, b) => compareEnds(a.low, b.low) || Number(a.lowOpen) - Number(b.lowOpen));
  const joined: Piece[] = [];
  for (const piece of sorted) {
    const last = joined.at(-1);
    const order = last === undefined ? -1 : compareEnds(last.high, piece.low);
    if (last === undefined || order < 0 || (order === 0 && last.highOpen && piece.lowOpen)) {
      joined.push(piece);
      continue;
    }
    const reach = compareEnds(last.high, piece.high);
    const further = reach < 0 ? piece : last;
    const highOpen = reach === 0 ? last.highOpen && piece.highOpen : further.highOpen;
    joined[joined.length - 1] = { ...last, high: further.high, highOpen };
  }
  return joined;
}

function intersect(a: readonly Piece[], b: readonly Piece[]): Piece[] {
  if (a.length * b.length > MAX_ITEMS) return [];
  return tidy(
    a.flatMap((x) =>
      b.map((y) => {
        const lows = compareEnds(x.low, y.low);
        const highs = compareEnds(x.high, y.high);
        return {
          low: lows >= 0 ? x.low : y.low,
          lowOpen: lows === 0 ? x.lowOpen || y.lowOpen : lows > 0 ? x.lowOpen : y.lowOpen,
          high: highs <= 0 ? x.high : y.high,
          highOpen: highs === 0 ? x.highOpen || y.highOpen : highs < 0 ? x.highOpen : y.highOpen,
        };
      }),
    ),
  );
}

function complement(pieces: readonly Piece[]): Piece[] {
  let rest: Piece[] = [everything];
  for (const piece of tidy(pieces)) {
    const below: Piece = { low, lowOpen: true, high: piece.low, highOpen: !piece.lowOpen };
    const above: Piece = { low: piece.high, lowOpen: !piece.highOpen, high, highOpen: true };
    rest = intersect(rest, [below, above]);
  }
  return rest;
}

/** The pieces of a set, or undefined where it is no set of reals. */
export function realSet(node: Node, budget: Budget): Piece[] | undefined {
  switch (node.kind) {
    case "bracket": {
      const [from, to] = node.items;
      if (node.items.length !== 2 || from === undefined || to === undefined) return undefined;
      const [a, b] = [endOf(from, budget), endOf(to, budget)];
      if (a === undefined || b === undefined) return undefined;
      // An infinite end is never reached, whatever bracket stands there.
      return tidy([
        {
          low: a,
          lowOpen: node.open === "(" || typeof a.at === "string",
          high: b,
          highOpen: node.close === ")" || typeof b.at === "string",
        },
      ]);
    }
    case "set": {
      const ends = node.items.map((item) => endOf(item, budget));
      if (ends.some((end) => end === undefined)) return undefined;
      return tidy((ends as End[]).map((end) => ({ low: end, lowOpen: false, high: end, highOpen: false })));
    }
    case "namedSet":
      return node.name === "R" ? [everything] : node.name === "empty" ? [] : undefined;
    case "setOperation": {
      const parts = node.items.map((item) => realSet(item, budget));
      const [a, b] = parts;
      if (a === undefined || b === undefined) return undefined;
      if (node.name === "union") return tidy([...a, ...b]);
      return node.name === "intersection" ? intersect(a, b) : intersect(a, complement(b));
    }
    case "relation":
      return relationSet(node.operators, node.sides, budget);
    default:
      return undefined;
  }
}

/** x < 3, 1 < 2x + 1 <= 2, |x - 1| >= 2, x != 2, x in S: a line in one variable, or its absolute value, against numbers. */
function relationSet(
  operators: readonly Relation[],
  sidesIn: readonly Node[],
  budget: Budget,
): Piece[] | undefined {
  let pieces: Piece[] = [everything];
  if (operators.every((operator) => operator === "in")) {
    const set =
      sidesIn.length === 2 && sidesIn[0]?.kind === "variable"
        ? realSet(sidesIn[1] as Node, budget)
        : undefined;
    return set;
  }
  // The value of a function is an unknown like any other: 0 < f(x) < 1.
  const sides = sidesIn.map((side) => mapNode(side, valueAsUnknown));
  const names = new Set(sides.flatMap((side) => [...freeVariables(side)]));
  const [name] = names;
  if (names.size !== 1 || name === undefined) return undefined;
  for (const [i, operator] of operators.entries()) {
    const [left, right] = [sides[i] as Node, sides[i + 1] as Node];
    const forward = freeVariables(left).size > 0;
    const [expression, number] = forward ? [left, right] : [right, left];
    const end = endOf(number, budget);
    if (end === undefined || operator === "in" || operator === "notin") return undefined;
    const solution = solve(expression, name, forward ? operator : flip(operator), end, budget);
    if (solution === undefined) return undefined;
    pieces = intersect(pieces, solution);
  }
  return pieces;
}

const valueAsUnknown = (node: Node): Node =>
  node.kind === "apply" && node.name.startsWith("call:")
    ? { kind: "variable", name: canonicalText(node) }
    : node;

const flip = (operator: Relation): Relation =>
  (operator.startsWith("<") ? operator.replace("<", ">") : operator.replace(">", "<")) as Relation;

/** The values that stand so to `end`. */
function half(operator: Relation, end: End): Piece[] {
  const point: Piece = { low: end, lowOpen: false, high: end, highOpen: false };
  if (operator === "!=") return complement([point]);
  if (operator === "=") return [point];
  const open = !operator.endsWith("=") || typeof end.at === "string";
  return operator.startsWith(">")
    ? [{ low: end, lowOpen: open, high, highOpen: true }]
    : [{ low, lowOpen: true, high: end, highOpen: open }];
}

function solve(
  expression: Node,
  name: string,
  operator: Relation,
  end: End,
  budget: Budget,
): Piece[] | undefined {
  if (expression.kind === "variable") return half(operator, end);
  if (expression.kind === "apply" && expression.name === "abs" && expression.args.length === 1) {
    const inner = expression.args[0] as Node;
    const mirrored = endOf({ kind: "negative", of: end.tree }, budget);
    const upper = solve(inner, name, operator, end, budget);
    const lower = mirrored === undefined ? undefined : solve(inner, name, flip(operator), mirrored, budget);
    if (upper === undefined || lower === undefined) return undefined;
    // |x| > c is x > c or x < -c; |x| < c is both x < c and x > -c.
    return operator.startsWith(">") || operator === "="
      ? tidy([...upper, ...lower])
      : intersect(upper, lower);
  }
  const line = lineOf(expression, name, budget);
  if (line === undefined) return undefined;
  const value: Node = {
    kind: "quotient",
    top: {
      kind: "sum",
      terms: [end.tree, { kind: "number", value: negate(line.intercept), decimal: false }],
    },
    bottom: { kind: "number", value: line.slope, decimal: false },
  };
  const falls = line.slope.n < 0n;
  const at =
    typeof end.at === "string" ? (falls ? (end.at === "low" ? high : low) : end) : endOf(value, budget);
  return at === undefined ? undefined : half(falls ? flip(operator) : operator, at);
}

/** slope * x + intercept, where the expression has exact values on a line at four points; a slope of zero is none. */
function lineOf(
  node: Node,
  name: string,
  budget: Budget,
): { slope: Rational; intercept: Rational } | undefined {
  const values = [0n, 1n, 2n, 1_000_003n].map((x) =>
    exactly(node, { seed: 1n, range: "integers", values: new Map([[name, rational(x)]]) }, budget),
  );
  const [at0, at1, at2, far] = values;
  if (
    typeof at0 !== "object" ||
    typeof at1 !== "object" ||
    typeof at2 !== "object" ||
    typeof far !== "object"
  )
    return undefined;
  const slope = subtract(at1, at0);
  const fits = (x: bigint, value: Rational): boolean => equal(add(at0, multiply(slope, rational(x))), value);
  return slope.n !== 0n && fits(2n, at2) && fits(1_000_003n, far) ? { slope, intercept: at0 } : undefined;
}

export function samePieces(
  a: readonly Piece[],
  b: readonly Piece[],
  sameEnd: (x: Node, y: Node) => boolean,
): boolean {
  return (
    a.length === b.length &&
    a.every((piece, i) => {
      const other = b[i] as Piece;
      return (
        piece.lowOpen === other.lowOpen &&
        piece.highOpen === other.highOpen &&
        sameEnd(piece.low.tree, other.low.tree) &&
        sameEnd(piece.high.tree, other.high.tree)
      );
    })
  );
}
