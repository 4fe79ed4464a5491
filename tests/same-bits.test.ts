// Promise 2 at the model, in fp32 and in bf16: the same hidden states token by token with a cache or in one packed forward, at another place
// in the batch, on any number of threads and every cpu path; the same gradients too, and however an optimizer step is cut into
// micro-batches. In bf16 gradients sum over tokens in blocks of 32, so there micro-batches must end at multiples of 32 tokens and of 32
// predictions; cut anywhere else the gradients agree to rounding.
import {
  backward,
  type Device,
  fill,
  keysPerPage,
  kvPages,
  openDevice,
  Tape,
  type Tensor,
  type TensorData,
} from "@posttrain/kernels";
import {
  type ComputeDtype,
  enableGradients,
  foldLookups,
  forward,
  loadModel,
  type Model,
  type PackedBatch,
  packSequences,
  predict,
} from "@posttrain/model";
import { describe, expect, it } from "vitest";
import { dtypes, pathsFor } from "./support/dtypes.js";
import { deviation, goldenPath } from "./support/golden.js";

const lengths = [3, 70, 1, 64, 33, 129, 8, 20];
const inBlocks = [64, 128, 64, 96];
const sequencesOf = (lengths: readonly number[]): readonly Int32Array[] =>
  lengths.map((length, s) => Int32Array.from({ length }, (_, i) => (i * i * 7 + s * 31 + 5) % 320));
const sequences = sequencesOf(lengths);
/** Micro-batches of as many sequences: all in one, each alone, the first three and the others. */
const cutsOf = ({ length }: { length: number }): readonly (readonly (readonly number[])[])[] => {
  const all = Array.from({ length }, (_, s) => s);
  return [[all], all.map((s) => [s]), [all.slice(0, 3), all.slice(3)]];
};

interface Machine {
  readonly dtype: ComputeDtype;
  readonly path: string;
  readonly threads: number;
}
/** The first is the one that the others are held against. */
function machinesFor(dtype: ComputeDtype): readonly Machine[] {
  const paths = pathsFor(dtype);
  return [
    ...[1, 2, 3].map((threads) => ({ dtype, path: paths[0] as string, threads })),
    ...paths.map((path) => ({ dtype, path, threads: 2 })),
  ];
}

async function onMachine<T>(
  { dtype, ...machine }: Machine,
  body: (device: Device, model: Model) => Promise<T>,
): Promise<T> {
  const device = openDevice(machine);
  try {
    return await body(device, await loadModel(device, goldenPath("qwen2-tiny-tied"), { dtype }));
  } finally {
    await device.close();
  }
}

async function hiddenStates(
  device: Device,
  model: Model,
  order: readonly number[],
): Promise<readonly TensorData[]> {
  const batch = packSequences(order.map((s) => sequences[s] as Int32Array));
  const values = await device.run((scope) => forward(scope, model, batch).read());
  const width = model.config.hiddenSize;
  const found: TensorData[] = [];
  for (const [i, s] of order.entries()) {
    found[s] = values.slice((batch.starts[i] as number) * width, (batch.starts[i + 1] as number) * width);
  }
  return found;
}

/** One sequence through a cache, a token at a time. */
async function tokenByToken(device: Device, model: Model, ids: Int32Array): Promise<TensorData> {
  const { layers, kvHeads, headDim, hiddenSize } = model.config;
  const pages = Math.ceil(ids.length / keysPerPage);
  const size = ids.length * hiddenSize;
  const states = model.dtype === "f32" ? new Float32Array(size) : new Uint16Array(size);
  await device.run(async (scope) => {
    const cache = Array.from({ length: layers }, () => kvPages(scope, pages, kvHeads, headDim, model.dtype));
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
        states.set(await hidden.read(), position * hiddenSize);
      });
    }
  });
  return states;
}

/** Gradients of minus the mean log-probability of next tokens (of each sequence all but the last `spare`), accumulated over micro-batches. */
async function gradients(
  device: Device,
  model: Model,
  sequences: readonly Int32Array[],
  spare: number,
  microBatches: readonly (readonly number[])[],
  activationCheckpointing: boolean,
): Promise<Float32Array> {
  const { arena } = enableGradients(model);
  fill(arena, 0);
  const predicted = sequences.reduce((n, { length }) => n + length - spare, 0);
  for (const micro of microBatches) {
    const batch = packSequences(micro.map((s) => sequences[s] as Int32Array));
    const rows: number[] = [];
    for (const [i, s] of micro.entries()) {
      const { length } = sequences[s] as Int32Array;
      for (let t = 0; t + spare < length; t++) rows.push((batch.starts[i] as number) + t);
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

describe.each(dtypes)("in %s", (dtype) => {
  const machines = machinesFor(dtype);
  const first = machines[0] as Machine;

  it("gives a sequence the same hidden states wherever it lies in a batch, on any threads and path, with a cache or without", async () => {
    const order = lengths.map((_, s) => s);
    const expected = await onMachine(first, (device, model) => hiddenStates(device, model, order));
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

  it("gives the same gradients on any threads and path, checkpointed or not, however a step is cut into micro-batches", async () => {
    const [cases, spare] = dtype === "f32" ? [sequences, 1] : [sequencesOf(inBlocks), 32];
    const [together = [], alone = [], cut = []] = cutsOf(cases);
    const expected = await onMachine(first, (device, model) =>
      gradients(device, model, cases, spare, together, false),
    );
    expect(expected.some((x) => x !== 0)).toBe(true);
    for (const machine of machines) {
      await onMachine(machine, async (device, model) => {
        for (const [microBatches, checkpointing] of [
          [together, true],
          [alone, false],
          [cut, true],
        ] as const) {
          const found = await gradients(device, model, cases, spare, microBatches, checkpointing);
          const differing = found.findIndex((x, i) => !Object.is(x, expected[i]));
          expect(differing, `${JSON.stringify(machine)}, ${microBatches.length} micro-batches`).toBe(-1);
        }
      });
    }
  });
});

it("in bf16 gives gradients that agree to the rounding of fp32 sums where micro-batches end anywhere", async () => {
  const [machine] = machinesFor("bf16");
  await onMachine(machine as Machine, async (device, model) => {
    const [together = [], ...cuts] = cutsOf(sequences);
    const whole = await gradients(device, model, sequences, 1, together, false);
    for (const microBatches of cuts) {
      const { rmsRel } = deviation(await gradients(device, model, sequences, 1, microBatches, false), whole);
      expect(rmsRel).toBeLessThan(1e-6);
    }
  });
});
