// docs/pipeline.md as a reader would follow it: every `sh` block, in order, in one folder.
import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { kinds } from "../src/pipeline/kinds.js";
import { temporaryFolder } from "./support/command-line.js";

const { page, blocks } = readGuide("pipeline.md");
const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

test("the page's commands work, in order", async () => {
  const said = await followGuide(blocks, folder);
  expect(blocks).toHaveLength(6);
  expect(said[1]).toMatch(/^sft +posttrain sft\n +48 rows read, 48 kept; 4 steps/m);
  expect(said[1]).toMatch(/\$\{sft\.checkpoint\} is not there yet: planned with\s+tiny\/model/);
  expect(said[1]).toMatch(/^ok +/m);
  expect(said[1]).toMatch(/^dpo +run +not run yet$/m);
  expect(said[2]).toMatch(/^3 steps run in /m);
  expect(said[3]).toMatch(/^Nothing is left to do: 3 steps unchanged\.$/m);
  expect(said[4]).toMatch(
    /^sft +skip +unchanged\ndpo +run +learning_rate 0\.00005, was 0\.0001; set aside: runs\/small\/dpo\n/m,
  );
  expect(said[4]).toMatch(/^2 steps run in .*, 1 unchanged\.$/m);
  expect(said[5]).toMatch(
    /^checkpoint +runs\/small\/dpo\/checkpoint-2 .*\n├─ checkpoint +runs\/small\/sft\/checkpoint-4 /m,
  );
  expect(said[5]).toMatch(/^│ {2}├─ model +tiny\/model /m);
  expect(said[5]).toMatch(
    /^response +runs\/small\/answers\.jsonl:1.*\n└─ prompt +questions\.jsonl:1 .* What is /m,
  );
});

test("the page names every command that may be a step, and what it makes", () => {
  const table = page.slice(page.indexOf("| `run:`"), page.indexOf("## What is run again"));
  for (const [command, { makes }] of Object.entries(kinds)) {
    const line = table.split("\n").find((one) => one.split("|")[1]?.includes(`\`${command}\``));
    expect(line, command).toBeDefined();
    // `reward` makes what the line above it says.
    if (command !== "reward") for (const made of Object.keys(makes)) expect(line).toContain(`\`${made}\``);
  }
});
