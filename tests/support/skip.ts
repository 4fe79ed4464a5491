// How a test says that it cannot run here. The reason and the command that would enable it travel in the task's meta to
// results-reporter.ts, and `npm test` prints both: a skipped test is never silent.
import type { TestOptions } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    skipped?: { readonly reason: string; readonly command: string };
  }
}

/**
 * Options for `describe` or `test`: skips it unless `condition` holds.
 *
 *     describe("cuda", skipUnless(hasDevice, "no CUDA device", "npm test, on a machine with one"), () => { ... });
 *
 * @param reason what is missing, in a few words
 * @param command what would enable it, as pasted into a shell
 */
export function skipUnless(condition: boolean, reason: string, command: string): TestOptions {
  return condition ? {} : { skip: true, meta: { skipped: { reason, command } } };
}
