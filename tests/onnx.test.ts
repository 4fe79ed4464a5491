// The exported ONNX files against our kernels, in fp32 through onnxruntime: an independent forward pass from the same weights.
import { mkdtempSync, rmSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linear, openDevice } from "@posttrain/kernels";
import {
  exportOnnx,
  forward,
  head,
  loadModel,
  type Model,
  packSequences,
  predict,
  readPredictions,
} from "@posttrain/model";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { deviation, goldenJson, goldenPath, goldenTensors } from "./support/golden.js";
import { skipUnless } from "./support/skip.js";

const device = openDevice();
const folder = mkdtempSync(join(tmpdir(), "posttrain-onnx-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

/** What the two forward passes may differ by, in a logit, a log-probability or a score. */
const allowed = 1e-4;

async function withModel<T>(dir: string, body: (model: Model) => Promise<T>): Promise<T> {
  const model = await loadModel(device, dir, { kind: "either" });
  try {
    return await body(model);
  } finally {
    model.scope.end();
  }
}

let exports = 0;
async function exported(model: Model, options: Parameters<typeof exportOnnx>[2] = {}) {
  const dir = join(folder, `export-${exports++}`);
  const files = await exportOnnx(model, dir, options);
  return { dir, files };
}

const open = (dir: string) => InferenceSession.create(join(dir, "model.onnx"), { logSeverityLevel: 3 });

/** One padded batch through onnxruntime. Padding holds ids that mean something, to be seen if they were read. */
async function run(session: InferenceSession, rows: readonly Int32Array[], side: "left" | "right" = "right") {
  const width = Math.max(...rows.map((row) => row.length));
  const ids = new BigInt64Array(rows.length * width).fill(7n);
  const mask = new BigInt64Array(rows.length * width);
  for (const [b, row] of rows.entries()) {
    const start = b * width + (side === "left" ? width - row.length : 0);
    for (const [t, id] of row.entries()) {
      ids[start + t] = BigInt(id);
      mask[start + t] = 1n;
    }
  }
  const shape = [rows.length, width];
  const [output] = Object.values(
    await session.run({
      input_ids: new Tensor("int64", ids, shape),
      attention_mask: new Tensor("int64", mask, shape),
    }),
  );
  if (output === undefined) throw new Error("no output");
  return { dims: output.dims, data: output.data as Float32Array, width };
}

/** Logits (T, V) and next-token log-probabilities (T - 1) of one sequence by our kernels. */
async function ours(model: Model, ids: Int32Array) {
  return device.run(async (scope) => {
    const hidden = forward(scope, model, packSequences([ids]));
    const logits = (await linear(scope, hidden, head(model)).read()) as Float32Array;
    const rows = Int32Array.from({ length: ids.length - 1 }, (_, t) => t);
    const targets = rows.map((t) => ids[t + 1] as number);
    const logProbs =
      rows.length === 0
        ? new Float32Array()
        : (await readPredictions(predict(scope, model, hidden, { rows, targets }))).logProbs;
    return { logits, logProbs };
  });
}

async function sequencesOf(name: string): Promise<readonly Int32Array[]> {
  const tensors = await goldenTensors(name, "expected.safetensors");
  return [...tensors].filter(([key]) => key.startsWith("ids.")).map(([, { data }]) => Int32Array.from(data));
}

describe.each(["qwen2-tiny-tied", "qwen2-tiny-untied", "qwen2-tiny-yarn", "qwen2-tiny-headdim"])(
  "%s",
  (name) => {
    it("has our kernels' logits, alone and padded on either side", async () => {
      const sequences = await sequencesOf(name);
      await withModel(goldenPath(name), async (model) => {
        const { dir } = await exported(model);
        const session = await open(dir);
        const expected = await Promise.all(sequences.map((ids) => ours(model, ids)));
        const vocabulary = model.config.vocabSize;
        for (const [i, ids] of sequences.entries()) {
          const { dims, data } = await run(session, [ids]);
          expect(dims).toEqual([1, ids.length, vocabulary]);
          expect(deviation(data, expected[i]!.logits).maxAbs).toBeLessThan(allowed);
        }
        for (const side of ["left", "right"] as const) {
          const { data, width } = await run(session, sequences, side);
          for (const [i, ids] of sequences.entries()) {
            const start = (i * width + (side === "left" ? width - ids.length : 0)) * vocabulary;
            const row = data.subarray(start, start + ids.length * vocabulary);
            expect(deviation(row, expected[i]!.logits).maxAbs, side).toBeLessThan(allowed);
          }
        }
      });
    });

    it("has the reference's log-probabilities of tokens, 0 at padding", async () => {
      const sequences = await sequencesOf(name);
      const tensors = await goldenTensors(name, "expected.safetensors");
      await withModel(goldenPath(name), async (model) => {
        const session = await open((await exported(model, { output: "log_probs" })).dir);
        for (const side of ["left", "right"] as const) {
          const { dims, data, width } = await run(session, sequences, side);
          expect(dims).toEqual([sequences.length, width - 1]);
          for (const [i, ids] of sequences.entries()) {
            const row = data.subarray(i * (width - 1), (i + 1) * (width - 1));
            const padding = width - ids.length;
            const [counted, rest] =
              side === "left"
                ? [row.subarray(padding), row.subarray(0, padding)]
                : [row.subarray(0, ids.length - 1), row.subarray(ids.length - 1)];
            expect(deviation(counted, (await ours(model, ids)).logProbs).maxAbs).toBeLessThan(allowed);
            expect(deviation(counted, tensors.get(`logprobs.${i}`)!.data).maxAbs).toBeLessThan(allowed);
            expect(rest.every((value) => value === 0)).toBe(true);
          }
        }
        expect((await run(session, [Int32Array.of(5)])).dims).toEqual([1, 0]);
      });
    });
  },
);

it("weights beside the file are the same model, each at the start of a page", async () => {
  await withModel(goldenPath("qwen2-tiny-untied"), async (model) => {
    const [ids] = (await sequencesOf("qwen2-tiny-untied")) as [Int32Array];
    const inside = await exported(model);
    const beside = await exported(model, { externalData: true });
    expect(inside.files).not.toContain("model.onnx_data");
    expect(beside.files).toContain("model.onnx_data");
    expect((await readdir(beside.dir)).sort()).toEqual(beside.files);
    expect((await stat(join(beside.dir, "model.onnx"))).size).toBeLessThan(50_000);
    const [a, b] = await Promise.all([inside, beside].map(async ({ dir }) => run(await open(dir), [ids])));
    expect(a!.data).toEqual(b!.data);
  });
});

it("a reward model gives the reference's scores, at each row's last attended token", async () => {
  const expected = await goldenTensors("reward-tiny", "expected.safetensors");
  const [ids, mask] = [expected.get("input_ids")!, expected.get("attention_mask")!];
  const width = ids.shape[1]!;
  const rows = Array.from({ length: ids.shape[0]! }, (_, b) => {
    const [from, to] = [b * width, (b + 1) * width];
    const length = mask.data.slice(from, to).reduce((sum, one) => sum + one, 0);
    return Int32Array.from(ids.data.slice(from, from + length));
  });
  await withModel(goldenPath("reward-tiny"), async (model) => {
    const { dir, files } = await exported(model);
    expect(files).toEqual(["config.json", "model.onnx"]);
    const session = await open(dir);
    for (const side of ["left", "right"] as const) {
      const { dims, data } = await run(session, rows, side);
      expect(dims).toEqual([rows.length, 1]);
      expect(deviation(data, expected.get("scores")!.data).maxAbs).toBeLessThan(allowed);
    }
    for (const [b, row] of rows.entries()) {
      const { data } = await run(session, [row]);
      expect(Math.abs(data[0]! - expected.get("scores")!.data[b]!)).toBeLessThan(allowed);
    }
  });
});

const smollm2 = process.env["POSTTRAIN_SMOLLM2"];
describe(
  "SmolLM2-135M-Instruct",
  skipUnless(
    smollm2 !== undefined,
    "the folder of SmolLM2-135M-Instruct in the Qwen2 layout (f32) is not given",
    "POSTTRAIN_SMOLLM2=/path/to/folder npm test -- tests/onnx.test.ts",
  ),
  () => {
    it("has our kernels' log-probabilities on 200 rows of text, in padded batches of 8", async () => {
      const texts: readonly { readonly ids: readonly number[] }[] = goldenJson(
        "smollm2",
        "expected.json",
      ).texts;
      const rows = Array.from({ length: 200 }, (_, r) => {
        const { ids } = texts[r % texts.length]!;
        const length = 8 + ((13 * r) % 57);
        const start = (37 * r) % (ids.length - length);
        return Int32Array.from(ids.slice(start, start + length));
      });
      await withModel(smollm2 as string, async (model) => {
        const session = await open((await exported(model, { output: "log_probs" })).dir);
        let largest = 0;
        for (let at = 0; at < rows.length; at += 8) {
          const batch = rows.slice(at, at + 8);
          const { data, width } = await run(session, batch, at % 16 === 0 ? "left" : "right");
          for (const [i, ids] of batch.entries()) {
            const start = i * (width - 1) + (at % 16 === 0 ? width - ids.length : 0);
            const { maxAbs } = deviation(
              data.subarray(start, start + ids.length - 1),
              (await ours(model, ids)).logProbs,
            );
            largest = Math.max(largest, maxAbs);
          }
        }
        expect(largest).toBeLessThan(allowed);
      });
    });
  },
);
