// docs/sft-data.md as a reader would follow it, and the mix of examples/.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { makeModel, posttrain, temporaryFolder } from "./support/command-line.js";

const folder = temporaryFolder();
beforeAll(() => makeModel(folder));
afterAll(() => rmSync(folder, { recursive: true }));

const rowsOf = (name: string): readonly { readonly area: string; readonly messages: readonly unknown[] }[] =>
  readFileSync(join(folder, name), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

it("every command of docs/sft-data.md, in order", async () => {
  const { blocks } = readGuide("sft-data.md");
  const said = await followGuide(blocks, folder);
  const [alone, prompts, mixed] = said.map((text) => text.replaceAll(/\s+/g, " ")) as [
    string,
    string,
    string,
  ];
  expect(alone).toMatch(/300 conversations in/);
  expect(alone).toContain('"area":"logic"');
  expect(alone).toMatch(/tasks +question 50, fact 50/);
  expect(prompts).toMatch(/200 conversations in/);
  // 40 sums under three system prompts and under none.
  expect(prompts).toMatch(/160 questions:/);
  expect(prompts).toMatch(
    /exact_match over 4 groups: from 0\.\d{4} \(.*\), standard deviation 0\.\d{4}; chance/,
  );
  expect(mixed).toMatch(/320 conversations in/);
  expect(mixed).toContain("mathematics exercise 40, mathematics story 40");
  expect(mixed).toMatch(/step 4\/4 +loss/);
  const areas = rowsOf("mix.jsonl").map(({ area }) => area);
  expect(
    ["logic", "structured", "mathematics"].map((one) => areas.filter((area) => area === one).length),
  ).toEqual([120, 120, 80]);
  // Interleaved, not one after the other.
  expect(new Set(areas.slice(0, 12)).size).toBe(3);
});

it("examples/sft-mix.yaml, made smaller, is done once, and says what it cannot read", async () => {
  const config = fileURLToPath(new URL("../../../examples/sft-mix.yaml", import.meta.url));
  const args = ["data", "build", "all", "--config", config, "--rows", "80", "--json"];
  const { code, out } = await posttrain(args, { cwd: folder });
  expect([code, JSON.parse(out)]).toMatchObject([0, { end: "complete", rows: 80, output: "sft-mix.jsonl" }]);
  expect((await posttrain(args, { cwd: folder })).code).toBe(4);
  for (const [more, message] of [
    [["--areas", "logics=2"], /areas has "logics=2": expected AREA=WEIGHT.*areas: .*logic/],
    [["--areas", "logic=2,logic=1"], /areas has logic twice/],
    [["--seeds", "x.jsonl"], /seeds has "x\.jsonl": of several areas each says whose it is/],
    [["--tasks", "causal"], /tasks are of one area/],
  ] as const) {
    const { code: wrong, err } = await posttrain([...args, ...more, "--output", "other.jsonl"], {
      cwd: folder,
    });
    expect([wrong, err.replaceAll(/\s+/g, " ")]).toEqual([1, expect.stringMatching(message)]);
  }
  const { err } = await posttrain(["data", "build", "logic", "--areas", "logic=1", "--output", "x.jsonl"], {
    cwd: folder,
  });
  expect(err).toMatch(/area all needs them, and no other has them/);
});
