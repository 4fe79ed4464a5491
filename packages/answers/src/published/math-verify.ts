/**
 * Math-Verify's comparison, after huggingface/Math-Verify grader.py (Apache-2.0): it is not symmetric (the reference comes
 * first), unwraps `x = 1` when only one side is an equation, lets 28% be 28, rounds decimals to six places, takes `(1,2)`
 * for an interval and for a pair, and reads a word as one symbol or as a product of its letters.
 */
import { agree, toDouble } from "../bigfloat.js";
import { approximately } from "../evaluate.js";
import { exactly } from "../exact-value.js";
import { ENGLISH, type Language } from "../languages.js";
import { isName } from "../names.js";
import { type Budget, freeVariables, newPoint } from "../points.js";
import { compare, equal, type Rational, rational, roundToPlaces, toNumber } from "../rational.js";
import { type Piece, realSet, samePieces } from "../realsets.js";
import { constantRatio, equalScalars, infinityOf } from "../scalars.js";
import { canonicalText, type Node, type Relation } from "../syntax.js";
import { difference, FLIPPED, mapNode, matrixOf, spellOutSigns } from "../trees.js";
import { type Extracted, extract } from "./math-verify-extract.js";
import type { ExtractKind } from "./math-verify-scan.js";

export interface MathVerifyOptions {
  readonly kinds?: readonly ExtractKind[];
  readonly suite?: "math-verify" | "lighteval";
  readonly language?: Language;
  readonly choices?: number;
  readonly lettersAnywhere?: boolean;
  /** Decimals that count. */
  readonly floatRounding?: number;
  /** Names of variables matter. */
  readonly strict?: boolean;
  readonly allowSetRelation?: boolean;
}

interface Context {
  readonly budget: Budget;
  readonly places: number;
  readonly strict: boolean;
  readonly setRelation: boolean;
}

export interface MathVerifyResult {
  readonly equal: boolean;
  readonly gold: Extracted;
  readonly prediction: Extracted;
}

/** Extracts both answers, as its `parse` does, and compares them, as its `verify`. */
export function mathVerify(
  gold: string,
  prediction: string,
  options: MathVerifyOptions,
  budget: Budget,
): MathVerifyResult {
  const settings = {
    kinds: options.kinds ?? ["latex", "expr"],
    suite: options.suite ?? "math-verify",
    language: options.language ?? ENGLISH,
    choices: options.choices ?? 4,
    lettersAnywhere: options.lettersAnywhere ?? options.suite === "lighteval",
  };
  const [g, p] = [extract(gold, settings), extract(prediction, settings)];
  const context: Context = {
    budget,
    places: options.floatRounding ?? 6,
    strict: options.strict ?? true,
    setRelation: options.allowSetRelation ?? false,
  };
  return { equal: compareExtracted(g, p, context), gold: g, prediction: p };
}

function compareExtracted(gold: Extracted, prediction: Extracted, context: Context): boolean {
  if (gold.letter !== undefined || prediction.letter !== undefined) return gold.letter === prediction.letter;
  if (gold.tree !== undefined && prediction.tree !== undefined && same(gold.tree, prediction.tree, context))
    return true;
  const [a, b] = [gold.text?.trim() ?? "", prediction.text?.trim() ?? ""];
  return a !== "" && a === b;
}

/** Its assignments: a name on the left of an equation, or of a chain of them. */
const isAssignment = (node: Node): boolean =>
  node.kind === "relation" &&
  node.operators.every((operator) => operator === "=" || operator === "in") &&
  isName(node.sides[0] as Node);

const isEquation = (node: Node): boolean =>
  node.kind === "relation" && node.operators.every((operator) => operator === "=" || operator === "in");

const lastSide = (node: Node): Node => (node.kind === "relation" ? (node.sides.at(-1) as Node) : node);

const asAssignment = (node: Node): Node =>
  node.kind === "relation"
    ? { kind: "relation", operators: ["="], sides: [node.sides[0] as Node, lastSide(node)] }
    : node;

