// docs/verify.md as a reader would follow it: every `sh` block, in order, in one folder; and the tables that it keeps of names.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { verifierNames } from "@posttrain/verify";
import { expect, test } from "vitest";
import { followGuide, readGuide } from "./support/guide.js";
import { testFolder } from "./support/tiny-run.js";

const { page, blocks } = readGuide("verify.md");
const folder = testFolder();

test("the page's commands work, in order", async () => {
  const said = await followGuide(blocks, folder);
  expect(blocks).toHaveLength(6);
  const verdicts = readFileSync(join(folder, "verdicts.jsonl"), "utf8").trim().split("\n");
  const shown = JSON.parse(/^```json\n(.*?)^```$/ms.exec(page)![1]!) as Record<string, unknown>;
  const { verdict } = JSON.parse(verdicts[0]!) as { verdict: Record<string, unknown> };
  expect({ ...verdict, seconds: shown["seconds"] }).toEqual(shown); // but for how long it took
  expect(said[0]).toMatch(/^all +6 +3 +2 +0 +0 +1 +0 +50\.0 %/m);
  expect(said[2]).toMatch(/0 failed/);
  expect(said[3]).toMatch(/4 words, 3 allowed/);
  expect(said[4]).toMatch(/rewards\.py#accuracy_reward +2 +1 +1/);
  expect(said[5]).toMatch(/"split":"test"/);
});

test("every verifier is in the page's table", () => {
  const named = [...page.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  expect(named).toEqual(expect.arrayContaining([...verifierNames]));
});
