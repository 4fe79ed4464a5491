// Promise 2 at the model: the same hidden states token by token with a cache or in one packed forward, at another place in the batch, on any
// number of threads and every cpu path; the same gradients too, and however an optimizer step is cut into micro-batches.
import {
  backward,
  cpuPaths,
  type Device,
  fill,
  keysPerPage,
  kvPages,
  openDevice,
  Tape,
  type Tensor,
} from "@posttrain/kernels";
import {
  enableGradients,
  foldLookups,
  forward,
  loadModel,
  type Model,
  type PackedBatch,
  packSequences,
  predict,
} from "@posttrain/model";
import { expect, it } from "vitest";
import { goldenPath } from "./support/golden.js";

const lengths = [3, 70, 1, 64, 33, 129, 8, 20];
const sequences = lengths.map((length, s) =>
  Int32Array.from({ length }, (_, i) => (i * i * 7 + s * 31 + 5) % 320),
);
const machines = [
  ...[1, 2, 3].map((threads) => ({ path: cpuPaths()[0] as string, threads })),
  ...cpuPaths().map((path) => ({ path, threads: 2 })),
];

async function onMachine<T>(
  machine: { path: string; threads: number },
  body: (device: Device, model: Model) => Promise<T>,
): Promise<T> {
  const device = openDevice(machine);
  try {
    return await body(device, await loadModel(device, goldenPath("qwen2-tiny-tied")));
  } finally {
    await device.close();
  }
}

async function hiddenStates(
  device: Device,
  model: Model,
  order: readonly number[],
): Promise<readonly Float32Array[]> {
  const batch = packSequences(order.map((s) => sequences[s] as Int32Array));
  const values = await device.run(
    async (scope) => (await forward(scope, model, batch).read()) as Float32Array,
  );
  const width = model.config.hiddenSize;
  const found: Float32Array[] = [];
  for (const [i, s] of order.entries()) {
    found[s] = values.slice((batch.starts[i] as number) * width, (batch.starts[i + 1] as number) * width);
  }
  return found;
}

/** One sequence through a cache, a token at a time. */
async function tokenByToken(device: Device, model: Model, ids: Int32Array): Promise<Float32Array> {
  const { layers, kvHeads, headDim, hiddenSize } = model.config;
  const pages = Math.ceil(ids.length / keysPerPage);
  const states = new Float32Array(ids.length * hiddenSize);
  await device.run(async (scope) => {
    const cache = Array.from({ length: layers }, () => kvPages(scope, pages, kvHeads, headDim));
    for (const [position, id] of ids.entries()) {
      const step: PackedBatch = {
        ids: Int32Array.of(id),
        positions: Int32Array.of(position),
        starts: Int32Array.of(0, 1),
      };
      await device.run(async (inner) => {
        const hidden = forward(inner, model, step, {
          cache: {
            layers: cache,
            slots: inner.from(Int32Array.of(position)),
            lengths: inner.from(Int32Array.of(position + 1)),
            pages: inner.from(
              Int32Array.from({ length: pages }, (_, page) => page),
              [1, pages],
            ),
          },
        });
        states.set((await hidden.read()) as Float32Array, position * hiddenSize);
      });
    }
  });
  return states;
}

/** Gradients of minus the mean log-probability of all next tokens, accumulated over these micro-batches. */
async function gradients(
  device: Device,
  model: Model,
  microBatches: readonly (readonly number[])[],
  activationCheckpointing: boolean,
): Promise<Float32Array> {
  const { arena } = enableGradients(model);
  fill(arena, 0);
  const predicted = sequences.reduce((n, { length }) => n + length - 1, 0);
  for (const micro of microBatches) {
    const batch = packSequences(micro.map((s) => sequences[s] as Int32Array));
    const rows: number[] = [];
    for (const [i, s] of micro.entries()) {
      for (let t = 0; t + 1 < (lengths[s] as number); t++) rows.push((batch.starts[i] as number) + t);
    }
    if (rows.length === 0) continue;
    const targets = Int32Array.from(rows, (row) => batch.ids[row + 1] as number);
    const tape = new Tape();
    await device.run(async (scope) => {
      const hidden = forward(scope, model, batch, { activationCheckpointing });
      const { logProb } = predict(scope, model, hidden, { rows: Int32Array.from(rows), targets });
      const seed: Tensor = scope.from(new Float32Array(rows.length).fill(-1 / predicted));
      backward(scope, tape, [{ tensor: logProb, gradient: seed }]);
    }, tape);
  }
  foldLookups(model);
  return (await arena.read()) as Float32Array;
}

it("gives a sequence the same hidden states wherever it lies in a batch, on any threads and path, with a cache or without", async () => {
  const order = lengths.map((_, s) => s);
  const expected = await onMachine(machines[0] as (typeof machines)[0], (device, model) =>
    hiddenStates(device, model, order),
  );
  for (const machine of machines) {
    await onMachine(machine, async (device, model) => {
      expect(await hiddenStates(device, model, [...order].reverse()), JSON.stringify(machine)).toEqual(
        expected,
      );
      expect(await hiddenStates(device, model, [5])).toEqual(Object.assign([], { 5: expected[5] }));
      expect(await tokenByToken(device, model, sequences[5] as Int32Array), "token by token").toEqual(
        expected[5],
      );
    });
  }
});

it("gives the same gradients on any threads and path, checkpointed or not, as one batch of 8 or 8 of one", async () => {
  const together = [[0, 1, 2, 3, 4, 5, 6, 7]];
  const alone = together[0]?.map((s) => [s]) ?? [];
  const expected = await onMachine(machines[0] as (typeof machines)[0], (device, model) =>
    gradients(device, model, together, false),
  );
  expect(expected.some((x) => x !== 0)).toBe(true);
  for (const machine of machines) {
    await onMachine(machine, async (device, model) => {
      for (const [microBatches, checkpointing] of [
        [together, true],
        [alone, false],
        [[[0, 1, 2], [3, 4, 5, 6], [7]], true],
      ] as const) {
        const found = await gradients(device, model, microBatches, checkpointing);
        const differing = found.findIndex((x, i) => !Object.is(x, expected[i]));
        expect(differing, `${JSON.stringify(machine)}, ${microBatches.length} micro-batches`).toBe(-1);
      }
    });
  }
});
