// A run whose logs cannot be opened leaves nothing open.
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDevice } from "@posttrain/kernels";
import { readCompanions } from "@posttrain/model";
import { openRun } from "@posttrain/run";
import { adamwRule, openTraining, trainingOptions } from "@posttrain/train";
import { afterAll, expect, it } from "vitest";
import { z } from "zod";
import { skipUnless } from "../../../tests/support/skip.js";

const golden = fileURLToPath(new URL("../../../tests/fixtures/golden/qwen2-tiny-tied", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "posttrain-opening-"));
const device = openDevice({ threads: 1 });
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

const openFiles = (dir: string): readonly string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((path) => path.startsWith(dir));
    } catch {
      return [];
    }
  });

it.each(["metrics.jsonl", "trainer_log.jsonl", "steps.jsonl"])(
  "with a folder in the place of %s",
  skipUnless(process.platform === "linux", "no list of open files", ""),
  async (name) => {
    const dir = join(folder, `run-${name}`);
    const run = await openRun(dir, false);
    const begin = async (config: Parameters<typeof run.begin>[0]): Promise<void> => {
      await run.begin(config);
      mkdirSync(join(dir, name));
    };
    const config = z.strictObject(trainingOptions).parse({ model_name_or_path: golden, output_dir: dir });
    const opening = openTraining({ ...run, begin }, device, {
      ...{
        stage: "sft",
        shape: trainingOptions,
        config,
        totalSteps: 1,
        digests: {},
        parents: [],
        averaged: {},
      },
      rule: adamwRule({ beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0 }),
      companions: await readCompanions(golden),
      stopIds: [],
    });
    await expect(opening).rejects.toThrow(join(dir, name));
    await run.close();
    expect(openFiles(dir)).toEqual([]);
  },
);
