// docs/reward-model.md as a reader would follow it: every `sh` block, in order, in one folder.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { makeModel, temporaryFolder } from "./support/command-line.js";

const { blocks } = readGuide("reward-model.md");
const folder = temporaryFolder();
beforeAll(() => makeModel(folder));
afterAll(() => rmSync(folder, { recursive: true }));

test("the page's commands work, in order", async () => {
  const said = (await followGuide(blocks, folder)).map((text) => text.replace(/[ \n]+/g, " "));
  expect(blocks).toHaveLength(4);
  expect(said[0]).toContain("sound: nothing of 4 rows is lost");
  expect(said[0]).toMatch(/step 4\/4 loss \d\.\d{4}/);
  expect(said[1]).toContain('"reason":"nothing_to_rank"');
  expect(said[2]).toContain(
    "one score of a sequence, at its last token: 0.8 x truthfulness + 0.2 x conciseness",
  );
  expect(said[3]).toMatch(/\(score -?\d+\.\d{3}\)/);
  const [row] = readFileSync(join(folder, "scored.jsonl"), "utf8").split("\n");
  expect(JSON.parse(row as string)).toMatchObject({
    reward_scores: [expect.any(Number), expect.any(Number)],
    head_scores: [{ truthfulness: expect.any(Number), conciseness: expect.any(Number) }, expect.any(Object)],
  });
});
