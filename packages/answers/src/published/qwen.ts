/**
 * The grader of QwenLM/Qwen2.5-Math, evaluation/parser.py and grader.py (MIT): extraction, cleaning, and equality by text, by
 * number to 1e-4 (also a hundredth and a hundredfold: the percent rule, which is why it is no reward), by element, by equation,
 * and by symbols. SymPy's part is done by this package's own comparison.
 */
import { toDouble } from "../bigfloat.js";
import { approximately } from "../evaluate.js";
import { MAX_ANSWER_LENGTH } from "../limits.js";
import { englishNumber } from "../number-words.js";
import { tryParse } from "../parse.js";
import { type Budget, freeVariables, newPoint } from "../points.js";
import { constantRatio, equalScalars } from "../scalars.js";
import type { Node } from "../syntax.js";
import { difference, matrixOf } from "../trees.js";
import { QWEN_UNITS } from "../unit-words.js";
import { braceFractions, dropShortName, slashToFraction } from "./hendrycks.js";

/** Its list is of regular expressions: `.` matches anything. */
const UNIT_PATTERNS = QWEN_UNITS.map(
  (unit) => new RegExp(`(^|[^\\p{L}\\p{N}_])${unit}($|[^\\p{L}\\p{N}_])`, "gu"),
);
/** None of them can match a text without one of these at a boundary. */
const MAYBE_UNIT = /[a-zA-Z]/;

export function qwenStrip(source: string): string {
  let text = source.trim().replaceAll("\n", "").replace(/\.+$/, "").replaceAll("\\!", "");
  text = text
    .replace(/\\begin\{array\}\{.*?\}/g, "\\begin{pmatrix}")
    .replace(/\\end\{array\}/g, "\\end{pmatrix}")
    .replaceAll("bmatrix", "pmatrix")
    .replaceAll("tfrac", "frac")
    .replaceAll("dfrac", "frac")
    .replaceAll("\\neq", "\\ne")
    .replaceAll("\\leq", "\\le")
    .replaceAll("\\geq", "\\ge")
    .replaceAll("\\left", "")
    .replaceAll("\\right", "")
    .replaceAll("\\{", "{")
    .replaceAll("\\}", "}");
  const withoutText = text.replace(/\\text\{.*?\}$/, "").trim();
  if (withoutText !== "") text = withoutText;
  if (MAYBE_UNIT.test(text)) {
    for (let pass = 0; pass < 2; pass++) {
      for (const unit of UNIT_PATTERNS) {
        const shorter = text.replace(unit, "$1$2");
        if (shorter !== "") text = shorter;
      }
    }
  }
  text = text
    .replaceAll("^{\\circ}", "")
    .replaceAll("^\\circ", "")
    .replaceAll("\\$", "")
    .replaceAll("$", "")
    .replaceAll("\\(", "")
    .replaceAll("\\)", "");
  text = wordNumber(text) ?? text;
  text = text.replace(/\\text\{(.*?)\}/g, "$1");
  for (const name of ["x=", "y=", "z=", "x\\in", "y\\in", "z\\in", "x\\to", "y\\to", "z\\to"])
    text = text.replaceAll(name, "");
  text = text
    .replaceAll("\\emptyset", "{}")
    .replaceAll("(-\\infty,\\infty)", "\\mathbb{R}")
    .replaceAll("\\%", "")
    .replaceAll("%", "")
    .replaceAll(" .", " 0.")
    .replaceAll("{.", "{0.")
    .replaceAll("infinity", "\\infty");
  if (!text.includes("\\infty")) text = text.replaceAll("inf", "\\infty");
  text = text
    .replaceAll("and", "")
    .replaceAll("\\mathbf", "")
    .replace(/\\mbox\{.*?\}/g, "");
  if (text.includes("j") && !text.includes("i")) text = text.replaceAll("j", "i");
  text = text.replace(/(\d+)\.0*([^\d])/g, "$1$2").replace(/(\d+)\.0*$/, "$1");
  if (text === "") return text;
  if (text.startsWith(".")) text = `0${text}`;
  text = dropShortName(text);
  text = text.replace(/\\sqrt(\w+)/g, "\\sqrt{$1}").replaceAll(" ", "");
  return slashToFraction(braceFractions(text), true);
}

/** word2number reads the number words of a text and overlooks the rest; here only a text of number words is one. */
const wordNumber = (text: string): string | undefined =>
  /^[a-zA-Z\s-]+$/.test(text) ? englishNumber(text)?.toString() : undefined;

