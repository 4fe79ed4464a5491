/**
 * A whole program from a Python prompt that ends in an unfinished function (HumanEval) and what came after it: the bare rest of the
 * function, the whole function again, or an answer in prose with a fence.
 */
import { withoutThinking } from "@posttrain/data";
import { definitionsOf } from "./definitions.js";
import { type ExtractOptions, extractCode } from "./extract.js";
import { type Block, codeBlocks } from "./fences.js";
import { isPython, pythonRuns, topLevelStatements } from "./python-source.js";

export function completePython(
  prompt: string,
  answer: string,
  entryPoint: string,
  choose?: ExtractOptions["choose"],
): string {
  const seen = withoutThinking(answer) ?? "";
  if (seen.trim() === "") return "";
  const options = { language: "python", entryPoint, ...(choose !== undefined && { choose }) } as const;
  const { code } = extractCode(seen, options);
  if (code.startsWith(prompt)) return code;
  if (defines(code, entryPoint)) return afterPrompt(prompt, code, entryPoint);
  const body = bodyOf(seen, choose, code);
  const whole = `${prompt}${prompt.endsWith("\n") ? "" : "\n"}${/^[ \t]/.test(body.replace(/^\n+/, "")) ? body : indentBody(body)}`;
  if (isPython(whole)) return whole;
  // Prose, or a second function that was cut off, behind the body: it begins at the margin.
  const run = pythonRuns(whole).findLast(({ code: own }) => defines(own, entryPoint))?.code;
  const end = run === undefined ? whole.length : whole.lastIndexOf(run) + run.length;
  return /^\s*\n\S/.test(whole.slice(end)) ? whole.slice(0, end) : whole;
}

function defines(code: string, name: string): boolean {
  const found = definitionsOf(code, "python");
  return found.functions.has(name) || found.values.has(name);
}

/** Imports and helpers of the prompt that the code may count on; its own definitions come later and win. */
function afterPrompt(prompt: string, code: string, entryPoint: string): string {
  const before = topLevelStatements(prompt).filter(({ names }) => !names.includes(entryPoint));
  return `${before.map(({ text }) => text).join("\n\n")}\n\n${code}`;
}

/** Where nothing defines the function: what goes on with it. A block that returns does, before one that only calls it. */
function bodyOf(answer: string, choose: ExtractOptions["choose"], chosen: string): string {
  const blocks = codeBlocks(answer).fenced.filter(({ language }) => language === "python" || language === "");
  const [first] = blocks;
  if (first === undefined) return answer;
  // The fence that the prompt had opened, closed after the body.
  const before = answer.slice(0, answer.search(/^[ \t]*(?:```|~~~)/m));
  if (!first.closed && first.tag === "" && /^[ \t]+\S/m.test(before)) return before;
  if (choose !== undefined) return chosen;
  return (blocks.find(returns) ?? first).code;
}

const returns = ({ code }: Block): boolean => /^[ \t]*(?:return|yield)\b/m.test(code);

/** Trimming an answer takes the first line's indentation only; a fence may have taken all of it. */
function indentBody(code: string): string {
  const [first = "", ...rest] = code.split("\n");
  const others = rest.filter((line) => line.trim() !== "");
  const trimmed =
    others.length > 0 && others.every((line) => /^(?: {4}|\t)/.test(line)) && !/:\s*(?:#.*)?$/.test(first);
  return (
    trimmed
      ? [`    ${first}`, ...rest]
      : [first, ...rest].map((line) => (line.trim() === "" ? line : `    ${line}`))
  ).join("\n");
}
