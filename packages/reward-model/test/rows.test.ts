// Rows of a run as they come out: pairs and lists, labels by criterion, margins, what is held out together, and everything that is refused.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { prepareRewardData, type RewardData, rewardConfig } from "@posttrain/reward-model";
import { describe, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { testFolder } from "../../../tests/support/tiny-run.js";

const folder = testFolder();
let files = 0;
function prepare(
  rows: readonly object[],
  options: Readonly<Record<string, unknown>> = {},
  onBadRow: "error" | "reject" = "error",
): Promise<RewardData> {
  const data = join(folder, `rows${files++}.jsonl`);
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const config = rewardConfig.parse({
    model_name_or_path: goldenPath("qwen2-tiny-tied"),
    data,
    output_dir: "run",
    ...options,
  });
  return prepareRewardData(config, onBadRow);
}
const pair = (first: number, more: object = {}): object => ({
  prompt_ids: [first, 7],
  chosen_ids: [10, 11, 2],
  rejected_ids: [12, 2],
  ...more,
});

describe("pairs", () => {
  it("are two sequences with the prompt, the better one first, ahead by their margin", async () => {
    const { trainRows, units, counts, model } = await prepare([pair(5), pair(6, { margin: 1.5 })]);
    expect(trainRows.map(({ sequences }) => sequences.map((ids) => [...ids]))).toEqual([
      [
        [5, 7, 10, 11, 2],
        [5, 7, 12, 2],
      ],
      [
        [6, 7, 10, 11, 2],
        [6, 7, 12, 2],
      ],
    ]);
    expect(trainRows.map(({ labels, margin }) => [labels, margin])).toEqual([
      [[true, false], 0],
      [[true, false], 1.5],
    ]);
    expect(units).toHaveLength(2);
    expect(counts).toMatchObject({ read: 2, kept: 2, tokens: 18 });
    expect(model.score).toEqual({ labels: ["LABEL_0"], heads: [] });
  });

  it.each<[string, object, string]>([
    ["a margin that is no number", pair(5, { margin: "NaN" }), "margin: expected a finite number"],
    ["no difference", pair(5, { rejected_ids: [10, 11, 2] }), "chosen and rejected are the same"],
    ["another vocabulary", pair(5, { chosen_ids: [400] }), "is 400, but the model knows the ids 0 to 319"],
    ["one side", { chosen_ids: [1] }, "a preference needs both sides"],
  ])("with %s are refused by line, or left out and counted", async (_, row, message) => {
    await expect(prepare([pair(9), row])).rejects.toThrow(UserError);
    await expect(prepare([pair(9), row])).rejects.toThrow("line 2");
    await expect(prepare([pair(9), row])).rejects.toThrow(message);
    const { counts } = await prepare([pair(9), row], {}, "reject");
    expect(counts).toMatchObject({ read: 2, kept: 1, rejected: 1 });
  });

  it("NaN as Python writes it is refused too", async () => {
    const data = join(folder, "nan.jsonl");
    writeFileSync(data, `${JSON.stringify(pair(5)).slice(0, -1)}, "margin": NaN}\n`);
    await expect(prepare([], { data })).rejects.toThrow("nan.jsonl, line 1");
  });

  it("of one prompt are held out together", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => pair(20 + (i % 4), { chosen_ids: [30 + i, 2] }));
    const { trainRows, evalRows } = await prepare(rows, { val_size: 3 });
    expect([trainRows.length, evalRows.length]).toEqual([9, 3]);
    expect(new Set(evalRows.map(({ sequences }) => sequences[0]?.[0])).size).toBe(1);
  });
});

