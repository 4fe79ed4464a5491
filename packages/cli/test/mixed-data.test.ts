// A config whose `data` is several sources: every trainer reads the mix, and a resumed run holds it against what it was.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
beforeAll(() => makeModel(folder));
afterAll(() => rmSync(folder, { recursive: true }));

function config(name: string, lines: readonly string[]): string {
  writeFileSync(at(name), lines.join("\n"));
  return at(name);
}

it("sft trains on a mix with names of columns, and says what changed when it is another", async () => {
  const chats = writeRows(
    folder,
    "chats.jsonl",
    Array.from({ length: 6 }, (_, i) => ({
      messages: [
        { role: "user", content: `${i}+1?` },
        { role: "assistant", content: `${i + 1}` },
      ],
    })),
  );
  const sums = writeRows(
    folder,
    "sums.jsonl",
    Array.from({ length: 4 }, (_, i) => ({ ask: `${i}+2?`, say: `${i + 2}` })),
  );
  const mix = (rows: number): readonly string[] => [
    "data:",
    `  - ${chats}=0.5`,
    `  - data: ${sums}`,
    `    rows: ${rows}`,
    "    columns: {prompt: ask, completion: say}",
  ];
  const rest = [
    `model_name_or_path: ${at("model")}`,
    `output_dir: ${at("run")}`,
    "max_steps: 2",
    "save_steps: 1",
  ];
  const file = config("sft.yaml", [...mix(8), ...rest]);
  const validated = await posttrain(["validate", "--config", file, "--json"]);
  expect([validated.code, validated.err]).toEqual([0, expect.anything()]);
  expect(JSON.parse(validated.out)).toMatchObject({ train_rows: 11 });
  const trained = await posttrain(["sft", "--config", file, "--json"]);
  expect([trained.code, JSON.parse(trained.out).step]).toEqual([0, 2]);
  const other = config("other.yaml", [...mix(9), ...rest]);
  const resumed = await posttrain(["sft", "--config", other, "--resume_from_checkpoint", "--max_steps", "3"]);
  expect([resumed.code, resumed.err]).toEqual([1, expect.stringMatching(/data/)]);
});

it.each(["dpo", "reward"])("%s reads a mix of pairs", async (stage) => {
  const pair = { chosen: "5", rejected: "6" };
  const named = writeRows(folder, "named.jsonl", [{ ask: "2+3?", ...pair }]);
  const plain = writeRows(folder, "plain.jsonl", [{ prompt: "3+2?", ...pair }]);
  const file = config(`${stage}.yaml`, [
    `stage: ${stage}`,
    "data:",
    "  sources:",
    `    - {data: ${named}, weight: 1, columns: {prompt: ask}}`,
    `    - ${plain}=3`,
    "  rows: 8",
    "  seed: 3",
    `model_name_or_path: ${at("model")}`,
    `output_dir: ${at(stage)}`,
  ]);
  const { code, out, err } = await posttrain(["validate", "--config", file, "--json"]);
  expect([code, err]).toEqual([0, expect.anything()]);
  expect(JSON.parse(out)).toMatchObject({ train_rows: 8 });
});
