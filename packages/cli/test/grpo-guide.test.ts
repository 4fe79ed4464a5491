// docs/grpo.md as a reader would follow it: every `sh` block, in order, in one folder.
import { expect, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { makeModel, temporaryFolder } from "./support/command-line.js";

const { blocks } = readGuide("grpo.md");

test("the page's commands work, in order", async () => {
  const folder = temporaryFolder();
  await makeModel(folder);
  const said = await followGuide(blocks, folder);
  expect(blocks).toHaveLength(7);
  expect(said[2]).toMatch(/^data +problems.jsonl: 4 rows read, 4 kept/m);
  expect(said[2]).toMatch(/^step 1 best +reward/m);
  expect(said[2]).toMatch(/^done +/m);
  expect(said[3]).toMatch(/^After step 3: 4 prompts/m);
  expect(said[4]).toMatch(/^nothing +is left to do/m);
  expect(said[5]).toMatch(/^same +all bits of 4 things/m);
  expect(said[6]).toMatch(/^data +rollouts.jsonl: 24 rows read, 24 kept/m);
  expect(said[6]).toMatch(/ratio 1\.000/);
});
