// The forward and backward pass against float64 numbers of transformers (tests/fixtures/golden/SOURCE.md). In fp32 the root-mean-square
// deviation is at most twice that of transformers' own float32 run, the largest at most four times.
//
// In bf16 the root-mean-square deviation is at most that of its own bfloat16 run, which rounds more often; and 95 in 100 deviations are at
// most three times it: more lie within 2.98 of any distribution with one hump, whatever its tails (Vysochanskij and Petunin 1980), so that beyond there
// are numbers that went wrong together. The largest is luck: over 24 seeds of such models it was 2.8 to 41 times the root mean square,
// the 95th of 100 always 1.7 to 2.5 times. (Measured here: 0.69-0.86 and 1.5-1.8.)
//
// Neither would see a rounding that is left out or made twice: one alone moves the deviation by some hundredths, down as often as up. Those are
// held against the same pass in float64 with the rule's roundings (support/bf16-by-rule.ts): what fp32 sums carry to the other side of a tie is
// 0.04 to 0.06 of the bfloat16 run's deviation, any one rounding too few, too many or elsewhere 0.14 and more.
import {
  backward,
  type Device,
  fill,
  linear,
  openDevice,
  type Scope,
  Tape,
  type Tensor,
} from "@posttrain/kernels";
import {
  enableGradients,
  foldLookups,
  forward,
  generate,
  head,
  loadModel,
  type Model,
  packSequences,
  policySampling,
  predict,
} from "@posttrain/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { logitsByRule, noRoundings, type Place, roundings } from "./support/bf16-by-rule.js";
import { dtypes } from "./support/dtypes.js";
import { deviation, type GoldenTensor, goldenJson, goldenPath, goldenTensors, l2 } from "./support/golden.js";

const device: Device = openDevice();
afterAll(() => device.close());

interface Yardstick {
  readonly max_abs: number;
  readonly rms_rel: number;
}

/** Whose deviation is the yardstick, and how many times it is granted: in root mean square, in the largest, and how many of it 95 in 100 may have. */
const rules = {
  f32: { yardstick: "float32", rms: 2, largest: 4, most: Number.POSITIVE_INFINITY },
  bf16: { yardstick: "bfloat16", rms: 1, largest: Number.POSITIVE_INFINITY, most: 3 },
} as const;

/** Of the bfloat16 run's deviation: how far bf16 may be from its own rule. */
const besideTheRule = 0.1;

/** Next-token log-probabilities, entropies and logits of whole sequences, packed. */
async function score(scope: Scope, model: Model, sequences: readonly Int32Array[]) {
  const batch = packSequences(sequences);
  const hidden = forward(scope, model, batch);
  const rows = Int32Array.from(batch.ids.keys());
  // The last token of a sequence predicts nothing; its entropy counts all the same.
  const targets = Int32Array.from(rows, (row) => batch.ids[row + 1] ?? 0);
  const predicted = predict(scope, model, hidden, { rows, targets });
  const logits = linear(scope, hidden, head(model));
  const [logProbs, entropies, logSumExp, all] = await Promise.all([
    predicted.logProb.read(),
    predicted.entropy.read(),
    predicted.logSumExp.read(),
    logits.read(),
  ]);
  return sequences.map((sequence, s) => {
    const start = batch.starts[s] as number;
    const end = start + sequence.length;
    return {
      logProbs: logProbs.slice(start, end - 1),
      entropies: entropies.slice(start, end),
      logSumExp: logSumExp.slice(start, end),
      logits: all.slice(start * model.config.vocabSize, end * model.config.vocabSize),
    };
  });
}

