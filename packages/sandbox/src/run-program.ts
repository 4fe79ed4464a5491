/** Runs a whole program natively: compiles it if its language asks for that, then runs it once per input. */
import { bubblewrapLaunch, bubblewrapStarted, type Layout, type Program } from "./bubblewrap.js";
import { type Exit, startContained } from "./contained-process.js";
import type { Limits } from "./limits.js";
import { compileLimits, type Files, type Recipe, type Runnable, recipeOf } from "./recipes.js";
import type { Language } from "./task.js";
import { NotTranspiled } from "./transpile.js";

export interface Ran extends Exit {
  /** What the route lacks and the program needed. */
  readonly missing?: string | undefined;
}

export type Prepared =
  | { readonly kind: "ready"; readonly run: (stdin: string) => Promise<Ran> }
  /** The compiler refused it, or the sandbox it was in ended. */
  | { readonly kind: "refused"; readonly exit: Exit | undefined; readonly text: string };

export function runOnce(
  program: Program,
  layout: Layout,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Exit> {
  const launch = bubblewrapLaunch(layout, program, limits);
  return startContained(launch, limits, { signal, hasStarted: bubblewrapStarted }).exit;
}

export async function prepareProgram(
  language: Exclude<Language, "sql">,
  source: string,
  layout: Layout,
  limits: Limits,
  signal: AbortSignal | undefined,
  more: Files = {},
): Promise<Prepared> {
  const start = (program: Runnable, stdin: string, within: Limits): Promise<Exit> =>
    runOnce({ ...program, stdin }, layout, within, signal);
  let recipe: Recipe;
  try {
    recipe = await recipeOf(language, source, limits, more);
  } catch (error) {
    if (!(error instanceof NotTranspiled)) throw error;
    return { kind: "refused", exit: undefined, text: error.message };
  }
  let compiled: Uint8Array = new Uint8Array();
  if (recipe.compile) {
    const exit = await start(recipe.compile, "", compileLimits(limits));
    if (exit.code !== 0 || exit.stdout.length === 0) {
      return { kind: "refused", exit, text: exit.stderr.toString("utf8").trim().slice(0, 4000) };
    }
    compiled = exit.stdout;
  }
  const program = recipe.run(compiled);
  return { kind: "ready", run: (stdin) => start(program, stdin, limits) };
}
