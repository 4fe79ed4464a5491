// Which commands have an option: for the hint at one that is another command's. From a list, for loading every command takes a second.
import { optionNames } from "./option-names.js";
import { stageNames, usualStage } from "./stages/registry.js";

/** Options -> the commands that have them, where those that serve every stage serve `stage`. */
export function ownersOfOptions(stage: unknown): ReadonlyMap<string, readonly string[]> {
  const served = stageNames.find((known) => known === stage) ?? usualStage;
  const owners = new Map<string, string[]>();
  for (const line of optionNames.trim().split("\n")) {
    const [, command = "", of = served, names = ""] = /^(.*?)(?: --stage (\w+))?:(.*)$/.exec(line) ?? [];
    if (of !== served) continue;
    for (const name of names.match(/\S+/g) ?? []) owners.set(name, [...(owners.get(name) ?? []), command]);
  }
  return owners;
}