/** Gradients of minus the mean log-probability over the positions that `counts` names, by parameter. */
async function gradients(
  model: Model,
  sequences: readonly Int32Array[],
  counts: (sequence: number, position: number) => boolean,
  activationCheckpointing: boolean,
): Promise<{ readonly loss: number; readonly byName: ReadonlyMap<string, Float32Array> }> {
  enableGradients(model);
  const batch = packSequences(sequences);
  const rows: number[] = [];
  for (const [s, sequence] of sequences.entries()) {
    for (let t = 0; t + 1 < sequence.length; t++)
      if (counts(s, t)) rows.push((batch.starts[s] as number) + t);
  }
  const targets = Int32Array.from(rows, (row) => batch.ids[row + 1] as number);
  const tape = new Tape();
  const loss = await device.run(async (scope) => {
    const hidden = forward(scope, model, batch, { activationCheckpointing });
    const { logProb } = predict(scope, model, hidden, { rows: Int32Array.from(rows), targets });
    const seed = scope.from(new Float32Array(rows.length).fill(-1 / rows.length));
    const values = (await logProb.read()) as Float32Array;
    backward(scope, tape, [{ tensor: logProb, gradient: seed }]);
    return -values.reduce((a, b) => a + b, 0) / rows.length;
  }, tape);
  foldLookups(model);
  const byName = new Map<string, Float32Array>();
  for (const [name, parameter] of model.parameters) {
    byName.set(name, (await (parameter.gradient as Tensor).read()) as Float32Array);
  }
  const arena = model.gradients?.arena as Tensor;
  fill(arena, 0);
  return { loss, byName };
}

