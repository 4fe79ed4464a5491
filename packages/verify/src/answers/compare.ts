/**
 * Our own comparison, for rewards: an answer is right only if it is shown to say the same. docs/answer-matching.md lists what
 * counts as the same; every leniency is one that no published grader refuses.
 */
import { agree, toDouble } from "./bigfloat.js";
import { approximately, type Budget, exactly, freeVariables, newPoint } from "./evaluate.js";
import { chineseNumber, englishNumber } from "./number-words.js";
import { isName, tryParse } from "./parse.js";
import { compare, divide, ONE, rational, toNumber } from "./rational.js";
import { realSet, samePieces } from "./realsets.js";
import { constantRatio, equalScalars, infinityOf } from "./scalars.js";
import { canonicalText, type Node, type Relation, walk } from "./syntax.js";
import {
  choiceOf,
  comparableText,
  parseJson,
  sameJson,
  sameMoment,
  samePlainNumber,
  tokenF1,
  truthOf,
  undress,
} from "./text-answers.js";
import { difference, matrixOf, spellOutSigns } from "./trees.js";
import { splitUnit } from "./units.js";

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

export interface Comparison {
  readonly equal: boolean;
  /** By what rule: `text`, `choice`, `value` and so on. */
  readonly by: string;
  /** The prediction could not be read as what the reference is. */
  readonly unreadable?: boolean;
}

const verdict = (isEqual: boolean, by: string): Comparison => ({ equal: isEqual, by });

