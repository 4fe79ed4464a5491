// The list of every command's options is that of the commands; `npx vitest run packages/cli/test/option-owners.test.ts -u` writes it again,
// at its end: a second run reads the new one.
import { expect, it } from "vitest";
import { commands } from "../src/commands.js";
import { ownersOfOptions } from "../src/option-owners.js";
import { namesOf } from "../src/options.js";
import { stageNames } from "../src/stages/registry.js";

/** From the commands themselves. */
async function namesByCommand(stage: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = Object.entries(commands).map(
    async ([name, { load }]) => [name, namesOf((await load(stage)).options)] as const,
  );
  return new Map(await Promise.all(names));
}

it("lists what the commands have", async () => {
  const byStage = await Promise.all(
    stageNames.map(async (stage) => [stage, await namesByCommand(stage)] as const),
  );
  const lines = Object.keys(commands).flatMap((command) => {
    const texts = byStage.map(
      ([stage, names]) =>
        [
          stage,
          names
            .get(command)!
            .map((name) => ` ${name}`)
            .join(""),
        ] as const,
    );
    return new Set(texts.map(([, text]) => text)).size === 1
      ? [`${command}:${texts[0]![1]}`]
      : texts.map(([stage, text]) => `${command} --stage ${stage}:${text}`);
  });
  await expect(
    `// Written by test/option-owners.test.ts: the options of every command, per stage where they depend on it.\nexport const optionNames = \`\n${lines.join("\n")}\n\`;\n`,
  ).toMatchFileSnapshot("../src/option-names.ts");
});

it.each(stageNames)("says who has an option, while the stage is %s", async (stage) => {
  const owners = ownersOfOptions(stage);
  for (const [command, names] of await namesByCommand(stage)) {
    for (const name of names) expect(owners.get(name)).toContain(command);
  }
});
