// Promise 1: the log-probability that a token got when it was sampled equals, bit for bit, the one that a training forward computes.
// 10,000 tokens at temperatures 1 and 0.7, mixed lengths, sequences entering and leaving the batch, shared prompts, activation
// checkpointing on in training, in fp32 and in bf16. And: the same seed gives the same text, whatever else is in the batch. The kernels for GPUs,
// run on the CPU, do the same, and in fp32 give the cpu's text.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { addonFile, type Device, openDevice, Tape } from "@posttrain/kernels";
import {
  forward,
  type GeneratedSequence,
  type GenerationRequest,
  generate,
  loadModel,
  packSequences,
  policySampling,
  predict,
} from "@posttrain/model";
import { describe, expect, it } from "vitest";
import { dtypes, pathsFor } from "./support/dtypes.js";
import { goldenPath } from "./support/golden.js";

function requests(count: number, temperature: number): GenerationRequest[] {
  return Array.from({ length: count }, (_, row) => ({
    promptIds: Int32Array.from({ length: 1 + ((row * 37) % 150) }, (_, i) => (i * 31 + row * 17) % 320),
    samples: 1 + (row % 8),
    row,
    visit: row % 3,
    settings: { ...policySampling, temperature, maxNewTokens: 20 + ((row * 13) % 80), stopIds: [2, 5] },
  }));
}

const cudaEmulated = join(addonFile().path, "../test/cuda-emulated.so");
const open = (path: string): Device =>
  openDevice(path === "cuda-emulated" ? { backend: cudaEmulated, threads: 1 } : { path, threads: 2 });
/** Requests, and the tokens that they give at least: fewer where arithmetic is emulated. */
const amounts: Readonly<Record<string, readonly [requests: number, tokens: number]>> = {
  "plain f32": [5, 500],
  "plain bf16": [3, 100],
  "cuda-emulated f32": [3, 100],
  "cuda-emulated bf16": [2, 20],
};

const cases = dtypes.flatMap((dtype) =>
  [...pathsFor(dtype), ...(existsSync(cudaEmulated) ? ["cuda-emulated"] : [])].map((path) => ({
    dtype,
    path,
  })),
);
describe.each([1, 0.7])("at temperature %s", (temperature) => {
  it.each(cases)(
    "samples what the trainer computes, bit for bit, in $dtype on $path",
    async ({ dtype, path }) => {
      const device = open(path);
      const model = await loadModel(device, goldenPath("qwen2-tiny-tied"), { dtype });
      const [count, tokens] = amounts[`${path} ${dtype}`] ?? [48, 5000];
      const asked = requests(count, temperature);
      const options = { seed: 7, stream: "training", drawable: 300 } as const;
      const inSmallBatches = await generate(model, asked, {
        ...options,
        maxSequences: 11,
        prefillTokens: 200,
      });
      const inOneBatch = await generate(model, asked, options);
      expect(inOneBatch, "whatever the batch").toEqual(inSmallBatches);
      if (path === "cuda-emulated" && dtype === "f32") {
        const cpu = openDevice({ threads: 2 });
        const same = await loadModel(cpu, goldenPath("qwen2-tiny-tied"), { dtype });
        expect(inOneBatch, "the cpu's").toEqual(await generate(same, asked, options));
        same.scope.end();
        await cpu.close();
      }

      let compared = 0;
      for (let at = 0; at < inOneBatch.length; at += 7) {
        const group = inOneBatch.slice(at, at + 7);
        const trained = await trainingLogProbs(group, asked, temperature);
        for (const [i, { logProbs }] of group.entries()) {
          expect(trained[i]).toEqual(logProbs);
          compared += logProbs.length;
        }
      }
      expect(compared).toBeGreaterThan(tokens);
      expect(inOneBatch.every(({ ids }) => ids.every((id) => id < 300))).toBe(true);
      model.scope.end();
      await device.close();

      async function trainingLogProbs(
        group: readonly GeneratedSequence[],
        from: readonly GenerationRequest[],
        t: number,
      ): Promise<readonly Float32Array[]> {
        const prompts = group.map(({ request }) => (from[request] as GenerationRequest).promptIds);
        const sequences = group.map(({ ids }, i) => Int32Array.from([...(prompts[i] as Int32Array), ...ids]));
        const batch = packSequences(sequences);
        const rows: number[] = [];
        for (const [s, sequence] of sequences.entries()) {
          const start = batch.starts[s] as number;
          for (let i = (prompts[s] as Int32Array).length; i < sequence.length; i++) rows.push(start + i - 1);
        }
        const targets = Int32Array.from(rows, (row) => batch.ids[row + 1] as number);
        const tape = new Tape();
        const all = await device.run(async (scope) => {
          const hidden = forward(scope, model, batch, { activationCheckpointing: true });
          return predict(scope, model, hidden, { rows: Int32Array.from(rows), targets }, t).logProb.read();
        }, tape);
        let first = 0;
        return group.map(({ ids }) => {
          const own = all.slice(first, first + ids.length) as Float32Array;
          first += ids.length;
          return own;
        });
      }
    },
  );
});