function same(goldIn: Node, predictionIn: Node, context: Context): boolean {
  let gold = spellOutSigns(withoutBases(goldIn));
  let prediction = spellOutSigns(withoutBases(predictionIn));
  if (!context.strict) prediction = renamed(prediction, gold);
  const [goldAssigns, predictionAssigns] = [isAssignment(gold), isAssignment(prediction)];
  const [goldEquates, predictionEquates] = [isEquation(gold), isEquation(prediction)];
  if (goldAssigns) gold = asAssignment(gold);
  if (predictionAssigns) prediction = asAssignment(prediction);
  if (predictionEquates && !goldEquates) prediction = lastSide(prediction);
  else if (goldAssigns && !predictionEquates) gold = lastSide(gold);

  if (canonicalText(gold) === canonicalText(prediction)) return !hasNoValue(gold, context);
  const goldRelates = gold.kind === "relation";
  const predictionRelates = prediction.kind === "relation";
  if (goldRelates && isSetLike(prediction)) return sameSets(gold, prediction, context);
  if (context.setRelation && predictionRelates && isSetLike(gold)) return sameSets(gold, prediction, context);
  if (gold.kind === "relation" && prediction.kind === "relation") {
    return sameRelations(gold.operators, gold.sides, prediction.operators, prediction.sides, context);
  }
  if (isCollection(gold) || isCollection(prediction)) return sameCollections(gold, prediction, context);
  if (isSymbol(gold) || isSymbol(prediction)) return sameSymbols(gold, prediction);
  return sameValues(gold, prediction, context);
}

/** 101_2 is read as 101. */
const withoutBases = (node: Node): Node =>
  mapNode(node, (part) =>
    part.kind === "based" ? { kind: "number", value: rational(BigInt(part.digits)), decimal: false } : part,
  );

/** zoo and nan equal nothing. */
function hasNoValue(node: Node, { budget }: Context): boolean {
  return (
    node.kind === "quotient" &&
    freeVariables(node).size === 0 &&
    exactly(node, newPoint(1n, "integers"), budget) === "none"
  );
}

function renamed(prediction: Node, gold: Node): Node {
  const [from, to] = [[...freeVariables(prediction)], [...freeVariables(gold)]];
  if (from.length !== to.length) return prediction;
  return mapNode(prediction, (part) => {
    const index = part.kind === "variable" ? from.indexOf(part.name) : -1;
    return index < 0 ? part : { kind: "variable", name: to[index] ?? "" };
  });
}

// Values ------------------------------------------------------------------------------------------------------------------

const withoutSign = (node: Node): Node => (node.kind === "negative" ? withoutSign(node.of) : node);

/** A number, or a number with a percent sign. */
function atomic(node: Node): { percent: boolean; decimal: boolean; value: Node } | undefined {
  const percent = node.kind === "percent";
  const inner = withoutSign(percent ? node.of : node);
  if (inner.kind === "number") return { percent, decimal: inner.decimal, value: percent ? node.of : node };
  const fraction =
    inner.kind === "quotient" &&
    [inner.top, inner.bottom].every((part) => withoutSign(part).kind === "number");
  return fraction ? { percent, decimal: false, value: percent ? node.of : node } : undefined;
}

function sameValues(gold: Node, prediction: Node, context: Context): boolean {
  const { budget } = context;
  const [goldMatrix, predictionMatrix] = [matrixOf(gold), matrixOf(prediction)];
  if (goldMatrix !== undefined || predictionMatrix !== undefined) {
    if (goldMatrix === undefined || predictionMatrix === undefined) return false;
    return (
      goldMatrix.length === predictionMatrix.length &&
      goldMatrix.every(
        (row, i) =>
          row.length === predictionMatrix[i]?.length &&
          row.every((cell, j) => sameValues(cell, predictionMatrix[i]?.[j] as Node, context)),
      )
    );
  }
  const [a, b] = [atomic(gold), atomic(prediction)];
  if (a !== undefined || b !== undefined) {
    if (a?.decimal || b?.decimal) {
      const rounded = sameRounded(gold, prediction, context);
      if (rounded !== undefined) return rounded;
    } else if (a !== undefined && b !== undefined) {
      const [x, y] = [exactOf(a.value, budget), exactOf(b.value, budget)];
      if (x !== undefined && y !== undefined && x.d === 1n && y.d === 1n && equal(x, y)) return true;
    }
  }
  if (equalScalars(gold, prediction, budget)) return true;
  return sameToFifteenDigits(gold, prediction, context);
}

function exactOf(node: Node, budget: Budget): Rational | undefined {
  const value = exactly(node, newPoint(1n, "integers"), budget);
  return typeof value === "object" ? value : undefined;
}

