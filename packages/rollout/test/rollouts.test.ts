// Responses as they finish: what each is does not depend on when it is taken, by whom, or what a journal already had.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Tokenizer } from "@posttrain/data";
import { type Device, openDevice } from "@posttrain/kernels";
import { generate, loadModel, type Model, policySampling } from "@posttrain/model";
import { type Rollout, rollOut } from "@posttrain/rollout";
import { openJournal } from "@posttrain/run";
import { afterAll, beforeAll, expect, it } from "vitest";

const golden = fileURLToPath(new URL("../../../tests/fixtures/golden/qwen2-tiny-tied", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "posttrain-rollout-"));
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

const prompts = Array.from({ length: 9 }, (_, row) => ({
  ids: Int32Array.from({ length: 3 + ((row * 17) % 40) }, (_, i) => (i * 7 + row * 53) % 320),
  line: row + 1,
}));
const options = {
  tokenizer,
  samples: 3,
  seed: 5,
  stream: "training",
  settings: { ...policySampling, maxNewTokens: 24, stopIds: Array.from({ length: 30 }, (_, i) => i * 8) },
} as const;

async function all(more: object = {}): Promise<readonly Rollout[]> {
  const found: Rollout[] = [];
  for await (const rollout of rollOut(model, prompts, { ...options, ...more })) found.push(rollout);
  return found;
}
const inOrder = (rollouts: readonly Rollout[]): readonly Rollout[] =>
  [...rollouts].sort((a, b) => a.prompt - b.prompt || a.sample - b.sample);

it("gives what generate gives, the early ones first", async () => {
  const found = await all();
  const settings = options.settings;
  const requests = prompts.map(({ ids }, row) => ({ promptIds: ids, samples: 3, row, visit: 0, settings }));
  const expected = await generate(model, requests, { seed: 5, stream: "training", drawable: 320 });
  expect(inOrder(found).map(({ ids, logProbs, finish }) => ({ ids, logProbs, finish }))).toEqual(
    expected.map(({ ids, logProbs, finish }) => ({ ids, logProbs, finish })),
  );
  const lengths = found.map(({ ids }) => ids.length);
  expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  expect(new Set(lengths).size).toBeGreaterThan(3);
});

it("goes on while a response is looked at", async () => {
  let tokens = 0;
  const seen: number[] = [];
  const counting = { onToken: () => tokens++ };
  for await (const _ of rollOut(model, prompts, { ...options, ...counting })) {
    seen.push(tokens);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Taking 27 responses lasts half a second: generation had ended long before the last was taken.
  expect(seen.at(-1)).toBe(seen.at(-2));
  expect(seen[0]).toBeLessThan(seen.at(-1) as number);
});

it("stops with who takes them", async () => {
  let tokens = 0;
  for await (const _ of rollOut(model, prompts, { ...options, onToken: () => tokens++ })) break;
  const whole = (await all()).reduce((sum, { ids }) => sum + ids.length, 0);
  expect(tokens).toBeLessThan(whole);
});

it("hands on what onToken throws, after what has finished", async () => {
  let tokens = 0;
  const found: Rollout[] = [];
  const failing = (): void => {
    if (++tokens > 100) throw new Error("asked to stop");
  };
  await expect(async () => {
    for await (const rollout of rollOut(model, prompts, { ...options, onToken: failing }))
      found.push(rollout);
  }).rejects.toThrow("asked to stop");
  expect(found.length).toBeGreaterThan(0);
});

it("takes from a journal what it has, bit for bit, and generates the rest", async () => {
  const path = join(folder, "journal.jsonl");
  const whole = inOrder(await all({ weights: "w" }));
  let journal = await openJournal(path);
  let taken = 0;
  for await (const _ of rollOut(model, prompts, { ...options, weights: "w", journal }))
    if (++taken === 10) break;
  await journal.close();
  journal = await openJournal(path);
  expect(journal.size).toBe(10);
  let tokens = 0;
  const resumed = await all({ weights: "w", journal, onToken: () => tokens++ });
  expect(inOrder(resumed)).toEqual(whole);
  expect(journal.size).toBe(27);
  expect(tokens).toBeLessThan(whole.reduce((sum, { ids }) => sum + ids.length, 0));
  tokens = 0;
  expect(inOrder(await all({ weights: "w", journal, onToken: () => tokens++ }))).toEqual(whole);
  expect(tokens).toBe(0);
  // Other weights, another visit: other responses.
  await all({ weights: "v", journal, onToken: () => tokens++ });
  expect(tokens).toBeGreaterThan(0);
  await journal.close();
});

it("refuses a prompt without room before anything is generated", async () => {
  const context = model.config.maxPositionEmbeddings;
  const full = [...prompts, { ids: new Int32Array(context), line: 77 }];
  await expect(rollOut(model, full, options).next()).rejects.toThrow(
    new RegExp(`line 77 has ${context} tokens and fills the model's context of ${context}`),
  );
});
