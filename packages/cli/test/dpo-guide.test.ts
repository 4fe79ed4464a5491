// docs/dpo.md as a reader would follow it: every `sh` block, in order, in one folder.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { makeModel, temporaryFolder } from "./support/command-line.js";

const { blocks } = readGuide("dpo.md");

test("the page's commands work, in order", async () => {
  const folder = temporaryFolder();
  await makeModel(folder);
  const said = await followGuide(blocks, folder);
  expect(blocks).toHaveLength(5);
  expect(said[1]).toMatch(/4 kept \(explicit 2, implicit 1, alpaca 1\)/);
  expect(said[1]).toMatch(/^ok +sound: nothing of 4 rows is lost/m);
  expect(said[1]).toMatch(/^ {2}chosen:$/m);
  expect(said[2]).toMatch(/^reference +the model at the start/m);
  expect(said[2]).toMatch(/^done +final loss/m);
  expect(said[4]).toMatch(/^nothing +is left to do/m);
  const [first] = readFileSync(join(folder, "runs/dpo/metrics.jsonl"), "utf8").split("\n");
  expect(JSON.parse(first as string)).toMatchObject({ "rewards/margins": 0, "rewards/accuracies": 0 });
});
