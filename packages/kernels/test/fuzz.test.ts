// No crash from JavaScript, whatever is passed: thousands of seeded calls of the raw addon and of the public face, in child
// processes. A crash or hang shows the call at work, and the seed repeats it.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { runChild } from "./child/run.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** POSTTRAIN_FUZZ=20: twenty times as many calls, from other seeds. */
const more = Number(process.env["POSTTRAIN_FUZZ"] ?? 1);
const timeout = 120_000 * more;

async function fuzz(script: string, seed: number, calls: number): Promise<Record<string, unknown>> {
  const log = join(folder, `${script}-${seed}`);
  const { end, output } = await runChild(script, [seed + 1000 * (more - 1), calls * more, log], { timeout });
  expect(end, `at work: ${readFileSync(log, "utf8")}\n${output}`).toBe(0);
  return JSON.parse(output) as Record<string, unknown>;
}

describe("arbitrary values", () => {
  for (const seed of [1, 2]) {
    it(`never crash the addon (seed ${seed})`, { timeout }, async () => {
      const result = await fuzz("fuzz-addon.ts", seed, 3000);
      expect(result["unexpected"], "errors without a code of ours").toEqual([]);
      expect(result["damaged"], "tensors whose surroundings were overwritten").toBe(0);
      // It did more than get refused.
      expect(result["enqueued"]).toBeGreaterThan(500 * more);
      expect(result["promises"]).toBeGreaterThan(20 * more);
    });
  }

  it("never crash the public face", { timeout }, async () => {
    const result = await fuzz("fuzz-face.ts", 1, 6000);
    expect(result["succeeded"]).toBeGreaterThan(500 * more);
    expect(result["codes"]).toEqual(
      expect.arrayContaining(["kernel_argument", "kernel_memory", "kernel_stream"]),
    );
  });
});
