// docs/preference-pairs.md as a reader would follow it: every `sh` block, in order, in one folder; the pair that it shows; its table of options.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pairsConfig } from "@posttrain/dpo";
import { expect, test } from "vitest";
import { followGuide, readGuide } from "./support/guide.js";
import { testFolder } from "./support/tiny-run.js";

const { page, blocks } = readGuide("preference-pairs.md");
const folder = testFolder();
const linesOf = (name: string) =>
  readFileSync(join(folder, name), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("the page's commands work, in order", async () => {
  const said = await followGuide(blocks, folder);
  expect(blocks).toHaveLength(2);
  const shown = JSON.parse(/^```json\n(.*?)^```$/ms.exec(page)![1]!) as object;
  expect(linesOf("pairs.jsonl")).toEqual([expect.anything(), expect.objectContaining(shown)]);
  expect(linesOf("pairs.jsonl.progress/skipped.jsonl")).toMatchObject([{ line: 3, reason: "all wrong" }]);
  expect(said[0]).toMatch(/^math +3 +6 +33\.3 % +0 +2 \(66\.7 %\) +2$/m);
  expect(said[1]).toMatch(/2 pairs: 2 kept, 0 vetoed/);
  expect(linesOf("reviewed.jsonl")[0].evidence.reviews).toMatchObject([
    { by: "ada", opinion: "tie" },
    { by: "mine.mjs#grade", opinion: "tie", veto: false },
  ]);
});

test("the page's defaults are those of the options", () => {
  const defaults = pairsConfig.parse({ output: "o", responses: ["r"] }) as Readonly<Record<string, unknown>>;
  const named = [...page.matchAll(/^\| `--(\w+)` \(([^)]+)\) \|/gm)].map(([, name, value]) => [name, value]);
  expect(named).toHaveLength(4);
  for (const [name, value] of named) expect([name, String(defaults[name!])]).toEqual([name, value]);
  expect(page).toContain(`(\`--review_count\`, ${String(defaults["review_count"])})`);
});