const names = ["qwen2-tiny-tied", "qwen2-tiny-untied", "qwen2-tiny-yarn", "qwen2-tiny-headdim"];
describe.each(names.flatMap((name) => dtypes.map((dtype) => ({ name, dtype }))))(
  "$name in $dtype",
  ({ name, dtype }) => {
    const golden = goldenJson(name, "expected.json");
    const rule = rules[dtype];
    const yardstick = golden.deviation_of_transformers[rule.yardstick];
    const expectClose = (
      what: string,
      values: ArrayLike<number>,
      expected: ArrayLike<number>,
      yardstick: Yardstick,
    ): void => {
      const { maxAbs, most, rmsRel } = deviation(values, expected);
      const usual = (yardstick.rms_rel * l2(expected)) / Math.sqrt(expected.length);
      expect(rmsRel, `${what}: root-mean-square deviation`).toBeLessThanOrEqual(rule.rms * yardstick.rms_rel);
      expect(most, `${what}: what 95 in 100 deviate by`).toBeLessThanOrEqual(rule.most * usual);
      expect(maxAbs, `${what}: largest deviation`).toBeLessThanOrEqual(rule.largest * yardstick.max_abs);
    };
    /**
     * Of a mean over `tokens` log-probabilities. In bf16 it is luck how far their deviations cancel, for transformers too: three standard
     * errors of its own.
     */
    const lossRoom = (own: number, tokens: number): number => {
      if (dtype === "f32") return rule.largest * own;
      const all = sequences.flatMap((_, i) => [...(expected.get(`logprobs.${i}`)?.data ?? [])]);
      const perToken = (yardstick.logprobs.rms_rel * l2(all)) / Math.sqrt(all.length);
      return (3 * perToken) / Math.sqrt(tokens);
    };
    let model: Model;
    let expected: ReadonlyMap<string, GoldenTensor>;
    let sequences: readonly Int32Array[];

    beforeAll(async () => {
      model = await loadModel(device, goldenPath(name), { dtype });
      expected = await goldenTensors(name, "expected.safetensors");
      sequences = golden.lengths.map((_: number, i: number) =>
        Int32Array.from(expected.get(`ids.${i}`)?.data ?? []),
      );
    });
    afterAll(() => model.scope.end());

    it("has the logits, log-probabilities, entropies and loss of the reference, packed or alone", async () => {
      await device.run(async (scope) => {
        const packed = await score(scope, model, sequences);
        const together = (of: (i: number) => ArrayLike<number>) =>
          sequences.flatMap((_, i) => Array.from(of(i)));
        const reference = (key: string) => together((i) => expected.get(`${key}.${i}`)?.data ?? []);
        expectClose(
          "logits",
          together((i) => packed[i]?.logits ?? []),
          reference("logits"),
          yardstick.logits,
        );
        const logProbs = together((i) => packed[i]?.logProbs ?? []);
        expectClose("log-probabilities", logProbs, reference("logprobs"), yardstick.logprobs);
        expectClose(
          "entropy",
          together((i) => packed[i]?.entropies ?? []),
          reference("entropy"),
          yardstick.entropy,
        );
        const loss = -logProbs.reduce((a, b) => a + b, 0) / logProbs.length;
        expect(Math.abs(loss - golden.loss)).toBeLessThanOrEqual(lossRoom(yardstick.loss, logProbs.length));
        for (const [i, sequence] of sequences.entries()) {
          const [alone] = await score(scope, model, [sequence]);
          expect(alone, `sequence ${i} alone and packed, bit for bit`).toEqual(packed[i]);
        }
      });
    });

    if (dtype === "bf16") {
      it("rounds to bf16 where its rule says, there and nowhere else", async () => {
        const logits = await device.run(async (scope) =>
          (await score(scope, model, sequences)).flatMap((sequence) => [...sequence.logits]),
        );
        const distance = async (places: ReadonlySet<Place>): Promise<number> =>
          deviation(logits, await logitsByRule(name, sequences, places)).rmsRel / yardstick.logits.rms_rel;
        expect(await distance(new Set(roundings))).toBeLessThanOrEqual(besideTheRule);
        if (name !== "qwen2-tiny-headdim") return; // the least of them; the others show each fault more clearly
        for (const place of roundings) {
          const fault = new Set(roundings.filter((other) => other !== place));
          expect(await distance(fault), `${place} not rounded`).toBeGreaterThan(besideTheRule);
        }
        for (const place of noRoundings)
          expect(await distance(new Set([...roundings, place])), `${place} rounded`).toBeGreaterThan(
            besideTheRule,
          );
      });
    }

    it.each([false, true])(
      "has every parameter's gradient (activation checkpointing %s)",
      async (checkpointing) => {
        const masks = sequences.map((_, i) => expected.get(`mask.${i}`)?.data as Float64Array);
        const { loss, byName } = await gradients(
          model,
          sequences,
          (s, t) => masks[s]?.[t] === 1,
          checkpointing,
        );
        const counted = golden.masked_loss_tokens;
        expect(Math.abs(loss - golden.masked_loss)).toBeLessThanOrEqual(
          lossRoom(yardstick.masked_loss, counted),
        );
        const all: number[] = [];
        const allExpected: number[] = [];
        for (const [parameter, gradient] of byName) {
          const reference = expected.get(`grad.${parameter}`)?.data as Float64Array;
          if (!parameter.endsWith("k_proj.bias")) {
            const { rmsRel } = deviation(gradient, reference);
            expect(rmsRel, parameter).toBeLessThanOrEqual(rule.rms * yardstick.grads_worst_tensor_rms_rel);
          }
          for (const x of gradient) all.push(x);
          for (const x of reference) allExpected.push(x);
        }
        expectClose("gradients", all, allExpected, yardstick.grads);
      },
    );

    it("continues greedily with the reference's 32 tokens, in bf16 until two are as near as its rounding", async () => {
      const results = await generate(
        model,
        sequences.map((promptIds, row) => ({
          promptIds,
          samples: 1,
          row,
          visit: 0,
          settings: { ...policySampling, temperature: 0, maxNewTokens: 32, stopIds: [] },
        })),
        { seed: 0, stream: "evaluation", drawable: model.config.vocabSize },
      );
      for (const [i, { ids }] of results.entries()) {
        // Both logits may deviate.
        const close = (margin: number): boolean => margin <= 2 * yardstick.logits.max_abs;
        const near = golden.greedy[i].top2_margins.findIndex(close);
        const sure = dtype === "f32" || near < 0 ? 32 : near;
        expect([...ids.slice(0, sure)]).toEqual(
          [...(expected.get(`greedy.${i}`)?.data ?? [])].slice(0, sure),
        );
      }
    });
  },
);
