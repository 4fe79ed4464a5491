// Sampling by workers: the bits of this process, whatever jobs are done together, and nothing that other weights or another arithmetic made.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { answerText, type Tokenizer } from "@posttrain/data";
import { defineHandler, type Handler, type Jobs, openJobsHere } from "@posttrain/jobs";
import { type Device, fill, openDevice } from "@posttrain/kernels";
import {
  loadModel,
  type Model,
  openModelFolder,
  openPublisher,
  parameter,
  policySampling,
  weightsInFolder,
  weightsOfFolder,
  weightsOfModel,
} from "@posttrain/model";
import { openRolloutWorker, type Rollout, rollOut, type Sampler, sampleOnWorkers } from "@posttrain/rollout";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { rolloutKind } from "../src/rollout-jobs.js";

const golden = fileURLToPath(new URL("../../../tests/fixtures/golden/qwen2-tiny-tied", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "posttrain-rollout-jobs-"));
let device: Device;
let model: Model;
beforeAll(async () => {
  device = openDevice({ threads: 2 });
  model = await loadModel(device, golden);
});
afterAll(async () => {
  model.scope.end();
  await device.close();
  rmSync(folder, { recursive: true });
});

/** The golden folder has no tokenizer: an id is a word here. */
const tokenizer = {
  size: 320,
  decode: (ids: readonly number[]) => ids.join(" "),
  isSpecial: () => false,
  isBlank: () => false,
  createDecodeStream: () => ({ push: (id: number) => ` ${id}`, flush: () => "" }),
} as unknown as Tokenizer;

const prompts = Array.from({ length: 7 }, (_, row) => ({
  ids: Int32Array.from({ length: 3 + ((row * 17) % 40) }, (_, i) => (i * 7 + row * 53) % 320),
  line: row + 1,
}));
const options = {
  tokenizer,
  samples: 3,
  seed: 5,
  stream: "training",
  settings: { ...policySampling, maxNewTokens: 16, stopIds: Array.from({ length: 30 }, (_, i) => i * 8) },
} as const;

async function all(from: Model | Sampler, more: object = {}): Promise<readonly Rollout[]> {
  const found: Rollout[] = [];
  for await (const rollout of rollOut(from, prompts, { ...options, ...more })) found.push(rollout);
  return found.sort((a, b) => a.prompt - b.prompt || a.sample - b.sample);
}

let folders = 0;
const newFolder = (): string => join(folder, `weights-${folders++}`);

/** A worker of this process, which knows nothing but what is published in `dir`. */
function workerOf(dir: string, patienceSeconds = 60): Handler {
  const worker = openRolloutWorker({ device, weights: weightsInFolder(dir), patienceSeconds });
  onTestFinished(() => worker[Symbol.asyncDispose]());
  return worker.handler;
}

function jobsOf(handler: Handler, concurrency = 4): Jobs {
  const jobs = openJobsHere([handler], { concurrency });
  onTestFinished(() => jobs.close());
  return jobs;
}

/** Of weights that a function publishes. */
const samplerOf = (jobs: Jobs, publish: () => Promise<string>, arithmetic = "f32"): Sampler =>
  sampleOnWorkers(
    { jobs, publisher: { publish, close: async () => undefined } },
    { source: weightsOfModel(model), use: "policy", arithmetic },
  );

it("gives the bits of this process, from the model at hand and from its folder, however many jobs are done together", async () => {
  const expected = await all(model);
  for (const [concurrency, source] of [
    [1, weightsOfModel(model)],
    [7, weightsOfFolder(await openModelFolder(golden))],
  ] as const) {
    const dir = newFolder();
    const publisher = openPublisher(dir, "run");
    const jobs = jobsOf(workerOf(dir), concurrency);
    const tokens: number[] = [];
    const onToken = (_: number, __: number, id: number): unknown => tokens.push(id);
    const found = await all(
      samplerOf(jobs, () => publisher.publish(source, "policy")),
      { onToken },
    );
    expect(found).toEqual(expected);
    expect(tokens).toHaveLength(expected.reduce((sum, { ids }) => sum + ids.length, 0));
  }
});

it("ends a response where its text does, as this process", async () => {
  const stop = [" 1"];
  const expected = await all(model, { stop });
  const whole = await all(model);
  expect(expected).not.toEqual(whole);
  expect(
    expected.some(({ ids, text }) => text !== answerText(tokenizer, ids, { stop: [], stopIds: [] })),
  ).toBe(true);
  const dir = newFolder();
  const publisher = openPublisher(dir, "run");
  const sampler = samplerOf(jobsOf(workerOf(dir)), () => publisher.publish(weightsOfModel(model), "policy"));
  expect(await all(sampler, { stop })).toEqual(expected);
});

