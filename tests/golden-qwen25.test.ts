// Two layers in the exact shapes of Qwen2.5-0.5B (vocabulary of 151,936, tied) with weights from a formula: what the fused projection
// over a large vocabulary must compute, forward and backward (tests/fixtures/golden/SOURCE.md). Takes 2.5 GB of memory.
import { backward, openDevice, Tape, type Tensor } from "@posttrain/kernels";
import {
  emptyModel,
  enableGradients,
  foldLookups,
  forward,
  type Model,
  packSequences,
  parameter,
  parseModelConfig,
  predict,
} from "@posttrain/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deviation, goldenJson, l2 } from "./support/golden.js";

const golden = goldenJson("qwen25", "expected.json");
const yardstick = golden.float32_transformers_deviation;
const device = openDevice();
const ids = Int32Array.from(golden.ids as number[]);
let model: Model;

function mix(x: number): number {
  let y = x ^ (x >>> 16);
  y = Math.imul(y, 0x7feb352d);
  y ^= y >>> 15;
  y = Math.imul(y, 0x846ca68b);
  return (y ^ (y >>> 16)) >>> 0;
}

/** The formula of the reference: `fill` in expected.json. */
function weights(name: string, tensor: number, size: number): Float32Array {
  const key = mix((Math.imul(tensor, 0x9e3779b9) + Math.imul(golden.fill.salt, 0x85ebca6b)) | 0);
  const isNorm = name.includes("norm");
  const scale = name.endsWith("bias") ? 1 : name.includes("down_proj") ? 2 ** -4 : 2 ** -3;
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const x = (mix(i ^ key) >>> 8) * 2 ** -24 - 0.5;
    values[i] = isNorm ? 1 + Math.floor(x * 4096) * 2 ** -13 : x * scale;
  }
  return values;
}

beforeAll(async () => {
  const config = {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    hidden_act: "silu",
    ...golden.config,
  };
  model = emptyModel(device, parseModelConfig(config, "expected.json"));
  for (const { name, index, first4, shape, sum_float64 } of golden.tensors) {
    const size = shape.reduce((a: number, b: number) => a * b, 1);
    const values = weights(name, index, size);
    expect([...values.slice(0, 4)], name).toEqual(first4);
    let sum = 0;
    for (const value of values) sum += value;
    expect(Math.abs(sum - sum_float64), name).toBeLessThan(1e-6 * Math.sqrt(size));
    parameter(model, name).write(values);
  }
  await device.drain();
});
afterAll(async () => {
  model.scope.end();
  await device.close();
});

describe("Qwen2.5-0.5B's shapes", () => {
  it("have the reference's log-probabilities, entropies, log-sum-exps and gradients", async () => {
    enableGradients(model);
    const batch = packSequences([ids]);
    const rows = Int32Array.from(ids.keys());
    const targets = Int32Array.from(rows, (row) => ids[row + 1] ?? 0);
    const tape = new Tape();
    await device.run(async (scope) => {
      const hidden = forward(scope, model, batch, { activationCheckpointing: true });
      const { logProb, entropy, logSumExp, argmax } = predict(scope, model, hidden, { rows, targets });
      const counted = ids.length - 1;
      const seed = Float32Array.from(rows, (row) => (row < counted ? -1 / counted : 0));
      const [logProbs, entropies, logSumExps, best] = await Promise.all([
        logProb.read(),
        entropy.read(),
        logSumExp.read(),
        argmax.read(),
      ]);
      const predictions = (logProbs as Float32Array).slice(0, counted);
      const closeness = deviation(predictions, golden.next_token_logprobs);
      expect(closeness.maxAbs).toBeLessThanOrEqual(4 * yardstick.logprobs.max_abs);
      expect(closeness.rmsRel).toBeLessThanOrEqual(2 * yardstick.logprobs.rms_rel);
      expect(deviation(logSumExps, golden.logsumexp).maxAbs).toBeLessThanOrEqual(
        4 * yardstick.logits.max_abs,
      );
      // The file has no yardstick for entropies: they are differences of log-probabilities and logits.
      expect(deviation(entropies, golden.entropy).maxAbs).toBeLessThanOrEqual(
        4 * (yardstick.logprobs.max_abs + yardstick.logits.max_abs),
      );
      expect([...best]).toEqual(golden.top3_ids.map((top: number[]) => top[0]));
      backward(scope, tape, [{ tensor: logProb, gradient: scope.from(seed) }]);
    }, tape);
    foldLookups(model);
    for (const [name, expected] of Object.entries(golden.grad_l2 as Record<string, number>)) {
      const gradient = await (parameter(model, name).gradient as Tensor).read();
      // A norm's relative error is at most the gradients' own; transformers' float32 run of such models has 3e-6 (qwen2-tiny-*).
      const room = name.endsWith("k_proj.bias") ? 1e-3 : 2e-5;
      expect(Math.abs(l2(gradient) / expected - 1), name).toBeLessThan(room);
      if (name !== "model.embed_tokens.weight") continue;
      const width = model.config.hiddenSize;
      for (const [row, norm] of Object.entries(golden.embedding_grad_row_l2 as Record<string, number>)) {
        const own = gradient.slice(Number(row) * width, (Number(row) + 1) * width);
        expect(Math.abs(l2(own) / norm - 1), `embedding row ${row}`).toBeLessThan(1e-4);
      }
    }
  });
});
