/** Tasks from the rows of public benchmarks, as their files spell them (recipe: EvalPlus and MBPP's own harnesses). */
import { topLevelStatements } from "./python-source.js";
import type { AssertsTask } from "./task.js";

export interface HumanEvalRow {
  readonly prompt: string;
  readonly entry_point: string;
  readonly test: string;
}

/** Its candidate is completePython(prompt, answer, entry_point). */
export function humanEvalTask({ prompt, entry_point, test }: HumanEvalRow): AssertsTask {
  return {
    mode: "asserts",
    language: "python",
    tests: `${test}\ncheck(${entry_point})\n`,
    preamble: prompt,
    entryPoint: entry_point,
  };
}

export interface MbppRow {
  readonly test_list: readonly string[];
  /**
   * The reference: only for the name of its function, which may be that of a built-in one (`sum`, task 126). Without it that of the only
   * function which the tests call.
   */
  readonly code?: string;
  /** The sanitized half. */
  readonly test_imports?: readonly string[];
  /** The full set. */
  readonly test_setup_code?: string;
}

export function mbppTask({
  test_list,
  code = "",
  test_imports = [],
  test_setup_code = "",
}: MbppRow): AssertsTask {
  const tests = [...test_imports, test_setup_code, ...test_list].filter((text) => text !== "").join("\n");
  const called = namesCalled(test_list.join("\n"));
  const defined = topLevelStatements(code).flatMap(({ kind, names }) => (kind === "function" ? names : []));
  const entryPoint = defined.reverse().find((name) => called.has(name)) ?? onlyOf(called);
  return { mode: "asserts", language: "python", tests, ...(entryPoint === undefined ? {} : { entryPoint }) };
}

function namesCalled(tests: string): ReadonlySet<string> {
  const calls = tests.matchAll(/(?<![\w.])(?!(?:assert|not|and|or|in|is)\b)([A-Za-z_]\w*)\s*\(/g);
  return new Set([...calls].map(([, name]) => name!));
}

function onlyOf(names: ReadonlySet<string>): string | undefined {
  return names.size === 1 ? [...names][0] : undefined;
}
