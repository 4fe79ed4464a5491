// What comes after fine-tuning, each by the same function as its command: pairs by answer matching, DPO with online merging, a reward model on
// the same pairs, and GRPO with the verifier's reward.
import { loadChatTemplate, loadTokenizer, wilson } from "@posttrain/data";
import { type DpoResult, type PairsReport, runDpo, runPairs } from "@posttrain/dpo";
import { type GrpoMetrics, openRewardSources, runGrpo } from "@posttrain/grpo";
import type { Device } from "@posttrain/kernels";
import { loadModel } from "@posttrain/model";
import {
  type EvalReport,
  modelScorer,
  readEvalSets,
  reportOf,
  runReward,
  scoreItems,
} from "@posttrain/reward-model";
import type { ArithmeticProblem } from "@posttrain/sft";
import { sampleModel } from "./evaluate.js";
import {
  dpoRecipe,
  filesOf,
  grpoRecipe,
  type LaterPaths,
  pairsRecipe,
  preferenceProblems,
  questionRow,
  rewardRecipe,
  writeLines,
  writeQuestions,
} from "./recipe.js";

/** Hears how far a stage is: of what, done, of so many. */
export type Watch = (what: string, done: number, of: number) => void;

export async function makePairs(device: Device, paths: LaterPaths, watch: Watch): Promise<PairsReport> {
  await writeQuestions(filesOf(paths).questions, paths.seed, preferenceProblems);
  const model = await loadModel(device, paths.start);
  try {
    return await runPairs(pairsRecipe(paths), {
      withModel: (_, body) => body(model),
      onProgress: ({ graded, responses }) => watch("answers graded", graded, responses),
    });
  } finally {
    model.scope.end();
  }
}

export function optimizeOnPairs(device: Device, paths: LaterPaths, watch: Watch): Promise<DpoResult> {
  return runDpo(dpoRecipe(paths), device, {
    onPreparing: watch,
    onStep: ({ step }, totalSteps) => watch("DPO steps", step, totalSteps),
  });
}

/** What a reward model is worth on answers to held-out problems. */
export interface RewardWorth {
  readonly checkpoint: string;
  /** Of each problem that has both: the first right answer above the first wrong one. */
  readonly pairs: ReturnType<typeof wilson>;
  /** Over all problems: right answers at random, and of the best-scored of eight, with the gain's 95 % interval. */
  readonly bestOf8: EvalReport["best_of_n"][number];
}

export async function trainRewardModel(
  device: Device,
  paths: LaterPaths,
  heldOut: readonly ArithmeticProblem[],
  watch: Watch,
): Promise<RewardWorth> {
  const { checkpoint } = await runReward(rewardRecipe(paths), device, {
    onStep: ({ step }, totalSteps) => watch("reward model steps", step, totalSteps),
  });
  const { heldOutResponses: file } = filesOf(paths);
  const answers = await sampleModel(device, paths.start, heldOut, { samples, seed: paths.seed });
  const rows = answers.map((own, i) => ({
    prompt: [{ role: "user", content: questionRow(heldOut[i] as ArithmeticProblem).prompt }],
    responses: own.map(({ text }) => text),
    labels: own.map(({ correct }) => correct),
  }));
  await writeLines(file, rows);
  const items = (await readEvalSets([file])).get("verified") ?? [];
  const model = await loadModel(device, checkpoint, { kind: "reward" });
  try {
    const texts = {
      tokenizer: () => loadTokenizer(checkpoint),
      template: () => loadChatTemplate(checkpoint),
    };
    const scores = await scoreItems(items, modelScorer(model), texts, (done) =>
      watch("problems scored", done, items.length),
    );
    const firsts = rows.flatMap(({ labels }, i) => {
      const score = (label: boolean): number | null | undefined => scores[i]?.[labels.indexOf(label)];
      const [right, wrong] = [score(true), score(false)];
      return right == null || wrong == null ? [] : [right > wrong];
    });
    const report = reportOf("verified", items, scores, paths.seed);
    const best = report.best_of_n.find(({ n }) => n === samples);
    if (best === undefined || firsts.length === 0)
      throw new Error(`all answers of ${paths.start} to the held-out problems are right, or all wrong`);
    return { checkpoint, pairs: wilson(firsts.filter(Boolean).length, firsts.length), bestOf8: best };
  } finally {
    model.scope.end();
  }
}

const samples = 8;

export async function reinforce(
  device: Device,
  paths: LaterPaths & { readonly policy: string },
  watch: Watch,
): Promise<{
  readonly checkpoint: string;
  readonly steps: readonly GrpoMetrics[];
  readonly alarms: readonly string[];
}> {
  const config = grpoRecipe(paths);
  const steps: GrpoMetrics[] = [];
  const alarms: string[] = [];
  await using rewards = await openRewardSources(config, undefined);
  const { checkpoint } = await runGrpo(config, device, rewards, {
    onGraded: (what, graded, of) => {
      if (what === "prepass") watch("answers of the first pass", graded, of);
    },
    onStep: (metrics, totalSteps) => {
      steps.push(metrics);
      watch("GRPO steps", metrics.step, totalSteps);
    },
    onAlarm: ({ text }) => alarms.push(text),
  });
  return { checkpoint, steps, alarms };
}