/** Both rounded to the places that count; undefined where one is no constant. */
function sameRounded(a: Node, b: Node, { budget, places }: Context): boolean | undefined {
  if (freeVariables(a).size > 0 || freeVariables(b).size > 0) return undefined;
  const [x, y] = [exactOf(a, budget), exactOf(b, budget)];
  if (x !== undefined && y !== undefined) {
    // SymPy's whole numbers do not equal its floats: against 1000, 999.9999999 is not rounded.
    if (x.d === 1n || y.d === 1n) return equal(x, y);
    return roundToPlaces(x, places) === roundToPlaces(y, places);
  }
  const numbers = [a, b].map((node, i) => {
    const exactOne = i === 0 ? x : y;
    if (exactOne !== undefined) return toNumber(exactOne);
    const value = approximately(node, newPoint(1n, "positive"), budget);
    return value?.real === true ? toDouble(value.value.re) : Number.NaN;
  });
  const [p = Number.NaN, q = Number.NaN] = numbers;
  const scale = 10 ** places;
  return Math.round(p * scale) === Math.round(q * scale);
}

/** (a - b) evaluated to 15 digits is 0: for constants, `2 * 3.14159265358979` is `2 pi`. */
function sameToFifteenDigits(a: Node, b: Node, { budget }: Context): boolean {
  if (
    freeVariables(a).size > 0 ||
    freeVariables(b).size > 0 ||
    atomic(a) !== undefined ||
    atomic(b) !== undefined
  )
    return false;
  const [x, y] = [a, b].map((node) => approximately(node, newPoint(1n, "positive"), budget));
  return x !== undefined && y !== undefined && agree(x.value, y.value, 50);
}

// Symbols -----------------------------------------------------------------------------------------------------------------

const isSymbol = (node: Node): boolean => node.kind === "variable" || node.kind === "word";

function symbolText(node: Node): string | undefined {
  switch (node.kind) {
    case "variable":
      return node.name;
    case "word":
      return node.text.replace(/^\((.*)\)$/, "$1").replace(/\s+/g, "");
    case "letters":
      return node.text;
    case "constant":
      return node.name === "e" || node.name === "i" ? node.name : undefined;
    case "product": {
      const parts = node.factors.map(symbolText);
      return parts.every((part) => part !== undefined) ? parts.join("") : undefined;
    }
    default:
      return undefined;
  }
}

function sameSymbols(a: Node, b: Node): boolean {
  const [x, y] = [symbolText(a), symbolText(b)];
  return x !== undefined && y !== undefined && x.toLowerCase() === y.toLowerCase();
}

// Sets, tuples, intervals ---------------------------------------------------------------------------------------------------

/** Two in brackets are an interval unless the second is smaller: then they are a pair. */
function isInterval(node: Node, { budget }: Context): boolean {
  if (node.kind !== "bracket" || node.items.length !== 2) return false;
  const [low, high] = node.items as [Node, Node];
  if ([low, high].some((item) => ["bracket", "set", "list", "relation", "setOperation"].includes(item.kind)))
    return false;
  const [infinityLow, infinityHigh] = [infinityOf(low), infinityOf(high)];
  if (infinityLow !== undefined || infinityHigh !== undefined)
    return infinityLow !== 1 && infinityHigh !== -1;
  if (freeVariables(low).size > 0 || freeVariables(high).size > 0) return true;
  const [x, y] = [exactOf(low, budget), exactOf(high, budget)];
  const open = node.open === "(" && node.close === ")";
  if (x !== undefined && y !== undefined) {
    const order = compare(x, y);
    return order < 0 || (order === 0 && !open);
  }
  const [p, q] = [low, high].map((item) => approximately(item, newPoint(1n, "positive"), budget));
  return p === undefined || q === undefined || toDouble(p.value.re) < toDouble(q.value.re);
}

const isCollection = (node: Node): boolean =>
  ["list", "set", "bracket", "setOperation", "namedSet"].includes(node.kind);
const isSetLike = (node: Node): boolean =>
  ["set", "bracket", "setOperation", "namedSet", "list"].includes(node.kind);

/** As a set of reals: lists count as finite sets. */
function pieces(node: Node, { budget }: Context): Piece[] | undefined {
  if (node.kind === "list") return realSet({ kind: "set", items: node.items }, budget);
  return realSet(node, budget);
}

function sameSets(gold: Node, prediction: Node, context: Context): boolean {
  const [a, b] = [pieces(gold, context), pieces(prediction, context)];
  return a !== undefined && b !== undefined && samePieces(a, b, (x, y) => sameEnds(x, y, context));
}

const sameEnds = (x: Node, y: Node, context: Context): boolean =>
  infinityOf(x) !== undefined || infinityOf(y) !== undefined
    ? infinityOf(x) === infinityOf(y)
    : same(x, y, context);