export function compareAnswers(
  gold: string,
  prediction: string,
  options: CompareOptions,
  budget: Budget,
): Comparison {
  const kind = options.kind ?? "auto";
  if (kind === "json") return compareJson(gold, prediction, options);
  const [g, p] = [undress(gold), undress(prediction)];
  if (g === p && g !== "") return verdict(!isWithoutValue(g, budget), "text");
  const words = (): Comparison => compareWords(g, p, options);
  if (kind === "text") return words();

  if (/^(?:\\text\{)?\(?[A-J]\)?\}?$/.test(g)) {
    const choice = choiceOf(p);
    if (choice !== undefined && choice === choiceOf(g)) return verdict(true, "choice");
    // A name such as A = 5 may still be meant: go on.
  }
  const truth = truthOf(g);
  if (truth !== undefined) return verdict(truthOf(p) === truth, "truth");
  if (/\d\s*[:h]\s*\d\d|[a-z]{3}/i.test(g)) {
    const moment = sameMoment(g, p);
    if (moment !== undefined)
      return moment || !/[:h]/.test(g)
        ? verdict(moment, "date or time")
        : verdict(comparableText(g) === comparableText(p), "text");
  }
  const goldMath = readMeasured(g);
  if (goldMath === undefined) {
    const data = /^[[{]/.test(g) ? compareJson(gold, prediction, options) : undefined;
    return data?.equal === true ? data : words();
  }
  const mathematics = readMeasured(p);
  if (mathematics === undefined) {
    const asWords = words();
    return asWords.equal ? asWords : { equal: false, by: "text", unreadable: true };
  }
  const asRead = compareMeasured(goldMath, mathematics, options, budget);
  if (asRead.equal) return asRead;
  // Beside a unit that is written as one, or a plain number, a lone letter is one: 5\text{ m} and 5 m.
  const bare =
    mathematics.unit === undefined &&
    (goldMath.unit !== undefined || freeVariables(goldMath.node).size === 0);
  const predictionAgain = bare ? readMeasured(p, true) : mathematics;
  const goldAgain =
    goldMath.unit === undefined && mathematics.unit !== undefined ? readMeasured(g, true) : goldMath;
  if (goldAgain === undefined || predictionAgain === undefined) return asRead;
  if (goldAgain.unit === goldMath.unit && predictionAgain.unit === mathematics.unit) return asRead;
  return compareMeasured(goldAgain, predictionAgain, options, budget);
}

function compareMeasured(
  gold: Mathematics,
  prediction: Mathematics,
  options: CompareOptions,
  budget: Budget,
): Comparison {
  const scale = conversion(gold, prediction);
  if (scale === "different") return verdict(false, "units");
  return verdict(same(gold.node, prediction.node, { options, budget, scale }), "value");
}

/** Two identical texts are equal unless what they say has no value, 0/0. */
function isWithoutValue(text: string, budget: Budget): boolean {
  if (!/\/|frac/.test(text)) return false;
  const node = tryParse(text);
  return (
    node?.kind === "quotient" &&
    node.colon !== true &&
    freeVariables(node).size === 0 &&
    exactly(node, newPoint(1n, "integers"), budget) === "none"
  );
}

function compareWords(gold: string, prediction: string, { minimumF1 }: CompareOptions): Comparison {
  const [a, b] = [comparableText(gold), comparableText(prediction)];
  if (a !== "" && a === b) return verdict(true, "text");
  if (minimumF1 === undefined) return verdict(false, "text");
  return verdict(tokenF1(prediction, gold).f1 >= minimumF1, "token F1");
}

function compareJson(gold: string, prediction: string, { ordered }: CompareOptions): Comparison {
  const [a, b] = [parseJson(gold), parseJson(prediction)];
  if (a === undefined) return { equal: false, by: "json" };
  if (b === undefined) return { equal: false, by: "json", unreadable: true };
  return verdict(sameJson(a.value, b.value, ordered === false), "json");
}

/** Whether the reference can be graded as JSON at all. */
export const isJson = (text: string): boolean => parseJson(text) !== undefined;

// Reading -----------------------------------------------------------------------------------------------------------------

interface Mathematics {
  readonly node: Node;
  readonly unit?: { readonly kind: string; readonly scale: { readonly n: bigint; readonly d: bigint } };
  readonly label?: string;
}

function readMeasured(text: string, letters = false): Mathematics | undefined {
  const inWords = englishNumber(text);
  if (inWords !== undefined) return { node: { kind: "number", value: rational(inWords), decimal: false } };
  const chinese = chineseNumber(text);
  if (chinese !== undefined) return { node: { kind: "number", value: chinese, decimal: false } };
  const { body, unit, label } = splitUnit(text, letters);
  const node = readMathematics(body);
  if (node !== undefined)
    return { node, ...(unit === undefined ? {} : { unit }), ...(label === undefined ? {} : { label }) };
  const whole = body === text ? undefined : readMathematics(text);
  return whole === undefined ? undefined : { node: whole };
}

/** Mathematics and no prose: words beside each other are never multiplied. */
function readMathematics(text: string): Node | undefined {
  if (isProse(text)) return undefined;
  const node = tryParse(text);
  if (node === undefined) return undefined;
  for (const part of walk(node)) {
    if (part.kind === "product" && part.factors.some((factor) => factor.kind === "word")) return undefined;
  }
  return node;
}

/** A word of three letters or more beside another word, outside of commands and \text. */
function isProse(text: string): boolean {
  const bare = text.replace(/\\[a-zA-Z]+(?:\s*\{[a-zA-Z\s]*\})?/g, " # ");
  return /[a-zA-Z]{2,}\s+[a-zA-Z]{3,}|[a-zA-Z]{3,}\s+[a-zA-Z]{2,}|[a-zA-Z]{12,}/.test(
    bare.replace(/\b(?:and|or|pi|inf|infinity|sqrt|sin|cos|tan|log|ln|percent|mod)\b/gi, " # "),
  );
}

/** What a number counts or measures; a degree and a percent sign are units as well. */
const kindOf = ({ node, unit, label }: Mathematics): string | undefined =>
  unit?.kind ??
  label ??
  (node.kind === "degrees" ? "angle" : node.kind === "percent" ? "percent" : undefined);

/** The factor from the prediction's unit to the reference's; 1 where one side names none. */
function conversion(gold: Mathematics, prediction: Mathematics): "different" | { n: bigint; d: bigint } {
  const [a, b] = [kindOf(gold), kindOf(prediction)];
  if (a !== undefined && b !== undefined && a !== b) return "different";
  if (gold.unit === undefined || prediction.unit === undefined) return { n: 1n, d: 1n };
  return divide(prediction.unit.scale, gold.unit.scale);
}

// Trees -------------------------------------------------------------------------------------------------------------------

interface Context {
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

/** y = 2x + 1 = 1 + 2x says y = 1 + 2x. */
function asAssignment(node: Node): Node {
  const parts = node.kind === "relation" && node.operators.length > 1 ? assignment(node) : undefined;
  return parts === undefined
    ? node
    : { kind: "relation", operators: ["="], sides: [parts.name, parts.value] };
}

function same(goldIn: Node, predictionIn: Node, context: Context): boolean {
  const gold = spellOutSigns(goldIn);
  const prediction = spellOutSigns(predictionIn);
  const [word, other] = [spelling(gold), spelling(prediction)];
  // Letters side by side are a word against a word, and a product only against a product.
  if (word !== undefined && other !== undefined) return word === other;

  const [named, assigned] = [assignment(gold), assignment(prediction)];
  if (named !== undefined && assigned !== undefined) {
    const sameName = canonicalText(named.name) === canonicalText(assigned.name);
    if (sameName && same(named.value, assigned.value, context)) return true;
  } else if (assigned !== undefined && gold.kind !== "relation") return same(gold, assigned.value, context);
  else if (named !== undefined && prediction.kind !== "relation")
    return same(named.value, prediction, context);

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
  const asSet = (node: Node): Node => (node.kind === "list" ? { kind: "set", items: node.items } : node);
  const [a, b] = [realSet(asSet(gold), context.budget), realSet(asSet(prediction), context.budget)];
  if (a === undefined || b === undefined) return false;
  const empty = (node: Node): boolean => node.kind === "namedSet" && node.name === "empty";
  // (2,1) is no empty interval but a pair.
  if (a.length === 0 && b.length === 0) return empty(gold) && empty(prediction);
  return samePieces(a, b, (x, y) => sameItem(x, y, context));
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

const FLIPPED: Readonly<Record<Relation, Relation>> = {
  "=": "=",
  "<": ">",
  ">": "<",
  "<=": ">=",
  ">=": "<=",
  "!=": "!=",
  in: "in",
  notin: "notin",
};

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
