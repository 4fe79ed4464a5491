// Area cross-lingual: instructions translated, answered in their new language, held against the original answer; or, of texts that stand beside their translations, tasks of
// translating, for which nobody is asked. Qwen2.5's report, section 4.1 (7).
import { UserError } from "@posttrain/data";
import { languageCodes } from "@posttrain/instructions";
import type { Area, Making } from "../area.js";
import { isParallel, translations } from "./parallel.js";
import { responded } from "./respond.js";

export const crossLingual: Area = {
  version: 1,
  tasks: ["respond", "translate"],
  seeds: "needed",
  build: async function* (making: Making) {
    const { config, tasks } = making;
    const unknown = config.languages?.find((code) => !languageCodes().includes(code));
    if (unknown !== undefined)
      throw new UserError(
        "bad_option",
        `languages has ${JSON.stringify(unknown)}: expected of ${languageCodes().join(", ")}.`,
      );
    // With --tasks both ways, the first row tells which the seeds are for.
    const task = tasks.length === 1 ? tasks[0] : await taskOf(making);
    if (task === "translate") return yield* translations(making);
    if (config.languages === undefined)
      throw new UserError(
        "bad_option",
        "Area cross-lingual translates instructions: say into which languages, such as --languages zh,de,sw.",
      );
    yield* responded(making, config.languages);
  },
};

async function taskOf({ seeds }: Making): Promise<"respond" | "translate"> {
  for await (const { row } of seeds()) return isParallel(row) ? "translate" : "respond";
  return "respond";
}
