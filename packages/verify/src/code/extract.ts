/**
 * Code out of an answer: fenced blocks, a fence that was cut off, or no fence at all. Which block counts is a choice that
 * changes scores (HumanEval's harnesses take the first, LiveCodeBench the last), so it is an option, never a guess.
 */
import { keepReachable, longestPython, topLevelStatements } from "./python-source.js";

export interface ExtractOptions {
  readonly language?: string;
  /** Among the blocks of the language. `all` joins them with a blank line. Default: `last`. */
  readonly choose?: "first" | "last" | "longest" | "all";
  /** Prefer blocks that define this name; Python: keep only what it reaches. */
  readonly entryPoint?: string;
}

export interface Extracted {
  readonly code: string;
  readonly kind: "fenced" | "incomplete_fenced" | "heuristic" | "empty";
}

export interface Block {
  /** The tag in our own names, or "" for none and those unknown. */
  readonly language: string;
  readonly tag: string;
  readonly code: string;
}

/** Tags as models write them, by language; compared without case. */
export const languageTags: Readonly<Record<string, readonly string[]>> = {
  python: ["python", "py", "python3"],
  javascript: ["javascript", "js", "node", "nodejs", "mjs"],
  typescript: ["typescript", "ts"],
  cpp: ["cpp", "c++", "cc", "cxx"],
  c: ["c"],
  java: ["java"],
  go: ["go", "golang"],
  rust: ["rust", "rs"],
  bash: ["bash", "sh", "shell", "zsh"],
  sql: ["sql", "sqlite"],
  csharp: ["csharp", "c#", "cs"],
  d: ["d"],
  html: ["html"],
  julia: ["julia", "jl"],
  kotlin: ["kotlin", "kt"],
  lua: ["lua"],
  perl: ["perl"],
  php: ["php"],
  r: ["r"],
  racket: ["racket"],
  ruby: ["ruby", "rb"],
  scala: ["scala"],
  swift: ["swift"],
  verilog: ["verilog"],
};

const languageOfTag = new Map(
  Object.entries(languageTags).flatMap(([language, tags]) => tags.map((tag) => [tag, language])),
);