/** Its extraction for the open-ended mathematics sets. */
export function qwenExtract(source: string): string {
  const response = source.replaceAll("ки", "");
  let answer: string;
  if (response.includes("final answer is $") && response.includes("$. I hope")) {
    answer = (response.split("final answer is $")[1] ?? "").split("$. I hope")[0]?.trim() ?? "";
  } else if (response.includes("boxed")) {
    answer = boxed(response.slice(response.lastIndexOf("boxed") + 5));
  } else if (response.includes("he answer is")) {
    answer = response.slice(response.lastIndexOf("he answer is") + 12).trim();
  } else if (response.includes("final answer is")) {
    answer = response.slice(response.lastIndexOf("final answer is") + 15).trim();
  } else if (response.includes("答案是")) {
    answer = (response.split("答案是")[1] ?? "").trim().split("\n\n")[0]?.trim() ?? "";
  } else {
    answer =
      response
        .replaceAll(",", "")
        .match(/-?\d*\.?\d+/g)
        ?.at(-1) ?? "";
  }
  answer = answer.replace(/\n\s*/g, "").replace(/^:/, "").replace(/\.$/, "").replace(/\/$/, "");
  return answer.length > MAX_ANSWER_LENGTH ? answer : qwenStrip(answer);
}

function boxed(rest: string): string {
  if (!rest.startsWith("{")) return rest.split("$")[0]?.trim() ?? "";
  let depth = 0;
  for (let i = 0; i < rest.length; i++) {
    if (rest[i] === "{") depth++;
    else if (rest[i] === "}" && --depth === 0) return rest.slice(1, i);
  }
  return rest.slice(1);
}

/** An overflow is close to nothing. */
const isClose = (a: number, b: number): boolean =>
  Number.isFinite(a) && Number.isFinite(b) && Math.abs(a - b) <= 1e-4 * Math.max(Math.abs(a), Math.abs(b));

function digits(text: string): number | undefined {
  const bare = text.replaceAll(",", "").trim();
  const number = (part: string): number | undefined =>
    /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(part) ? Number(part) : undefined;
  const plain = number(bare);
  if (plain !== undefined || !bare.endsWith("%")) return plain;
  const percent = number(bare.replace(/\\?%$/, ""));
  return percent === undefined ? undefined : percent / 100;
}

function lastChoice(text: string): string {
  const cleaned = text
    .replace(/^\n+|\n+$/g, "")
    .replace(/\.+$/, "")
    .replace(/\/+$/, "")
    .trim()
    .replace(/^:+/, "");
  return (
    cleaned
      .toUpperCase()
      .match(/\b[A-E]\b/g)
      ?.at(-1) ?? cleaned.trim()
  );
}

const trimmed = (text: string, characters: string): string => {
  let [start, end] = [0, text.length];
  while (start < end && characters.includes(text[start] ?? "")) start++;
  while (end > start && characters.includes(text[end - 1] ?? "")) end--;
  return text.slice(start, end);
};

const isList = (text: string): boolean => /^[([].+[)\]]/.test(text);
const isMatrix = (text: string): boolean =>
  /^\\begin\{[pb]matrix\}/.test(text) && /\\end\{[pb]matrix\}$/.test(text);

