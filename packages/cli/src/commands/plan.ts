// posttrain plan: what a stage with the same options would take of this machine. Nothing is trained or written; rows are read, the largest
// step is taken dry, and the processor's peak is measured for a moment.
import { freemem } from "node:os";
import { byteText } from "@posttrain/data";
import { probeFmaPeak } from "@posttrain/kernels";
import { type PlannedRun, planTraining, refusalOf, type TrainingPlan } from "@posttrain/train";
import { type Command, defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural } from "../format.js";
import { createOutput, type Line } from "../output.js";
import { watchReading } from "../reading.js";
import type { Stage } from "../stages/stage.js";
import { configOf, unrunOptions } from "../stages/unrun-options.js";
import { withDevice } from "../with-model.js";

/**
 * Share of the fp32 peak that training reaches, on all it computes: 0.77 measured on two AVX-512 cores, 2026-11-25 (docs/benchmarks.md: 0.60 of
 * the peak in useful work with checkpointing, which computes 1.3 times that).
 */
export const reachedShare = 0.75;
export const probeSeconds = 0.3;

export const command = (stage: Stage): Command =>
  defineCommand({
    options: unrunOptions(stage, {}),
    examples: [
      ["npx posttrain plan --config run.yaml", `what ${stage.name} --config run.yaml will take`],
      [
        "npx posttrain plan --model_name_or_path ~/models/Qwen2.5-0.5B \\\n--data rows.jsonl --gradient_checkpointing false",
        "whether it fits without checkpointing",
      ],
      [
        "npx posttrain plan examples/pipeline.yaml",
        "every step of a pipeline, as far as it is known before it runs",
      ],
    ],
    notes:
      "It takes every option of the stage. Memory is what the run's largest step asks for, taken without computing anything; predicted and measured peaks differ by less than 10 % " +
      "(docs/memory.md). Time is the work over a share of the processor's fp32 peak, measured just then: other programs slow it. Exit code 1: it cannot fit; the message " +
      'says what to lower and to what. --json prints one object: {"fits", "memory", "tokens", "work", "time", "steps"}; --quiet the predicted bytes.',
    run: async (options, context) => {
      const config = configOf(stage, options);
      const output = createOutput(context, process.stdout);
      const reading = watchReading(output);
      const data = await stage.prepare(config, "error", reading.onProgress);
      reading.end();
      await withDevice(context, async (device) => {
        const planned = stage.plan(config, data);
        const plan = await planTraining(config, planned, device.options);
        const peak = await probeFmaPeak(device, probeSeconds);
        const rate = reachedShare * peak;
        const seconds = (plan.work.run + plan.work.again + plan.work.other) / rate;
        output.print("memory, at most");
        output.table(memoryLines(plan, planned, config.bf16));
        output.print("");
        const atMost = stage.describe.drawn === undefined ? "" : " at most";
        output.table([
          ...(stage.describe.plan?.(config, data) ?? []),
          [
            "steps",
            `${count(plan.totalSteps)}, of ${count(plan.tokens.step)} tokens in the mean${atMost}; the largest micro-batch has ${count(plan.tokens.largestMicroBatch)}; ${count(plan.tokens.run)} tokens in all${atMost}`,
          ],
          [
            "work",
            `${operations(plan.work.step)} a step, ${operations(plan.work.run)} in all` +
              (plan.work.again > 0
                ? `; checkpointing computes ${operations(plan.work.again)} of it twice`
                : "") +
              (plan.work.other > 0 ? `; ${operations(plan.work.other)} besides, between steps` : ""),
          ],
          [
            "time",
            `about ${duration(seconds / plan.totalSteps)} a step, ${duration(seconds)} in all${atMost}: an estimate, ${reachedShare} of an fp32 peak of ${count(peak / 1e9)} GFLOP/s that ${plural(device.threads, "thread")} showed just now; evaluation${stage.describe.drawn === undefined ? "" : ", grading"} and checkpoints are not in it`,
          ],
        ]);
        const refusal = await refusalOf(plan, config, planned, device.options);
        output.print("");
        output.table([refusal === undefined ? ["ok", "it fits"] : ["refused", refusal]]);
        const { memory, process: own, resident, available, tensorLimit, totalSteps, tokens, work } = plan;
        output.result({
          quiet: String(Math.round(resident)),
          json: {
            fits: refusal === undefined,
            refusal: refusal ?? null,
            memory: { ...memory, process: own, resident, available, tensor_limit: tensorLimit },
            steps: totalSteps,
            tokens,
            work,
            time: { seconds, share: reachedShare, fp32_peak: peak },
          },
        });
        if (refusal !== undefined) process.exitCode = exitCodes.mistake;
      });
    },
  });

function memoryLines(
  { memory, process: own, resident, available }: TrainingPlan,
  { beside: others = [], between }: Pick<PlannedRun<never>, "beside" | "between">,
  bf16: boolean,
): readonly Line[] {
  const { weights, gradients, moments, merging, beside, held, working, evaluation, scratch, arena } = memory;
  const gaps =
    arena - weights - gradients - moments - merging - beside - Math.max(held + working, evaluation);
  return [
    ["weights", `${byteText(weights)}${bf16 ? ": in bf16, and their fp32 masters" : ""}`],
    ["gradients", byteText(gradients)],
    ["moments", byteText(moments)],
    ...(merging > 0
      ? [
          [
            "merging",
            `${byteText(merging)}: online merging's delta from the base, its drift, moves since the last merge`,
          ] as const,
        ]
      : []),
    ...(beside > 0
      ? [["beside", `${byteText(beside)}: ${others.map(({ name }) => name).join(", ")}`] as const]
      : []),
    ["held", `${byteText(held)}: activations that the forward pass leaves for the backward pass`],
    [
      "working",
      `${byteText(working)}: beside them, the layer at hand and its gradients, the head, looked-up rows`,
    ],
    ...(evaluation > 0
      ? [
          [
            between?.name ?? "held-out",
            `${byteText(evaluation)}, instead of these two, ${between?.what ?? "while held-out rows are scored"}`,
          ] as const,
        ]
      : []),
    ["gaps", `${byteText(Math.max(0, gaps))}: between blocks of the arena`],
    ["scratch", `${byteText(scratch)}: of the hungriest op`],
    ["process", `${byteText(own)}: Node, the rows, tokenizer, code, buffers of files`],
    [
      "resident",
      `${byteText(resident)} in all; there are ${byteText(available)}, of which ${byteText(freemem())} are free now`,
    ],
  ];
}

/** "3.1 TFLOP". */
function operations(value: number): string {
  const names = ["", "k", "M", "G", "T", "P", "E"];
  const step = Math.min(names.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${(value / 1000 ** step).toPrecision(3)} ${names[step]}FLOP`;
}