interface Items {
  readonly shape: "set" | "tuple" | "interval" | "other";
  readonly items: readonly Node[];
  readonly open: boolean;
}

function itemsOf(node: Node, context: Context): Items {
  switch (node.kind) {
    case "list":
    case "set": {
      const seen = new Set<string>();
      const items = node.items.filter((item) => {
        const key = canonicalText(item);
        return !seen.has(key) && seen.add(key);
      });
      return { shape: "set", items, open: false };
    }
    case "bracket":
      return {
        shape: isInterval(node, context) ? "interval" : "tuple",
        items: node.items,
        open: node.open === "(" && node.close === ")",
      };
    case "setOperation":
    case "namedSet":
      return { shape: "other", items: [], open: false };
    default:
      return { shape: "set", items: [node], open: false };
  }
}

function sameCollections(gold: Node, prediction: Node, context: Context): boolean {
  const [a, b] = [itemsOf(gold, context), itemsOf(prediction, context)];
  if (a.shape === "interval" && b.shape === "interval") {
    if (gold.kind !== "bracket" || prediction.kind !== "bracket") return false;
    if (gold.open !== prediction.open || gold.close !== prediction.close) return false;
    return gold.items.every((item, i) => sameEnds(item, prediction.items[i] as Node, context));
  }
  if (prediction.kind === "relation") return false;
  if (a.shape !== "tuple" && b.shape !== "tuple" && sameSets(gold, prediction, context)) return true;
  if (a.shape === "other" || b.shape === "other") return false;
  if (a.shape === "interval" && (!a.open || b.items.length !== 2)) return false;
  if (b.shape === "interval" && (!b.open || a.items.length !== 2)) return false;
  if (a.items.length !== b.items.length) return false;
  if (a.shape === "set") return matchUnordered(a.items, b.items, context);
  return a.items.every((item, i) => same(item, b.items[i] as Node, context));
}

function matchUnordered(gold: readonly Node[], prediction: readonly Node[], context: Context): boolean {
  if (gold.every((item, i) => same(item, prediction[i] as Node, context))) return true;
  const rest = [...prediction];
  return gold.every((item) => {
    const index = rest.findIndex((other) => same(item, other, context));
    if (index >= 0) rest.splice(index, 1);
    return index >= 0;
  });
}

// Relations -----------------------------------------------------------------------------------------------------------------

function sameRelations(
  goldOperators: readonly Relation[],
  goldSides: readonly Node[],
  operators: readonly Relation[],
  sides: readonly Node[],
  context: Context,
): boolean {
  if (goldOperators.length !== operators.length) return false;
  return goldOperators.every((operator, i) =>
    sameRelation(
      operator,
      goldSides.slice(i, i + 2),
      operators[i] as Relation,
      sides.slice(i, i + 2),
      context,
    ),
  );
}

function sameRelation(
  goldOperator: Relation,
  [goldLeft, goldRight]: readonly Node[],
  operator: Relation,
  [left, right]: readonly Node[],
  context: Context,
): boolean {
  if (goldLeft === undefined || goldRight === undefined || left === undefined || right === undefined)
    return false;
  const equation = (one: Relation): boolean => one === "=" || one === "in";
  const alike = goldOperator === operator || (equation(goldOperator) && equation(operator));
  if (alike && sameSide(goldLeft, left, context) && sameSide(goldRight, right, context)) return true;
  if (
    operator === FLIPPED[goldOperator] &&
    sameSide(goldLeft, right, context) &&
    sameSide(goldRight, left, context)
  )
    return true;
  if ([goldLeft, goldRight, left, right].some((side) => isCollection(side) || infinityOf(side) !== undefined))
    return false;
  const [a, b] = [difference(goldLeft, goldRight), difference(left, right)];
  if (alike && equalScalars(a, b, context.budget)) return true;
  if (operator === FLIPPED[goldOperator] && equalScalars(a, { kind: "negative", of: b }, context.budget))
    return true;
  // Two equations are solved and their solutions compared: linear ones agree when they are multiples. With names on
  // the left alone, x = 5 and 2x = 10 stay apart.
  const solvable = equation(goldOperator) && equation(operator) && freeVariables(a).size > 1;
  return solvable && constantRatio(a, b, context.budget) !== undefined;
}

const sameSide = (a: Node, b: Node, context: Context): boolean =>
  canonicalText(a) === canonicalText(b) || sameEnds(a, b, context);
