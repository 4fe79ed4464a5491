/** The verifier of programs: takes the program out of the response and runs it against the row's tests. */
import { z } from "zod";
import { completePython, extractCode, fencedBlocks } from "../code/extract.js";
import { gradeCode } from "../code/grade.js";
import type { CodeTask, Language, OutputComparison } from "../code/task.js";
import type { Verdict } from "../verdict.js";
import { type CodeRow, readCodeRow } from "./code-rows.js";
import { defineVerifier, type Row, type VerifierDefinition, type VerifierSettings } from "./verifier.js";

const needs = z
  .custom<Row>((row) => typeof row === "object" && row !== null)
  .transform((row, context): CodeRow => {
    const read = readCodeRow(row);
    if (!("problem" in read)) return read;
    context.addIssue({ code: "custom", message: read.problem });
    return z.NEVER;
  });

const code = defineVerifier({
  name: "code",
  about: "a program passes tests: assert lines, function calls, or standard input and output",
  needs,
  grade: async (text, row, settings, { sandbox }): Promise<Verdict> => {
    const task = withSettings(inLanguageOf(text, row), settings);
    const { cpu_seconds: cpuSeconds, memory_mb: memoryMb } = settings;
    return gradeCode(task, programOf(text, row, task, settings), {
      ...sandbox,
      limits: {
        ...sandbox.limits,
        ...(cpuSeconds !== undefined && { cpuSeconds }),
        ...(memoryMb !== undefined && { memoryMb }),
      },
    });
  },
});

/** A program for stdin and stdout may be in the language that its last fence names. */
function inLanguageOf(text: string, { task, anyLanguage }: CodeRow): CodeTask {
  if (!anyLanguage || task.mode !== "stdio") return task;
  const { blocks, open } = fencedBlocks(text);
  const named = [...blocks, ...(open === undefined ? [] : [open])].at(-1)?.language;
  const runnable: readonly string[] = ["javascript", "typescript", "cpp", "java", "go", "rust", "bash"];
  return named !== undefined && runnable.includes(named)
    ? { ...task, language: named as Exclude<Language, "sql"> }
    : task;
}

function withSettings(task: CodeTask, { comparison: kind, tolerance }: VerifierSettings): CodeTask {
  if (task.mode !== "stdio" || kind === undefined) return task;
  const comparison: OutputComparison = {
    kind,
    ...(tolerance?.absolute !== undefined && { absolute: tolerance.absolute }),
    ...(tolerance?.relative !== undefined && { relative: tolerance.relative }),
  };
  return { ...task, comparison };
}

function programOf(
  text: string,
  { candidate }: CodeRow,
  task: CodeTask,
  { choose = "last" }: VerifierSettings,
): string {
  if (candidate.kind === "completion")
    return text.trim() === "" ? "" : completePython(candidate.prompt, text, candidate.entryPoint);
  const { language } = task;
  const fenced = fencedBlocks(text);
  const isFenced = fenced.blocks.length > 0 || fenced.open !== undefined;
  if (candidate.kind === "continuation") {
    if (isFenced) {
      const block = extractCode(text, { language, choose }).code;
      return holdsPrompt(block, candidate.prompt) ? block : `${candidate.prompt}${block}`;
    }
    return text.startsWith(candidate.prompt) ? text : candidate.prompt + beforeStop(text, candidate.stop);
  }
  // A file of programs has no fences, and no prose to look through.
  const entryPoint = candidate.entryPoint;
  const program = isFenced
    ? extractCode(text, { language, choose, ...(entryPoint !== undefined && { entryPoint }) }).code
    : language === "python" && !looksLikeProgram(text)
      ? extractCode(text, { language }).code
      : text;
  return task.mode === "calls" && language === "python" ? asFunction(program, task.entryPoint) : program;
}

/** The signature, which a prompt ends with, stands in the block: it is the whole function. */
function holdsPrompt(block: string, prompt: string): boolean {
  const signature = prompt.trimEnd().split("\n").at(-1)?.trim() ?? "";
  return signature !== "" && block.includes(signature);
}

function beforeStop(text: string, stop: readonly string[]): string {
  const ends = stop.map((word) => text.indexOf(word)).filter((at) => at > 0);
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

/** Prose seldom begins like this. */
function looksLikeProgram(text: string): boolean {
  return /^\s*(?:#|import\s|from\s+\S+\s+import|def\s|class\s|@|[A-Za-z_][\w.]*(?:\s*,\s*[A-Za-z_]\w*)*\s*=|print\s*\(|for\s.+:|while\s.+:|if\s.+:|""")/.test(
    text,
  );
}

/** What LeetCode and APPS have imported for everybody, without names that would hide Python's own. */
const USUAL_IMPORTS = [
  "import sys, re, math, string, random, bisect, heapq, itertools, functools, collections, operator, copy, datetime",
  "from typing import *",
  "from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2, inf",
  "from collections import Counter, OrderedDict, deque, defaultdict, ChainMap",
  "from itertools import accumulate, product, permutations, combinations",
  "from functools import lru_cache, cache, reduce",
  "from heapq import heappush, heappop, heapify",
  "from bisect import bisect_left, bisect_right",
].join("; ");

/** LeetCode's form: a method of class Solution, with the usual names already imported. */
function asFunction(program: string, name: string): string {
  if (program.trim() === "") return program;
  const isMethod =
    /^class\s+Solution\b/m.test(program) &&
    !new RegExp(`^(?:async\\s+)?def\\s+${name}\\b`, "m").test(program);
  const method = isMethod
    ? `\n\ndef ${name}(*arguments, **named):\n    return Solution().${name}(*arguments, **named)\n`
    : "\n";
  const imports = /^from __future__/m.test(program) ? "" : `${USUAL_IMPORTS}\n`;
  return `${imports}${program}${method}`;
}

export const codeVerifiers: readonly VerifierDefinition[] = [code];
