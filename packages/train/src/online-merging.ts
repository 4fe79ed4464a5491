// The Online Merging Optimizer as a rule (Lu et al. 2024, arXiv 2405.17931): AdamW, whose updates are thinned and merged with a little of the
// task vector, so that what the model learnt since its base is not lost. The formulas, and where paper and published code differ:
// kernels/native/cpu/online_merging.cpp.
import { type MergeMethod, onlineMerging, type Tensor } from "@posttrain/kernels";
import type { AdamwOptions } from "./adamw.js";
import type { UpdateRule } from "./optimizer.js";
import { fillTaskVector } from "./task-vector.js";

export interface OnlineMergingOptions extends AdamwOptions, MergeMethod {
  /** Weight of the task vector in each merge. */
  readonly alpha: number;
  /** Every so many steps merge; those between are AdamW's, and are taken back when their sum is merged. */
  readonly every: number;
  /** Folders of the model as its run starts, and of the base that it was made from. */
  readonly start: string;
  readonly base: string;
}

/**
 * State: AdamW's `m` and `v`; with alpha above 0 `drift`, what the weights are behind the task vector that was merged in (a step's share is
 * far below half a unit in their last place: it is added when it counts); with every above 1 `interim`, the sum of moves since the last merge.
 * Weight decay acts where AdamW's does, in scaling `paper` before the update as AdamW's, in `repo` after it as the published code has it.
 */
export function onlineMergingRule(options: OnlineMergingOptions): UpdateRule {
  const { alpha, every, start, base, beta1, beta2, eps, weightDecay, ...method } = options;
  const drifts = alpha > 0;
  const merged = drifts || (method.method === "ties" && method.scaling === "repo");
  const state = ["m", "v", ...(drifts ? ["drift"] : []), ...(every > 1 ? ["interim"] : [])];
  return {
    state,
    whole: true,
    ...(merged && {
      fixed: {
        names: ["task_vector"],
        fill: (model, arenas) =>
          fillTaskVector(model, arenas.get("task_vector") as Tensor, { start, base, method }),
      },
    }),
    ...(drifts && { reports: ["merge/drift_intended", "merge/drift_applied"] }),
    update: (parameter, step) => {
      const { master, rounded, gradient, shape, offset, fixed, report } = parameter;
      const own = (name: string): Tensor | undefined => parameter.state[state.indexOf(name)];
      onlineMerging(master, own("m") as Tensor, own("v") as Tensor, gradient, {
        ...(rounded && { rounded }),
        ...step,
        ...method,
        beta1,
        beta2,
        eps,
        alpha,
        weightDecay: shape.length > 1 ? weightDecay : 0,
        decayAfter: method.scaling === "repo",
        merges: step.step % every === 0,
        first: offset,
        tau: fixed[0],
        carry: own("drift"),
        interim: own("interim"),
        drift: report,
      });
    },
  };
}
