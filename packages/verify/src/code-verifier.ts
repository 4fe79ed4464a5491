/** The verifier of programs: takes the program out of the response and runs it against the row's tests. */

import type { Verdict } from "@posttrain/data";
import {
  type CodeTask,
  codeBlocks,
  completePython,
  definitionsOf,
  type ExtractOptions,
  extractCode,
  gradeCode,
  type Language,
  languages,
  readsInput,
} from "@posttrain/sandbox";
import { z } from "zod";
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
  judges: "program",
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

/** A program for stdin and stdout may be in any language: that of the last block that reads its input, else of the last one. */
function inLanguageOf(text: string, { task, anyLanguage }: CodeRow): CodeTask {
  if (!anyLanguage || task.mode !== "stdio") return task;
  const blocks = codeBlocks(text).fenced.filter(({ language }) => runnable.includes(language));
  // How a program is called is no program.
  const programs = blocks.some(({ language }) => language !== "bash")
    ? blocks.filter(({ language }) => language !== "bash")
    : blocks;
  const language = (programs.filter(({ code }) => readsInput(code)).at(-1) ?? programs.at(-1))?.language;
  return language === undefined ? task : { ...task, language: language as Exclude<Language, "sql"> };
}

const runnable: readonly string[] = languages.filter((language) => language !== "sql");

/** What the row's own task says goes before what is set. */
function withSettings(task: CodeTask, { comparison: kind, tolerance }: VerifierSettings): CodeTask {
  const within = {
    ...(tolerance?.absolute !== undefined && { absolute: tolerance.absolute }),
    ...(tolerance?.relative !== undefined && { relative: tolerance.relative }),
  };
  if (task.mode === "calls") return { ...task, comparison: { ...within, ...task.comparison } };
  if (task.mode !== "stdio" || (kind === undefined && tolerance === undefined)) return task;
  return { ...task, comparison: { kind: kind ?? "floats", ...within, ...task.comparison } };
}

function programOf(
  text: string,
  { candidate }: CodeRow,
  task: CodeTask,
  { choose }: VerifierSettings,
): string {
  if (candidate.kind === "completion")
    return completePython(candidate.prompt, text, candidate.entryPoint, choose);
  const { language } = task;
  const options = { language, ...(choose !== undefined && { choose }) };
  if (candidate.kind === "continuation") return continuation(text, candidate, options);
  const { entryPoint } = candidate;
  const program = extractCode(text, {
    ...options,
    ...(entryPoint !== undefined && { entryPoint }),
    ...(task.mode === "asserts" && { tests: task.tests }),
    ...(task.mode === "stdio" && { readsInput: true }),
  }).code;
  return task.mode === "calls" && language === "python" ? asFunction(program, task.entryPoint) : program;
}

/** A prompt gone on with, or written again in a fence. */
function continuation(
  text: string,
  { prompt, stop }: Extract<CodeRow["candidate"], { kind: "continuation" }>,
  options: ExtractOptions & { readonly language: Language },
): string {
  if (codeBlocks(text).fenced.length === 0)
    return text.startsWith(prompt) ? text : prompt + beforeStop(text, stop);
  // The last that it defines is what it asks for.
  const entryPoint = [...definitionsOf(`${prompt}{`, options.language).functions].at(-1);
  const block = extractCode(text, { ...options, ...(entryPoint !== undefined && { entryPoint }) }).code;
  return holdsPrompt(block, prompt) ? block : `${prompt}${block}`;
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
