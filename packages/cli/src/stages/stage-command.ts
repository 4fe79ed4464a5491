// posttrain <stage>: what a stage's run() does, with what a person wants to see before, during and after.
import { z } from "zod";
import { type Command, defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count } from "../format.js";
import { createOutput } from "../output.js";
import { watchReading } from "../reading.js";
import { gradedOn, sampledBy, workersSentence } from "../redis-option.js";
import { configLines } from "../resolved-config.js";
import { openWorkers } from "../sampling-workers.js";
import { secondsSince, timeLeft } from "../speed.js";
import { stopOnSignal } from "../stopping.js";
import { withRanks } from "../with-ranks.js";
import { stageNames } from "./registry.js";
import type { Stage } from "./stage.js";
import { stoppedByMachine } from "./stopped-by-machine.js";
import { endLines } from "./telling.js";

export function stageCommand(stage: Stage): Command {
  const own = stage.config.safeExtend({ stage: ownStage(stage) });
  const onWorkers = own.safeExtend({ ...gradedOn, ...sampledBy });
  // Where Redis is may be a secret: it is neither shown nor kept.
  const options = stage.usesWorkers ? onWorkers : (own as typeof onWorkers);
  return defineCommand({
    options,
    sharesWork: stage.sharesWork ?? false,
    examples: stage.examples,
    notes: stage.notes,
    run: async ({ stage: _, redis, weights_dir, serve_weights, ...config }, context) => {
      const output = createOutput(context, process.stdout);
      output.table(configLines(own, { stage: _, ...config }, context.sources));
      const progress = output.progress();
      const reading = watchReading(output);
      using stopping = stopOnSignal(() => {
        progress.end();
        console.error("Stopping after this step, with a checkpoint. Ctrl-C again: at once, without.");
      });
      let started = performance.now();
      let first = 0;
      let running = false;
      let prepared:
        | { readonly what: string; readonly started: number; readonly first: number; done: number }
        | undefined;
      const report = {
        onReading: reading.onProgress,
        onPreparing: (what: string, done: number, total: number) => {
          reading.end();
          if (prepared === undefined || prepared.what !== what || done < prepared.done) {
            prepared = { what, started: performance.now(), first: done, done };
          }
          prepared.done = done;
          const { started: since, first: from } = prepared;
          const left = done > from ? `, about ${timeLeft(since, done - from, total - from)}` : "";
          progress.show(() => `${what}: ${count(done)} of ${count(total)}${left}`);
        },
        onSavable: () => stopping.begin(),
        onStart: (run: Parameters<Stage["describe"]["start"]>[1]) => {
          reading.end();
          progress.end();
          output.table(stage.describe.start(config, run));
          output.print("");
          started = performance.now();
          first = run.from?.step ?? 0;
          running = true;
          progress.show(() => `step ${first + 1}/${run.totalSteps} ...`);
        },
        onStep: (metrics: Parameters<Stage["describe"]["step"]>[0], totalSteps: number) => {
          const line = (): string => {
            const { step } = metrics;
            const number = `step ${String(step).padStart(String(totalSteps).length)}/${totalSteps}`;
            const left = step < totalSteps ? [timeLeft(started, step - first, totalSteps - first)] : [];
            return [number, ...stage.describe.step(metrics), ...left].join("  ");
          };
          if (metrics.step < totalSteps) progress.show(line);
          else progress.end(line());
        },
        onNotice: (sentence: string) => {
          progress.end();
          output.say(`\n${sentence}\n`);
        },
        onSamples: (lines: readonly string[]) => {
          if (lines.length > 0) progress.end();
          for (const line of lines) output.draw(line);
        },
        onEvaluation: (metrics: unknown) => {
          progress.end();
          output.print(stage.describe.evaluation(metrics));
        },
      };
      await using workers = await openWorkers({ redis, weights_dir, serve_weights }, config.output_dir);
      if (workers !== undefined)
        output.say(workersSentence(workers.sampling ? "sample and grade" : "grade", workers.place));
      const result = await withRanks(context, (device) =>
        stage.run(config, device, report, stopping.signal, workers),
      ).catch(async (error: unknown) => {
        progress.end();
        throw running ? await stoppedByMachine(error, stage.name, config.output_dir) : error;
      });
      output.table(endLines(stage, config, result, secondsSince(started)));
      const { checkpoint, end, steps, last } = result;
      output.result({ quiet: checkpoint, json: { end, checkpoint, step: steps, ...last } });
      if (end === "nothing_to_do") process.exitCode = exitCodes.nothing;
      if (end === "alarm") process.exitCode = exitCodes.alarm;
      if (end === "interrupted") process.exitCode = stopping.exitCode();
    },
  }) as unknown as Command;
}

/** A config may say which stage it is for; another's is refused with the command that takes it. */
function ownStage({ name }: Stage) {
  const expected = ({ input }: { readonly input?: unknown }): string => {
    const other = stageNames.find((known) => known === input);
    return `expected ${name}${other === undefined ? "" : `; posttrain ${other} takes a config of that stage`}`;
  };
  return z
    .string()
    .refine((given) => given === name, { error: expected })
    .optional()
    .describe(`the stage that a config is for: ${name}`);
}