it("follows a policy that moves: what has changed is written and read, the rest stays, and nothing old is left", async () => {
  const dir = newFolder();
  const own = await loadModel(device, golden);
  onTestFinished(() => own.scope.end());
  const publisher = openPublisher(dir, "run");
  const jobs = jobsOf(workerOf(dir));
  const sampler = (): Sampler => samplerOf(jobs, () => publisher.publish(weightsOfModel(own), "policy"));
  const first = await all(sampler());
  const files = (): readonly string[] => readdirSync(join(dir, "run", "tensors")).sort();
  const before = new Map(files().map((name) => [name, statSync(join(dir, "run", "tensors", name)).mtimeMs]));
  fill(parameter(own, "model.norm.weight"), 2);
  const second = await all(sampler());
  expect(second).not.toEqual(first);
  expect(second).toEqual(await all(own));
  const kept = files().filter((name) => before.has(name));
  expect([files().length - kept.length, before.size - kept.length]).toEqual([1, 1]);
  for (const name of kept) expect(statSync(join(dir, "run", "tensors", name)).mtimeMs).toBe(before.get(name));
  expect(readdirSync(join(dir, "run", "models"))).toHaveLength(1);
  await publisher.close();
  expect(readdirSync(dir)).toEqual([]);
});

it("keeps what another use still needs", async () => {
  const dir = newFolder();
  const own = await loadModel(device, golden);
  onTestFinished(() => own.scope.end());
  const publisher = openPublisher(dir, "run");
  const one = await publisher.publish(weightsOfModel(own), "one");
  fill(parameter(own, "model.norm.weight"), 2);
  const two = await publisher.publish(weightsOfModel(own), "two");
  expect(two).not.toBe(one);
  const jobs = jobsOf(workerOf(dir));
  expect(await all(samplerOf(jobs, async () => one))).toEqual(await all(model));
  expect(await all(samplerOf(jobs, async () => two))).toEqual(await all(own));
});

it("says what a worker cannot do: weights that are not there, or are damaged, and another arithmetic", async () => {
  const dir = newFolder();
  const publisher = openPublisher(dir, "run");
  const digest = await publisher.publish(weightsOfModel(model), "policy");
  const jobs = jobsOf(workerOf(dir, 0));
  await expect(all(samplerOf(jobs, async () => "0".repeat(64)))).rejects.toThrow(
    /^Sampling by workers failed, tried 3 times: the weights 000000000000 are not at .* \(--weights_dir\)/,
  );
  await expect(all(samplerOf(jobs, async () => digest, "bf16 cuda sm_90"))).rejects.toThrow(
    /tried once: this worker computes bf16 cpu, and the run wants bf16 cuda sm_90/,
  );
  const [file = ""] = readdirSync(join(dir, "run", "tensors"));
  const path = join(dir, "run", "tensors", file);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5);
  writeFileSync(path, bytes);
  await expect(all(samplerOf(jobs, async () => digest))).rejects.toThrow(
    new RegExp(`${file} is not what its name says`),
  );
});

it("refuses responses of other weights, of another arithmetic, and others than it asked for", async () => {
  type Result = { weights: string; arithmetic: string; sequences: { ids: number[]; sample: number }[] };
  const dir = newFolder();
  const publisher = openPublisher(dir, "run");
  const honest = workerOf(dir);
  const lying = (change: (result: Result) => void): Jobs =>
    jobsOf(
      defineHandler(rolloutKind, async (payload, context) => {
        const result = structuredClone(await honest.run(payload, context)) as Result;
        change(result);
        return result as never;
      }),
    );
  const publish = (): Promise<string> => publisher.publish(weightsOfModel(model), "policy");
  const refusal = (change: (result: Result) => void): Promise<unknown> =>
    all(samplerOf(lying(change), publish));
  await expect(
    refusal((result) => {
      result.weights = "f".repeat(64);
    }),
  ).rejects.toThrow(/A worker sampled with weights f{64}, and the run wants [0-9a-f]{64}/);
  await expect(
    refusal((result) => {
      result.arithmetic = "bf16 cpu";
    }),
  ).rejects.toThrow("A worker sampled with arithmetic bf16 cpu, and the run wants f32");
  for (const change of [
    ({ sequences }: Result) => sequences.pop(),
    ({ sequences }: Result) => sequences.reverse(),
    ({ sequences }: Result) => sequences[0]?.ids.push(7),
  ])
    await expect(refusal(change)).rejects.toThrow("A worker's responses are not those that were asked for");
});

it("gives up what nobody takes any more", async () => {
  const dir = newFolder();
  const publisher = openPublisher(dir, "run");
  const worker = workerOf(dir);
  let done = 0;
  const slow = defineHandler(rolloutKind, async (payload, context) => {
    const result = await worker.run(payload, context);
    done++;
    return result as never;
  });
  const sampler = samplerOf(jobsOf(slow, 1), () => publisher.publish(weightsOfModel(model), "policy"));
  for await (const _ of rollOut(sampler, prompts, options)) break;
  expect(done).toBeLessThan(prompts.length);
});