/** Blocks that close, in order, and what an open fence at the end holds. */
export function fencedBlocks(answer: string): {
  readonly blocks: readonly Block[];
  readonly open: Block | undefined;
} {
  const blocks: Block[] = [];
  let open: { fence: string; indent: number; tag: string; lines: string[] } | undefined;
  const close = ({ tag, lines, indent }: NonNullable<typeof open>): Block => {
    const strip = new RegExp(`^[ \\t]{0,${indent}}`);
    return { language: languageOf(tag), tag, code: lines.map((line) => line.replace(strip, "")).join("\n") };
  };
  for (const line of answer.split(/\r?\n/)) {
    if (open === undefined) {
      // Within a line of prose too: "Here it is: ```python".
      const start = /^(.*?)(`{3,}|~{3,})[ \t]*([^`\n]*)$/.exec(line);
      if (start)
        open = {
          fence: start[2]!,
          indent: /^[ \t]*$/.test(start[1]!) ? start[1]!.length : 0,
          tag: start[3]!.trim(),
          lines: [],
        };
      continue;
    }
    const end = /^[ \t]*(`{3,}|~{3,})[ \t]*$/.exec(line);
    if (end && end[1]!.startsWith(open.fence)) {
      blocks.push(close(open));
      open = undefined;
    } else open.lines.push(line);
  }
  return { blocks, open: open && close(open) };
}

/** The first word of what follows a fence: ```python title="x". */
function languageOf(tag: string): string {
  const word =
    tag
      .toLowerCase()
      .replace(/^\{\s*\.?/, "")
      .split(/[\s,:{}]/)[0] ?? "";
  return languageOfTag.get(word) ?? "";
}

export function extractCode(answer: string, options: ExtractOptions = {}): Extracted {
  const { language, choose = "last", entryPoint } = options;
  const { blocks, open } = fencedBlocks(answer);
  const own = ofLanguage(blocks, language, entryPoint);
  if (own.length > 0) return { code: chooseBlock(own, choose), kind: "fenced" };
  if (open !== undefined && ofLanguage([open], language, undefined).length > 0) {
    return { code: open.code, kind: "incomplete_fenced" };
  }
  if (blocks.length > 0) return { code: "", kind: "empty" }; // All in other languages.
  const code =
    language === undefined || language === "python" ? longestPython(answer) : heuristicCode(answer, language);
  if (code.trim() === "") return { code: "", kind: "empty" };
  return {
    code: entryPoint !== undefined && language === "python" ? keepOrAll(code, entryPoint) : code,
    kind: "heuristic",
  };
}

function keepOrAll(code: string, entryPoint: string): string {
  return defines(code, entryPoint) ? keepReachable(code, entryPoint) : code;
}

/** Blocks tagged so; else those that say nothing; among them those that define the entry point, if any do. */
function ofLanguage(
  blocks: readonly Block[],
  language: string | undefined,
  entryPoint: string | undefined,
): readonly Block[] {
  const full = blocks.filter(({ code }) => code.trim() !== "");
  const tagged = language === undefined ? full : full.filter((block) => block.language === language);
  const own = tagged.length > 0 ? tagged : full.filter((block) => block.language === "");
  const defining =
    entryPoint === undefined
      ? []
      : own.filter(({ code }) => new RegExp(`\\b${quoted(entryPoint)}\\b`).test(code));
  return defining.length > 0 ? defining : own;
}

function chooseBlock(blocks: readonly Block[], choose: NonNullable<ExtractOptions["choose"]>): string {
  if (choose === "all") return blocks.map(({ code }) => code).join("\n\n");
  if (choose === "first") return blocks[0]!.code;
  if (choose === "last") return blocks.at(-1)!.code;
  return blocks.reduce((best, block) => (block.code.length > best.code.length ? block : best)).code;
}

/** EvalPlus's sanitizer: the longest Python in the answer, of that the imports and what the entry point reaches. */
export function sanitizePython(answer: string, entryPoint?: string): string {
  return keepReachable(longestPython(answer), entryPoint);
}

function heuristicCode(answer: string, language: string): string {
  if (language === "sql")
    return /^[ \t]*(?:select|with\s[^\n]+\sas)\b[^;]*;?/im.exec(answer)?.[0].trim() ?? "";
  return answer.trim();
}

function quoted(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function defines(code: string, name: string): boolean {
  return topLevelStatements(code).some(({ names }) => names.includes(name));
}

/**
 * A whole program from a Python prompt that ends in an unfinished function (HumanEval) and what came after it: the bare
 * rest of the function, the whole function again, or an answer in prose with a fence.
 */
export function completePython(prompt: string, answer: string, entryPoint: string): string {
  const { blocks, open } = fencedBlocks(answer);
  const fenced = blocks.length > 0 || open !== undefined;
  const code = fenced
    ? extractCode(answer, { language: "python", choose: "first", entryPoint }).code
    : answer;
  if (code.startsWith(prompt)) return code;
  if (defines(code, entryPoint)) {
    // Imports and helpers of the prompt that it may count on; its own definitions come later and win.
    const before = topLevelStatements(prompt).filter(({ names }) => !names.includes(entryPoint));
    return `${before.map(({ text }) => text).join("\n\n")}\n\n${code}`;
  }
  if (!fenced && !/^\s/.test(code)) {
    // Prose without a fence that holds the function somewhere; else a body that lost its first line's indentation.
    const found = longestPython(code);
    if (defines(found, entryPoint)) return completePython(prompt, found, entryPoint);
  }
  const body = /^[ \t]/.test(code.replace(/^\n+/, "")) ? code : indentBody(code);
  return `${prompt}${prompt.endsWith("\n") ? "" : "\n"}${body}`;
}

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
