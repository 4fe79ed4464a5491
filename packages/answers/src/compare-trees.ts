/** Whether two answer trees say the same: values, sets, intervals, tuples, matrices, equations and inequalities. */
import { agree, toDouble } from "./bigfloat.js";
import { approximately } from "./evaluate.js";
import { exactly } from "./exact-value.js";
import { isName } from "./names.js";
import { type Budget, freeVariables, newPoint } from "./points.js";
import { compare, ONE, toNumber } from "./rational.js";
import { realSet, samePieces } from "./realsets.js";
import { constantRatio, equalScalars, infinityOf } from "./scalars.js";
import { canonicalText, type Node, type Relation, walk } from "./syntax.js";
import { comparableText, samePlainNumber } from "./text-answers.js";
import { difference, FLIPPED, matrixOf, spellOutSigns } from "./trees.js";

export interface CompareOptions {
  /** What the reference is; "auto" decides by its text. "text" never reads mathematics, "json" compares data. */
  readonly kind?: "auto" | "text" | "json";
  /** Bare lists (`1, 2`) must keep their order. Tuples always do, sets never. */
  readonly ordered?: boolean;
  /** Constants may differ by so much; without it they must be equal. */
  readonly tolerance?: { readonly absolute?: number; readonly relative?: number };
  /** Token F1 from which words agree; without it they must be the same after normalisation. */
  readonly minimumF1?: number;
}

export interface Context {
  readonly options: CompareOptions;
  readonly budget: Budget;
  /** From the prediction's unit to the reference's. */
  readonly scale: { readonly n: bigint; readonly d: bigint };
}

/** Word for word: what is written as adjacent letters or in \text. */
function spelling(node: Node): string | undefined {
  if (node.kind === "word" || node.kind === "letters") return comparableText(node.text);
  return undefined;
}

const isCollection = (node: Node): boolean =>
  ["list", "set", "bracket", "setOperation", "namedSet"].includes(node.kind);
const isEquation = (node: Node): node is Extract<Node, { kind: "relation" }> =>
  node.kind === "relation" && node.operators.every((operator) => operator === "=" || operator === "in");

/** `x = 5`, `f(x) = 2x`, `x \in S`: a name and what it is; of a chain the last. */
function assignment(node: Node): { readonly name: Node; readonly value: Node } | undefined {
  if (!isEquation(node)) return undefined;
  const [name, value] = [node.sides[0] as Node, node.sides.at(-1) as Node];
  return isName(name) ? { name, value } : undefined;
}

/** `x < 1 or x > 3` as the union of its inequalities, `x > 1 and x < 3` as what they have in common. */
function joined(node: Node): Node {
  if (node.kind !== "list" || node.joint === undefined) return node;
  const [first, ...rest] = node.items;
  const inequality = (item: Node): boolean => item.kind === "relation" && !isEquation(item);
  if (first === undefined || !node.items.every(inequality)) return node;
  const name = node.joint === "or" ? "union" : "intersection";
  return rest.reduce((left, right): Node => ({ kind: "setOperation", name, items: [left, right] }), first);
}

/** y = 2x + 1 = 1 + 2x says y = 1 + 2x. */
function asAssignment(node: Node): Node {
  const parts = node.kind === "relation" && node.operators.length > 1 ? assignment(node) : undefined;
  return parts === undefined
    ? node
    : { kind: "relation", operators: ["="], sides: [parts.name, parts.value] };
}