describe("lists", () => {
  const list = (first: number, labels: readonly (boolean | null)[], more: object = {}): object => ({
    prompt_ids: [first, 7],
    responses_ids: labels.map((_, i) => [10 + i, 2]),
    labels,
    ...more,
  });

  it("keep every response with its label; those of one prompt are held out together", async () => {
    const rows = Array.from({ length: 8 }, (_, i) => list(20 + (i % 4), [true, false, i % 2 === 0, null]));
    const { trainRows, evalRows, counts } = await prepare(rows, { val_size: 2 });
    expect(trainRows[0]?.sequences).toHaveLength(4);
    expect(new Set(evalRows.map(({ sequences }) => sequences[0]?.[0])).size).toBe(1);
    expect(counts.formats).toEqual({ responses: 8 });
  });

  it("without anything to learn from end the run with the count of why", async () => {
    await expect(prepare([list(5, [true, true]), list(6, [false])])).rejects.toThrow(
      "none of its 2 rows has a better and a worse response to learn from (nothing_to_rank 2)",
    );
  });
});

describe("criteria", () => {
  const criteria = ["helpfulness", "conciseness"];

  it("name the better side of a pair, or none; of a list they have labels of their own", async () => {
    const { trainRows, judged, model } = await prepare(
      [
        pair(5, { criteria: { helpfulness: "rejected", conciseness: "tie", other: "whatever" } }),
        pair(6, { criteria: { conciseness: "chosen", helpfulness: null } }),
        pair(7),
      ],
      { criteria },
    );
    expect(trainRows.map((row) => row.criteria)).toEqual([
      { helpfulness: [false, true] },
      { conciseness: [true, false] },
      {},
    ]);
    expect(judged).toEqual({ helpfulness: 1, conciseness: 1 });
    expect(model.score?.heads).toEqual(criteria.map((name) => ({ name, weight: 0.5 })));
    const lists = await prepare(
      [
        {
          prompt_ids: [5],
          responses_ids: [[1], [2], [3]],
          labels: [true, false, null],
          criteria: { helpfulness: [null, true, false], conciseness: [true, true, true] },
        },
      ],
      { criteria: ["helpfulness"], criteria_weights: [2] },
    );
    expect(lists.trainRows[0]?.criteria).toEqual({ helpfulness: [null, true, false] });
    expect(lists.model.score?.heads).toEqual([{ name: "helpfulness", weight: 2 }]);
  });

  it.each<[object, string]>([
    [
      { criteria: { helpfulness: "both" } },
      'criteria.helpfulness: expected "chosen", "rejected" or "tie", came "both"',
    ],
    [{ criteria: ["chosen"] }, "criteria: expected an object of names and labels"],
    [{}, "none of its 1 rows has a label for the criterion helpfulness"],
  ])("%j is refused", async (more, message) => {
    await expect(prepare([pair(5, more)], { criteria: ["helpfulness"] })).rejects.toThrow(message);
  });

  it("and weights that do not go together are refused by the config", () => {
    const parse = (more: object) =>
      rewardConfig.safeParse({ model_name_or_path: "", data: "", output_dir: "", ...more }).error?.issues[0];
    expect(parse({ criteria: ["a", "a"] })?.message).toBe("expected each name once");
    expect(parse({ criteria: ["a"], criteria_weights: [1, 2] })?.message).toContain(
      "as many as criteria has (1)",
    );
    expect(parse({ criteria: ["a"], criteria_weights: [0] })?.message).toContain("one that is not 0");
    expect(parse({ criteria: ["a"], criteria_weights: [-1] })).toBeUndefined();
  });
});

describe("what a run starts from", () => {
  const changed = (changes: object): string => {
    const dir = join(folder, `model${files++}`);
    cpSync(goldenPath("reward-tiny"), dir, { recursive: true });
    const file = join(dir, "config.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...changes }));
    return dir;
  };

  it("may be a reward model of the same heads, and is refused where it has others", async () => {
    const start = { model_name_or_path: goldenPath("reward-tiny") };
    expect((await prepare([pair(5)], start)).model.score?.labels).toEqual(["LABEL_0"]);
    await expect(prepare([pair(5)], { ...start, criteria: ["a"] })).rejects.toThrow(
      "is a reward model with one head, and criteria asks for a (1)",
    );
    await expect(
      prepare([pair(5)], { model_name_or_path: changed({ id2label: { 0: "no", 1: "yes" } }) }),
    ).rejects.toThrow("score.weight has the shape [1, 64], expected [2, 64]");
  });
});
