// An optimizer step of each stage that learns from rows, all on the same tokens: sequences of one length, of which two make a pair in dpo and reward.
// For bench/model.mjs, bench/peers and scripts/measure-preferences.mjs.
import { forwardWork, loadModel, openModelFolder } from "@posttrain/model";
import { adamwRule, createOptimizer } from "@posttrain/train";

/**
 * @typedef {"sft" | "dpo" | "reward"} Stage
 * @typedef {{ rows: number, length: number, asked: number }} Shape `rows` sequences of `length` tokens, the first `asked` of them a prompt
 * @typedef {import("@posttrain/model").Model} Model
 * @typedef {import("@posttrain/train").Optimizer} Optimizer
 * @typedef {import("@posttrain/train").StepOptions} StepOptions
 */

/** Tokens that every program of the comparison is given. @param {number} count @param {number} vocabulary @param {number} row */
export function tokensOf(count, vocabulary, row) {
  return Int32Array.from({ length: count }, (_, i) => (i * 7919 + row * 104_729 + 13) % vocabulary);
}

/** A folder's model with AdamW; of reward with a score in place of words. @param {import("@posttrain/kernels").Device} device
 * @param {string} folder @param {Stage} stage @param {"f32" | "bf16"} dtype */
export async function openTrained(device, folder, stage, dtype) {
  const { config } = await openModelFolder(folder);
  const scored = { ...config, score: { labels: ["LABEL_0"], heads: [] } };
  const as = stage === "reward" ? { as: { config: scored, seed: 1 } } : {};
  const model = await loadModel(device, folder, { dtype, masters: true, ...as });
  const rule = adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 });
  return { model, optimizer: createOptimizer(model, rule) };
}

/** A micro-batch of the stage, as a step. @type {Record<Stage, (model: Model, optimizer: Optimizer, shape: Shape, options: StepOptions) => Promise<() => Promise<unknown>>>} */
export const steps = {
  sft: async (model, optimizer, shape, options) => {
    const { microBatch, sftStep } = await import("@posttrain/sft");
    const sequences = sequencesOf(model, shape).map((inputIds, line) => ({
      id: "",
      line,
      inputIds,
      labels: inputIds.map((id, i) => (i < shape.asked ? -100 : id)),
    }));
    const micro = microBatch(sequences);
    return () => sftStep(model, optimizer, [micro], options);
  },
  dpo: async (model, optimizer, shape, options) => {
    const { dpoStep, pairBatch } = await import("@posttrain/dpo");
    const micro = pairBatch(pairs(model, shape));
    const sigmoid = {
      terms: [{ type: /** @type {const} */ ("sigmoid"), weight: 1 }],
      beta: 0.1,
      labelSmoothing: 0,
    };
    // What was kept of the reference.
    const reference = micro.pairs.map(() => ({ chosen: 0, rejected: 0 }));
    return () =>
      dpoStep(model, optimizer, [micro], { ...options, ...sigmoid, reference: async () => reference });
  },
  reward: async (model, optimizer, shape, options) => {
    const { rewardStep } = await import("@posttrain/reward-model");
    const sequences = sequencesOf(model, shape);
    const rows = pairs(model, shape).map(({ id, line }) => ({
      id,
      line,
      sequences: sequences.slice(2 * line, 2 * line + 2),
      labels: [true, false],
      margin: 0,
      criteria: {},
    }));
    return () => rewardStep(model, optimizer, [rows], { ...options, centerRewardsCoefficient: 0 });
  },
};

/** Operations of a step: its products and attention's causal half, forward once and backward twice. @param {Model} model @param {Stage} stage @param {Shape} shape */
export function workOf({ config }, stage, { rows, length, asked }) {
  const predictions = stage === "reward" ? rows : rows * (length - Math.max(1, asked));
  const work = forwardWork(config, Array(rows).fill(length), predictions);
  return 3 * (work.layers + work.head);
}

/** Both sides of a pair begin with the same prompt. @param {Model} model @param {Shape} shape */
function sequencesOf({ config }, { rows, length, asked }) {
  const own = Array.from({ length: rows }, (_, row) => tokensOf(length, config.vocabSize, row));
  return own.map((ids, row) => ids.map((id, i) => (i < asked ? (own[row - (row % 2)]?.[i] ?? id) : id)));
}

/** @param {Model} model @param {Shape} shape */
function pairs(model, shape) {
  const sequences = sequencesOf(model, shape);
  return Array.from({ length: Math.floor(shape.rows / 2) }, (_, line) => {
    const [chosen, rejected] = /** @type {[Int32Array, Int32Array]} */ (
      sequences.slice(2 * line, 2 * line + 2)
    );
    return {
      id: "",
      line,
      promptIds: chosen.subarray(0, shape.asked),
      chosenIds: chosen.subarray(shape.asked),
      rejectedIds: rejected.subarray(shape.asked),
    };
  });
}