export function same(goldIn: Node, predictionIn: Node, context: Context): boolean {
  const gold = spellOutSigns(goldIn);
  const prediction = spellOutSigns(predictionIn);
  const [word, other] = [spelling(gold), spelling(prediction)];
  // Letters side by side are a word against a word, and a product only against a product.
  if (word !== undefined && other !== undefined) return word === other;

  const [goldSet, set] = [joined(gold), joined(prediction)];
  if ((goldSet !== gold || set !== prediction) && sameAsSets(goldSet, set, context, false)) return true;

  const [named, assigned] = [assignment(gold), assignment(prediction)];
  if (named !== undefined && assigned !== undefined) {
    const sameName = canonicalText(named.name) === canonicalText(assigned.name);
    if (sameName && same(named.value, assigned.value, context)) return true;
  } else if (assigned !== undefined && gold.kind !== "relation") return same(gold, assigned.value, context);
  else if (named !== undefined && prediction.kind !== "relation")
    return same(named.value, prediction, context);
  else if (isEquation(prediction) && gold.kind !== "relation") {
    // 6 * 7 = 42 says 42, if it is true.
    const value = prediction.sides.at(-1) as Node;
    const holds = prediction.sides.every(
      (side) => freeVariables(side).size === 0 && sameItem(side, value, context),
    );
    return holds && same(gold, value, context);
  }

  if (gold.kind === "relation" || prediction.kind === "relation") {
    return sameRelations(asAssignment(gold), asAssignment(prediction), context);
  }
  if (isCollection(gold) || isCollection(prediction)) return sameCollections(gold, prediction, context);
  const [goldMatrix, matrix] = [matrixOf(gold), matrixOf(prediction)];
  if (goldMatrix !== undefined || matrix !== undefined) {
    return (
      goldMatrix !== undefined &&
      goldMatrix.length === matrix?.length &&
      goldMatrix.every(
        (row, i) => row.length === matrix[i]?.length && sameInOrder(row, matrix[i] ?? [], context),
      )
    );
  }
  return sameValues(gold, prediction, context);
}

function sameValues(gold: Node, prediction: Node, context: Context): boolean {
  if (gold.kind === "based" || prediction.kind === "based") return sameBased(gold, prediction);
  // A percent sign is a unit: the prediction may leave it out or work it out, and may add it to a plain number from 1 on.
  if (
    (gold.kind === "percent") !== (prediction.kind === "percent") &&
    (gold.kind === "percent" || isOneOrMore(gold))
  ) {
    const [g, p] = [
      gold.kind === "percent" ? gold.of : gold,
      prediction.kind === "percent" ? prediction.of : prediction,
    ];
    if (sameScaled(g, p, context)) return true;
  }
  const ratio = (node: Node): boolean => node.kind === "apply" && node.name === "ratio";
  if (ratio(gold) && ratio(prediction)) return sameRatios(gold, prediction, context);
  return sameScaled(gold, prediction, context);
}

function sameScaled(gold: Node, prediction: Node, context: Context): boolean {
  const { scale, budget, options } = context;
  const converted: Node =
    scale.n === 1n && scale.d === 1n
      ? prediction
      : { kind: "product", factors: [{ kind: "number", value: scale, decimal: false }, prediction] };
  if (equalScalars(gold, converted, budget)) return true;
  return options.tolerance !== undefined && isNear(gold, converted, options.tolerance, budget);
}

function isNear(
  gold: Node,
  prediction: Node,
  tolerance: NonNullable<CompareOptions["tolerance"]>,
  budget: Budget,
): boolean {
  const [a, b] = [gold, prediction].map((node) => {
    if (freeVariables(node).size > 0 || infinityOf(node) !== undefined) return Number.NaN;
    const exact = exactly(node, newPoint(1n, "integers"), budget);
    if (typeof exact === "object") return toNumber(exact);
    const value = approximately(node, newPoint(1n, "positive"), budget);
    return value !== undefined && agree(value.value, { re: value.value.re, im: { m: 0n, e: 0 } })
      ? toDouble(value.value.re)
      : Number.NaN;
  });
  const distance = Math.abs((a ?? Number.NaN) - (b ?? Number.NaN));
  // NaN is near nothing; an infinite distance neither.
  return (
    distance <= Math.max(tolerance.absolute ?? 0, (tolerance.relative ?? 0) * Math.abs(a ?? 0)) &&
    Number.isFinite(distance)
  );
}

const isOneOrMore = (node: Node): boolean => {
  const { kind } = node;
  if (kind === "negative") return isOneOrMore(node.of);
  return kind === "number" && compare(node.value, ONE) >= 0;
};

/** 1010_2: the base may be left out, but not changed. */
function sameBased(gold: Node, prediction: Node): boolean {
  if (gold.kind === "based" && prediction.kind === "based")
    return gold.base === prediction.base && samePlainNumber(gold.digits, prediction.digits);
  const [based, plain] = gold.kind === "based" ? [gold, prediction] : [prediction, gold];
  return (
    based.kind === "based" &&
    plain.kind === "number" &&
    plain.value.d === 1n &&
    samePlainNumber(based.digits, `${plain.value.n}`)
  );
}