/** Both texts are cleaned already; nested lists call it again. */
export function qwenEqual(goldText: string, predictionText: string, budget: Budget): boolean {
  if (--budget.steps < 0) return false;
  if (predictionText.trim().toLowerCase() === goldText.trim().toLowerCase()) return true;
  if (/^[A-E]$/.test(goldText) && lastChoice(predictionText) === goldText) return true;
  const [number, reference] = [digits(predictionText), digits(goldText)];
  if (number !== undefined && reference !== undefined) {
    if ([reference / 100, reference, reference * 100].some((value) => isClose(value, number))) return true;
  }
  if (predictionText === "") return false;
  const prediction = predictionText.trim();
  let gold = goldText.trim();
  if (prediction.includes("pmatrix") && !gold.includes("pmatrix")) gold = rowsFromBraces(gold);

  let [p, g] = [prediction, gold];
  const format = (text: string, open: string, close: string): boolean =>
    text.startsWith(open) && text.endsWith(close);
  if ((format(p, "[", "]") && !format(g, "(", ")")) || (format(p, "(", ")") && !format(g, "[", "]"))) {
    p = trimmed(p, "[]()");
    g = trimmed(g, "[]()");
  }
  const bare = (text: string): string => text.replace(/[{}()]/g, "").toLowerCase();
  if (bare(p) === bare(g)) return true;

  if (isList(prediction) && isList(gold)) {
    const [parts, references] = [prediction.slice(1, -1).split(","), gold.slice(1, -1).split(",")];
    if (
      parts.length === references.length &&
      parts.every((part, i) => qwenEqual(references[i] ?? "", part, budget))
    )
      return true;
  }
  if (isMatrix(prediction) && isMatrix(gold) && sameMatrices(prediction, gold, budget)) return true;
  const sides = (text: string): string[] => text.split("=");
  const [left, right] = [sides(prediction), sides(gold)];
  if (left.length === 2 && right.length === 2) {
    const [a, b] = [equationOf(left), equationOf(right)];
    if (a !== undefined && b !== undefined && sameUpToSign(a, b, budget)) return true;
  }
  const simple = (parts: readonly string[]): boolean =>
    parts.length === 2 && (parts[0] ?? "").trim().length <= 2;
  if (simple(left) && right.length === 1 && qwenEqual(gold, left[1] ?? "", budget)) return true;
  if (simple(right) && left.length === 1 && qwenEqual(right[1] ?? "", prediction, budget)) return true;
  return sameSymbols(prediction, gold, budget);
}

/** `{1,2}` as a column. */
function rowsFromBraces(text: string): string {
  return (text.match(/\{.*,.*\}/g) ?? [])
    .map((part) => `\\begin{pmatrix}${trimmed(part, "{}").replaceAll(",", "\\")}\\end{pmatrix}`)
    .join(", ");
}

function sameMatrices(prediction: string, gold: string, budget: Budget): boolean {
  const rows = (text: string): string[][] =>
    text
      .slice("\\begin{pmatrix}".length, -"\\end{pmatrix}".length)
      .split("\\\\")
      .map((row) => row.trim())
      .filter((row) => row !== "")
      .map((row) => row.split("&"));
  const [a, b] = [rows(prediction), rows(gold)];
  return (
    a.length === b.length &&
    a.every(
      (row, i) =>
        row.length === b[i]?.length && row.every((cell, j) => qwenEqual(b[i]?.[j] ?? "", cell, budget)),
    )
  );
}

function equationOf([left = "", right = ""]: readonly string[]): Node | undefined {
  const [a, b] = [tryParse(left), tryParse(right)];
  return a === undefined || b === undefined ? undefined : difference(a, b);
}

const sameUpToSign = (a: Node, b: Node, budget: Budget): boolean =>
  equalScalars(a, b, budget) || equalScalars(a, { kind: "negative", of: b }, budget);

/** What SymPy does there: symbolic equality, numbers to 1e-4, matrices to three decimals. */
function sameSymbols(prediction: string, gold: string, budget: Budget): boolean {
  // SymPy's LaTeX knows no commas, not even those of 10{,}000.
  if (prediction.includes(",") || gold.includes(",")) return false;
  const [a, b] = [tryParse(prediction), tryParse(gold)];
  if (a === undefined || b === undefined) return false;
  const [p, g] = [matrixOf(a), matrixOf(b)];
  if (p !== undefined && g !== undefined) {
    const rounded = (cell: Node): number => Math.round(constant(cell, budget) * 1000);
    return (
      p.length === g.length &&
      p.every(
        (row, i) =>
          row.length === g[i]?.length &&
          row.every((cell, j) => {
            const other = g[i]?.[j] as Node;
            return equalScalars(cell, other, budget) || rounded(cell) === rounded(other);
          }),
      )
    );
  }
  if (
    a.kind === "relation" &&
    b.kind === "relation" &&
    a.operators.length === 1 &&
    b.operators.length === 1
  ) {
    const [x, y] = [
      difference(a.sides[0] as Node, a.sides[1] as Node),
      difference(b.sides[0] as Node, b.sides[1] as Node),
    ];
    return (
      a.operators[0] === b.operators[0] &&
      (equalScalars(x, y, budget) || constantRatio(x, y, budget) !== undefined)
    );
  }
  if (equalScalars(a, b, budget)) return true;
  return isClose(constant(a, budget), constant(b, budget));
}

/** NaN where it is none, which is close to nothing. */
function constant(node: Node, budget: Budget): number {
  if (freeVariables(node).size > 0) return Number.NaN;
  const value = approximately(node, newPoint(1n, "positive"), budget);
  return value?.real === true ? toDouble(value.value.re) : Number.NaN;
}
