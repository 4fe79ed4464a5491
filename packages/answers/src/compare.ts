/**
 * Our own comparison, for rewards: an answer is right only if it is shown to say the same. docs/answer-matching.md lists what
 * counts as the same; every leniency is one that no published grader refuses.
 */
import { type CompareOptions, same } from "./compare-trees.js";
import { exactly } from "./exact-value.js";
import { chineseNumber, englishNumber } from "./number-words.js";
import { tryParse } from "./parse.js";
import { type Budget, freeVariables, newPoint } from "./points.js";
import { divide, rational } from "./rational.js";
import { withoutScales } from "./scaled-numbers.js";
import { type Node, walk } from "./syntax.js";
import {
  choiceOf,
  comparableText,
  parseJson,
  sameJson,
  sameMoment,
  tokenF1,
  truthOf,
  undress,
} from "./text-answers.js";
import { toAsciiDigits } from "./tokens.js";
import { splitUnit } from "./units.js";

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
    // A name such as A = 5 may still be meant, but not B = C.
    if (/(?<![\p{L}\p{N}])[A-J](?![\p{L}\p{N}])/u.test(p.replaceAll(choiceOf(g) ?? "", " ")))
      return verdict(false, "choice");
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
  const decimal = [goldMath, readMeasured(g, true)].some(isOneNumber) ? withDecimalPoint(p) : undefined;
  if (decimal !== undefined) return compareAnswers(gold, decimal, options, budget);
  // Beside a unit that is written as one, or a plain number, a lone letter is one: 5\text{ m} and 5 m.
  const bare =
    mathematics.unit === undefined &&
    (goldMath.unit !== undefined || freeVariables(goldMath.tree).size === 0);
  const predictionAgain = bare ? readMeasured(p, true) : mathematics;
  const goldAgain =
    goldMath.unit === undefined && mathematics.unit !== undefined ? readMeasured(g, true) : goldMath;
  if (goldAgain === undefined || predictionAgain === undefined) return asRead;
  if (goldAgain.unit === goldMath.unit && predictionAgain.unit === mathematics.unit) return asRead;
  return compareMeasured(goldAgain, predictionAgain, options, budget);
}

/** What asks for one number can be answered with a decimal comma; against anything else 0,5 are two numbers. */
const isOneNumber = (measured: Mathematics | undefined): boolean =>
  measured !== undefined &&
  freeVariables(measured.tree).size === 0 &&
  !["list", "set", "bracket", "relation", "setOperation", "namedSet"].includes(measured.tree.kind);

/** A name, a sign, a currency; the number; what it measures. Brackets make a pair of it. */
const COMMA =
  /^((?:[a-z]\s*=\s*)?[-+−]?\s*(?:\\?\$|US\$|[€£¥￥₹])?\s*)(\d+|\d{1,3}(?:[. ]\d{3})+)(?:,|\{,\})(\d+)(\s*(?:\\text\{[^{}]*\}|[^\d()[\]{}<>|=,;]*(?:\^\{?[23]\}?)?))$/i;

/** 0,5 and 1.234,56 with a point; undefined for thousands (1,234), for lists, and where nothing is a comma. */
function withDecimalPoint(text: string): string | undefined {
  const match = COMMA.exec(toAsciiDigits(text));
  if (match === null) return undefined;
  const [, before = "", whole = "", part = "", after = ""] = match;
  if (/^[1-9]\d{0,2}$/.test(whole) && part.length === 3) return undefined;
  return `${before}${whole.replace(/[. ]/g, "")}.${part}${after}`;
}

function compareMeasured(
  gold: Mathematics,
  prediction: Mathematics,
  options: CompareOptions,
  budget: Budget,
): Comparison {
  const scale = conversion(gold, prediction);
  if (scale === "different") return verdict(false, "units");
  return verdict(same(gold.tree, prediction.tree, { options, budget, scale }), "value");
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

interface Mathematics {
  readonly tree: Node;
  readonly unit?: { readonly kind: string; readonly scale: { readonly n: bigint; readonly d: bigint } };
  readonly label?: string;
}

function readMeasured(text: string, letters = false): Mathematics | undefined {
  const inWords = englishNumber(text);
  if (inWords !== undefined) return { tree: { kind: "number", value: rational(inWords), decimal: false } };
  const chinese = chineseNumber(text);
  if (chinese !== undefined) return { tree: { kind: "number", value: chinese, decimal: false } };
  const written = withoutScales(toAsciiDigits(text));
  const { body, unit, label } = splitUnit(written, letters);
  const node = readMathematics(body);
  if (node !== undefined)
    return { tree: node, ...(unit === undefined ? {} : { unit }), ...(label === undefined ? {} : { label }) };
  const whole = body === written ? undefined : readMathematics(written);
  return whole === undefined ? undefined : { tree: whole };
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
const kindOf = ({ tree, unit, label }: Mathematics): string | undefined =>
  unit?.kind ??
  label ??
  (tree.kind === "degrees" ? "angle" : tree.kind === "percent" ? "percent" : undefined);

/** The factor from the prediction's unit to the reference's; 1 where one side names none. */
function conversion(gold: Mathematics, prediction: Mathematics): "different" | { n: bigint; d: bigint } {
  const [a, b] = [kindOf(gold), kindOf(prediction)];
  if (a !== undefined && b !== undefined && a !== b) return "different";
  if (gold.unit === undefined || prediction.unit === undefined) return { n: 1n, d: 1n };
  return divide(prediction.unit.scale, gold.unit.scale);
}
