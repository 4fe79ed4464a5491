// posttrain replay: a step of a run once more, from the checkpoint before it, in a folder of its own; and whether the bits are the same.
import { copyFile, link, mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "@posttrain/data";
import { checkpointSteps, verifyCheckpoint, writeDurably } from "@posttrain/run";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, plural } from "../format.js";
import { createOutput, type Line } from "../output.js";
import { compareSteps, type Finding } from "../replay/compare.js";
import { loadStage, stageNames } from "../stages/registry.js";
import type { Stage } from "../stages/stage.js";
import { withDevice } from "../with-model.js";

const options = z.strictObject({
  run: z.string().describe("folder of the run"),
  step: z.int().positive().describe("the step to do again"),
  output_dir: z.string().optional().describe("new folder to keep the replayed run in; else it is removed"),
});

export const command = defineCommand({
  options,
  argument: "run",
  examples: [
    ["npx posttrain replay runs/rl --step 12", "step 12 once more, and whether it has the same bits"],
  ],
  notes:
    "It goes on from the newest checkpoint before the step, with the run's own config and, of grpo, the responses and verdicts that its journals still hold; what they do not hold is sampled and graded again. Then it holds " +
    "the metrics of every step up to there (all but times), the rollouts with the log-probability of every token, and where the run has a checkpoint after that step its weights, moments and all else, against the run's own, and names " +
    `the first thing that differs. The run's folder is not touched. Exit code ${exitCodes.ungraded}: something differs. --json prints {"same", "from", "step", "compared", "differs"}; --quiet "same" or "differs".`,
  run: async ({ run, step, output_dir }, context) => {
    const output = createOutput(context, process.stdout);
    const given = await configOf(run);
    const stage = await loadStage(given["stage"]);
    const before = (await checkpointSteps(run)).filter((at) => at < step).at(-1);
    const scratch = output_dir ?? (await mkdtemp(join(tmpdir(), "posttrain-replay-")));
    if (output_dir !== undefined) await mkdir(output_dir);
    try {
      await furnish(scratch, run, before, given);
      const { stage: _, ...own } = given;
      const config = stage.config.parse({
        ...own,
        ...{ output_dir: scratch, resume_from_checkpoint: true, save_steps: 1_000_000_000 },
        save_total_limit: undefined,
      });
      const progress = output.progress();
      const done = await replayed(stage, config, step, context, (text) => progress.show(() => text));
      progress.end();
      if (done < step) {
        throw new UserError(
          "no_such_step",
          `${run} ends after step ${done}: there is no step ${step} to do again.`,
        );
      }
      const findings = await compareSteps(run, scratch, before ?? 0, step);
      report(output, run, step, before, findings);
      if (findings.some(({ differs }) => differs !== undefined)) process.exitCode = exitCodes.ungraded;
    } finally {
      if (output_dir === undefined) await rm(scratch, { recursive: true, force: true });
    }
  },
});

async function configOf(run: string): Promise<Readonly<Record<string, unknown>>> {
  const path = join(run, "config.yaml");
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new UserError(
      "not_a_run",
      `${run} is no folder of a run: ${path} cannot be read (${cause.message}).`,
      { cause },
    );
  });
  const config = parse(text) as Readonly<Record<string, unknown>>;
  if (stageNames.some((name) => name === config["stage"])) return config;
  throw new UserError(
    "not_a_run",
    `${path} names no stage of training: expected stage: ${stageNames.join(", ")}.`,
  );
}

/** What the run had when it was there: its config, its checkpoint, and what it had journalled or computed once. */
async function furnish(
  scratch: string,
  run: string,
  before: number | undefined,
  config: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (before !== undefined) {
    const name = `checkpoint-${before}`;
    await verifyCheckpoint(join(run, name));
    await copyTree(join(run, name), join(scratch, name));
  }
  for (const name of ["episodes", "reference.jsonl"]) {
    if (await stat(join(run, name)).catch(() => undefined))
      await copyTree(join(run, name), join(scratch, name), true);
  }
  await writeDurably(join(scratch, "config.yaml"), stringify(config));
}

/** `alone`: files that are written on. Others are linked where the file system can. */
async function copyTree(from: string, to: string, alone = false): Promise<void> {
  if ((await stat(from)).isDirectory()) {
    await mkdir(to, { recursive: true });
    for (const name of await readdir(from)) await copyTree(join(from, name), join(to, name), alone);
    return;
  }
  if (alone) await copyFile(from, to);
  else await link(resolve(from), to).catch(() => copyFile(from, to));
}

/** Runs until the step is done. Returns the last step. */
async function replayed(
  stage: Stage,
  config: Parameters<Stage["run"]>[0],
  step: number,
  context: Parameters<typeof withDevice>[0],
  show: (text: string) => void,
): Promise<number> {
  const stop = new AbortController();
  const result = await withDevice(context, (device) =>
    stage.run(
      config,
      device,
      {
        onReading: () => undefined,
        onPreparing: (what, done, total) => show(`${what}: ${count(done)} of ${count(total)}`),
        onSavable: () => undefined,
        onStart: () => undefined,
        onStep: (metrics) => {
          show(`step ${metrics.step}/${step}`);
          if (metrics.step >= step) stop.abort();
        },
        onEvaluation: () => undefined,
        onNotice: () => undefined,
        onSamples: () => undefined,
      },
      stop.signal,
    ),
  );
  return result.steps;
}

function report(
  output: ReturnType<typeof createOutput>,
  run: string,
  step: number,
  before: number | undefined,
  findings: readonly Finding[],
): void {
  const from = before === undefined ? "the start" : `checkpoint-${before}`;
  const different = findings.find(({ differs }) => differs !== undefined);
  output.table([
    ["replayed", `step ${count(step)} of ${run}, from ${from}`],
    ...findings.map(({ what, compared, differs }): Line => [what, differs ?? compared]),
    [
      different === undefined ? "same" : "differs",
      different === undefined
        ? `all bits of ${plural(findings.filter(({ isCompared }) => isCompared).length, "thing")} that could be compared`
        : `${different.what}: ${different.differs}`,
    ],
  ]);
  output.result({
    quiet: different === undefined ? "same" : "differs",
    json: {
      same: different === undefined,
      from: before ?? 0,
      step,
      compared: Object.fromEntries(findings.map(({ what, compared }) => [what, compared])),
      differs: different === undefined ? null : { what: different.what, first: different.differs },
    },
  });
}