/** 1:2:3 is 2:4:6. */
function sameRatios(gold: Node, prediction: Node, { budget }: Context): boolean {
  if (gold.kind !== "apply" || prediction.kind !== "apply" || gold.args.length !== prediction.args.length)
    return false;
  const [g, p] = [gold.args[0] as Node, prediction.args[0] as Node];
  return gold.args.every((part, i) =>
    equalScalars(
      { kind: "product", factors: [part, p] },
      { kind: "product", factors: [prediction.args[i] as Node, g] },
      budget,
    ),
  );
}

// Collections -------------------------------------------------------------------------------------------------------------

const sameInOrder = (a: readonly Node[], b: readonly Node[], context: Context): boolean =>
  a.length === b.length && a.every((item, i) => sameItem(item, b[i] as Node, context));

const sameItem = (a: Node, b: Node, context: Context): boolean =>
  infinityOf(a) !== undefined || infinityOf(b) !== undefined
    ? infinityOf(a) === infinityOf(b)
    : same(a, b, context);

function sameInAnyOrder(gold: readonly Node[], prediction: readonly Node[], context: Context): boolean {
  if (gold.length !== prediction.length) return false;
  if (sameInOrder(gold, prediction, context)) return true;
  const rest = [...prediction];
  return gold.every((item) => {
    const index = rest.findIndex((other) => sameItem(item, other, context));
    if (index >= 0) rest.splice(index, 1);
    return index >= 0;
  });
}

/** Every element of one is an element of the other. */
const sameElements = (gold: readonly Node[], prediction: readonly Node[], context: Context): boolean =>
  gold.every((item) => prediction.some((other) => sameItem(item, other, context))) &&
  prediction.every((item) => gold.some((other) => sameItem(other, item, context)));

function sameCollections(gold: Node, prediction: Node, context: Context): boolean {
  if (gold.kind === "bracket" && prediction.kind === "bracket") {
    const brackets = gold.open === prediction.open && gold.close === prediction.close;
    // Only two in brackets may be an interval, whose brackets matter.
    if (gold.items.length === 2 && !brackets) return sameAsSets(gold, prediction, context, true);
    return sameInOrder(gold.items, prediction.items, context);
  }
  if ([gold, prediction].some((node) => node.kind === "setOperation" || node.kind === "namedSet")) {
    return sameAsSets(gold, prediction, context, false) || sameTrees(gold, prediction, context);
  }
  const [a, b] = [itemsOf(gold), itemsOf(prediction)];
  if (a === undefined || b === undefined) return false;
  if (a.shape === "set" && b.shape === "set") return sameElements(a.items, b.items, context);
  if (a.shape === "set" || b.shape === "set") {
    // Braces may be left out, but not be round.
    if (a.shape === "tuple" || b.shape === "tuple") return false;
    return sameElements(a.items, b.items, context) && a.items.length === b.items.length;
  }
  // Square brackets of two are an interval, and 0, 1 is none.
  const interval = (node: Node): boolean =>
    node.kind === "bracket" && node.items.length === 2 && !(node.open === "(" && node.close === ")");
  if (interval(gold) || interval(prediction)) return false;
  if (a.shape === "tuple" || context.options.ordered === true) return sameInOrder(a.items, b.items, context);
  return sameInAnyOrder(a.items, b.items, context);
}

function itemsOf(
  node: Node,
): { readonly shape: "list" | "set" | "tuple"; readonly items: readonly Node[] } | undefined {
  switch (node.kind) {
    case "list":
      return { shape: "list", items: node.items };
    case "set":
      return { shape: "set", items: node.items };
    case "bracket":
      return { shape: "tuple", items: node.items };
    case "setOperation":
    case "namedSet":
      return undefined;
    default:
      return { shape: "list", items: [node] };
  }
}

