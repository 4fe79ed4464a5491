/**
 * What can be asked of a program. A task holds what graders know (tests, expected values, checkers); the candidate
 * never sees it: tests run in an interpreter of their own, expected values and output are compared in this process.
 */
import type { Limits } from "./limits.js";

export const languages = [
  "python",
  "javascript",
  "typescript",
  "cpp",
  "java",
  "go",
  "rust",
  "bash",
  "sql",
] as const;

/** What programs that judge may be written in. */
export const judgeLanguages = ["python", "javascript"] as const;

/** How what programs print is compared. */
export const comparisonKinds = ["exact", "tokens", "lines", "floats"] as const;

export type Language = (typeof languages)[number];

/** `native`: under bubblewrap. `wasm`: Python and JavaScript with nothing installed but npm's packages. */
export type Route = "native" | "wasm";

/** What the tests pass if it holds: HumanEval, MBPP, MultiPL-E. */
export interface AssertsTask {
  readonly mode: "asserts";
  readonly language: Exclude<Language, "sql">;
  readonly tests: string;
  /** Python: trusted code before the tests, such as HumanEval's prompt with its helper functions. */
  readonly preamble?: string;
  /** The name under test, always the candidate's even where the preamble defines it. */
  readonly entryPoint?: string;
}

export interface CallCase {
  readonly args: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly expected: unknown;
}

/** Calls of one function: plain JSON in, with @posttrain/data's LosslessNumbers and bigints as ints; the result compared by `comparison`, or judged by `checker`. */
export interface CallsTask {
  readonly mode: "calls";
  readonly language: "python" | "javascript" | "typescript";
  readonly entryPoint: string;
  readonly cases: readonly CallCase[];
  /** Compare arguments after the call instead of the result (functions that work in place). */
  readonly inPlace?: boolean;
  readonly comparison?: ValueComparison;
  readonly checker?: Checker;
  /** APPS: each expected value is a list of one, and either that list or what it holds; the same in all cases. */
  readonly mayBeWrapped?: boolean;
}

export interface StdioCase {
  readonly stdin: string;
  readonly stdout: string;
}

/** A whole program that reads standard input: CodeContests, LiveCodeBench. */
export interface StdioTask {
  readonly mode: "stdio";
  readonly language: Exclude<Language, "sql">;
  readonly cases: readonly StdioCase[];
  readonly comparison?: OutputComparison;
  readonly checker?: Checker;
}

/** A SQLite query against tables that `setup` makes; the rows are compared with `rows`, or with those of `reference`. */
export interface QueryTask {
  readonly mode: "query";
  readonly language: "sql";
  readonly setup: string;
  readonly reference?: string;
  readonly rows?: readonly (readonly unknown[])[];
  /** Rows in the order that came (default: as a multiset). */
  readonly ordered?: boolean;
}

export type CodeTask = AssertsTask | CallsTask | StdioTask | QueryTask;

/**
 * `equal`: same values, an int equals a float of its value, a tuple a list (set `strictTypes` to refuse that).
 * Floats within `absolute` or `relative` when given.
 */
export interface ValueComparison {
  readonly absolute?: number;
  readonly relative?: number;
  readonly strictTypes?: boolean;
}

/**
 * `exact`: the same bytes but for one trailing newline. `tokens` (default): the same words between white space.
 * `lines`: the same lines, ends of lines and trailing empty lines apart. `floats`: words, numbers within a tolerance.
 */
export interface OutputComparison {
  readonly kind: (typeof comparisonKinds)[number];
  readonly absolute?: number;
  readonly relative?: number;
  readonly ignoreCase?: boolean;
}

/**
 * A program that judges: `check(input, output, expected)` in Python or JavaScript, in a sandbox of its own. It returns
 * true or false, or a pair of that and a message; in a calls task, input is the list of arguments.
 */
export interface Checker {
  readonly language: (typeof judgeLanguages)[number];
  readonly source: string;
  /** Default: `check`. */
  readonly entryPoint?: string;
}

export interface GradeOptions {
  /** Default: native where this machine proves it, else WebAssembly for Python and JavaScript. */
  readonly route?: Route;
  readonly limits?: Partial<Limits>;
  readonly signal?: AbortSignal;
  /**
   * Tests that must hold the candidate's own objects run beside the candidate, and their verdict says
   * `sealed: false`. `refuse` makes them an infrastructure-error instead. Default: `allow`.
   */
  readonly objects?: "allow" | "refuse";
}
