// What a command wrote beside its result when it was done: what decided the result, and its report. So the same command knows that nothing is left to do.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJson, stringifyJson, UserError } from "@posttrain/data";
import { writeDurably } from "./durable.js";
import { differences, type Identity, show } from "./identity.js";

const name = "report.json";

/** Written last, when the result `output` has its name. `folder`: the progress folder beside it. */
export const writeFinished = (folder: string, decides: Identity, report: object): Promise<void> =>
  writeDurably(join(folder, name), `${stringifyJson({ decides, report }, 2)}\n`);

/**
 * The report of the result that is there; undefined: there is none, its writer was killed before it was done, or not all of it could be done
 * (`isWhole`). UserError `output_used` where it was made by anything else than `decides`.
 */
export async function readFinished<Report>(
  folder: string,
  output: string,
  decides: Identity,
  isWhole: (report: Report) => boolean,
): Promise<Report | undefined> {
  if (!existsSync(output)) return undefined;
  const text = await readFile(join(folder, name), "utf8").catch(() => undefined);
  const earlier = text === undefined ? undefined : (parseJson(text) as { decides: Identity; report: Report });
  if (earlier === undefined || !isWhole(earlier.report)) return undefined;
  const changed = differences(earlier.decides, parseJson(stringifyJson(decides)) as Identity);
  if (changed.length === 0) return earlier.report;
  const list = changed.map(({ key, before, now }) => `${key} was ${show(before)}, is now ${show(now)}`);
  throw new UserError(
    "output_used",
    `output ${output} was made otherwise: ${list.join("; ")}. Remove it to make it anew (what was sampled, graded and judged is kept in ${folder}), or give another output.`,
  );
}