/** As sets of reals; `intervals`: two pairs with other brackets, which only infinite ends excuse. */
function sameAsSets(gold: Node, prediction: Node, context: Context, intervals: boolean): boolean {
  const infinite = (node: Node): boolean =>
    node.kind === "bracket" && node.items.some((item) => infinityOf(item) !== undefined);
  if (intervals && !(infinite(gold) && infinite(prediction))) return false;
  const [unknown, other] = [unknownOf(gold), unknownOf(prediction)];
  if (unknown !== "" && other !== "" && unknown !== other) return false;
  const asSet = (node: Node): Node => (node.kind === "list" ? { kind: "set", items: node.items } : node);
  const [a, b] = [realSet(asSet(gold), context.budget), realSet(asSet(prediction), context.budget)];
  if (a === undefined || b === undefined) return false;
  const empty = (node: Node): boolean => node.kind === "namedSet" && node.name === "empty";
  // (2,1) is no empty interval but a pair.
  if (a.length === 0 && b.length === 0) return empty(gold) && empty(prediction);
  return samePieces(a, b, (x, y) => sameItem(x, y, context));
}

/** Of what a set is told: x of x < 3, f(x) of f(x) < 3, nothing of (-\\infty, 3). */
function unknownOf(node: Node): string {
  const calls = [...walk(node)].filter((part) => part.kind === "apply" && part.name.startsWith("call:"));
  const names = calls.length > 0 ? calls.map(canonicalText) : [...freeVariables(node)];
  return [...new Set(names)].sort().join(", ");
}

/** Sets of other things: the same operations on the same sets. */
function sameTrees(gold: Node, prediction: Node, context: Context): boolean {
  if (gold.kind === "namedSet" && prediction.kind === "namedSet") return gold.name === prediction.name;
  if (gold.kind !== "setOperation" || prediction.kind !== "setOperation" || gold.name !== prediction.name)
    return false;
  return gold.name === "minus"
    ? sameInOrder(gold.items, prediction.items, context)
    : sameInAnyOrder(gold.items, prediction.items, context);
}

// Relations -------------------------------------------------------------------------------------------------------------------

function sameRelations(gold: Node, prediction: Node, context: Context): boolean {
  if (gold.kind === "relation" && prediction.kind === "relation") {
    if (gold.operators.length === prediction.operators.length) {
      const one = (node: typeof gold, i: number): Part => ({
        operator: node.operators[i] as Relation,
        left: node.sides[i] as Node,
        right: node.sides[i + 1] as Node,
      });
      const forward = gold.operators.every((_, i) => sameRelation(one(gold, i), one(prediction, i), context));
      const backward = gold.operators.every((_, i) =>
        sameRelation(one(gold, i), one(prediction, gold.operators.length - 1 - i), context),
      );
      if (forward || backward) return true;
    }
  }
  // x < 3 and (-oo, 3)
  if (gold.kind !== "relation" && !isCollection(gold)) return false;
  if (prediction.kind !== "relation" && !isCollection(prediction)) return false;
  const equation = [gold, prediction].some((node) => isEquation(node) && !node.operators.includes("in"));
  return !equation && sameAsSets(gold, prediction, context, false);
}

interface Part {
  readonly operator: Relation;
  readonly left: Node;
  readonly right: Node;
}

function sameRelation(gold: Part, prediction: Part, context: Context): boolean {
  const sides = (a: Node, b: Node): boolean => sameItem(a, b, context);
  if (
    gold.operator === prediction.operator &&
    sides(gold.left, prediction.left) &&
    sides(gold.right, prediction.right)
  )
    return true;
  if (gold.operator === "in" || prediction.operator === "in") return false;
  const flipped = prediction.operator === FLIPPED[gold.operator];
  if (flipped && sides(gold.left, prediction.right) && sides(gold.right, prediction.left)) return true;
  const parts = [gold.left, gold.right, prediction.left, prediction.right];
  if (parts.some((part) => isCollection(part) || infinityOf(part) !== undefined)) return false;
  const ratio = constantRatio(
    difference(gold.left, gold.right),
    difference(prediction.left, prediction.right),
    context.budget,
  );
  if (ratio === undefined) return false;
  const symmetric = gold.operator === "=" || gold.operator === "!=";
  if (symmetric) return prediction.operator === gold.operator;
  return ratio > 0 ? prediction.operator === gold.operator : flipped;
}
