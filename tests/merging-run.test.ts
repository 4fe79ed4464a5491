// Fine-tuning with online merging as a shell runs it: what it says and logs, that going on keeps the bits, what it refuses.
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { verifyCheckpoint } from "@posttrain/run";
import { expect, it } from "vitest";
import { posttrainHere as posttrain } from "../packages/cli/test/support/in-process.js";
import { goldenPath } from "./support/golden.js";
import { sftArgs, testFolder, writeBase, writeTokenRows } from "./support/tiny-run.js";

const folder = testFolder();
const at = (name: string): string => join(folder, name);
const rows = writeTokenRows(at("rows.jsonl"), 12);
const base = writeBase(at("base"));
const merging = {
  optim: "online_ties",
  base_model_name_or_path: base,
  merge_alpha: 1e-3,
  merge_reserve: 0.2,
};
const args = (run: string, own: Readonly<Record<string, string | number>> = {}): string[] =>
  sftArgs(at(run), rows, { ...merging, max_steps: 4, save_steps: 2, logging_steps: 2, ...own });
const bytes = (file: string): Buffer => readFileSync(at(file));

it("logs meant and applied drift, names its base, and goes on with the same bits", async () => {
  const { code, err, out } = await posttrain(args("whole"));
  expect(code, err).toBe(0);
  expect(out).not.toMatch(/only the masks/);
  const lines = String(bytes("whole/metrics.jsonl"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    expect(line["merge/drift_intended"]).toBeGreaterThan(0);
    expect(line["merge/drift_intended"]).toBeLessThanOrEqual(1e-3);
    expect(Math.abs(line["merge/drift_applied"] / line["merge/drift_intended"] - 1)).toBeLessThan(1e-2);
  }
  const { manifest } = await verifyCheckpoint(at("whole/checkpoint-4"));
  expect(manifest.identity).toMatchObject({
    optim: "online_ties",
    merge_alpha: 1e-3,
    base_model: expect.any(String),
  });
  expect(manifest.parents.map(({ path }) => path)).toContain(base);

  cpSync(at("whole"), at("resumed"), { recursive: true });
  rmSync(at("resumed/checkpoint-4"), { recursive: true });
  const again = await posttrain([...args("resumed"), "--resume_from_checkpoint"]);
  expect(again.code, again.err).toBe(0);
  for (const file of ["model.safetensors", "trainer/optimizer.safetensors"])
    expect(bytes(`resumed/checkpoint-4/${file}`).equals(bytes(`whole/checkpoint-4/${file}`)), file).toBe(
      true,
    );

  const changed = [...args("resumed", { merge_reserve: 0.5 }), "--resume_from_checkpoint"];
  rmSync(at("resumed/checkpoint-4"), { recursive: true });
  expect((await posttrain(changed)).err).toMatch(/merge_reserve was 0.2, is now 0.5/);
  writeBase(at("other-base"), 0.98);
  const other = args("resumed", { base_model_name_or_path: at("other-base") });
  expect((await posttrain([...other, "--resume_from_checkpoint"])).err).toMatch(/base_model was SHA-256/);
});

it("says that only the masks act where the model is its base; plan names what it takes", async () => {
  const own = { base_model_name_or_path: goldenPath("qwen2-tiny-tied") };
  const { code, err, out } = await posttrain(args("same", { ...own, max_steps: 1 }));
  expect(code, err).toBe(0);
  expect(out).toMatch(
    /has\s+the\s+weights\s+of\s+its\s+base[\s\S]*only\s+the\s+masks\s+of\s+online\s+merging\s+act/,
  );
  const [, ...flags] = args("planned");
  const plan = await posttrain(["plan", ...flags]);
  expect(plan.code, plan.err).toBe(0);
  expect(plan.out).toMatch(/merging +\d.*: online merging's delta from the base/);
});

it("refuses what is no base", async () => {
  const refused = async (own: Readonly<Record<string, string | number>>): Promise<string> => {
    const { code, err } = await posttrain(args("refused", own));
    expect(code).toBe(1);
    return err;
  };
  expect(await refused({ base_model_name_or_path: goldenPath("qwen2-tiny-headdim") })).toMatch(
    /is no base of/,
  );
  expect(await refused({ base_model_name_or_path: at("nowhere") })).toMatch(/nowhere does not exist/);
});
