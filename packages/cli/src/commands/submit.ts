// posttrain submit: a stage, or a pipeline as a whole, put into the queue, to be done by a worker.
import { readRegularFile, UserError } from "@posttrain/data";
import { openRedisJobs } from "@posttrain/jobs";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { checkOptions, knowsAll } from "../options.js";
import { createOutput } from "../output.js";
import { openPipeline } from "../pipeline/pipeline.js";
import { pipelineKind, stageCommands, stageKind } from "../pipeline/stage-jobs.js";
import { redisUrl } from "../redis-option.js";
import { collectSettings } from "../settings.js";
import { stopOnSignal } from "../stopping.js";

/** The command that runs a whole pipeline. */
const PIPELINE = "run";

const options = z.strictObject({
  command: z
    .enum([PIPELINE, ...stageCommands])
    .describe("what is to be run: a command, or a whole pipeline (run)"),
  file: z
    .string()
    .describe("its config, or the pipeline's file; paths in it are relative to the workers' folder"),
  redis: redisUrl,
  wait: z.boolean().default(false).describe("wait for its end, and end with its exit code"),
});

export const command = defineCommand({
  options,
  argument: "command",
  examples: [
    [
      "npx posttrain submit sft --file sft.yaml",
      "a worker of kind stage runs posttrain sft --config sft.yaml",
    ],
    ["npx posttrain submit run --file pipeline.yaml --wait", "all steps of a pipeline, and wait for them"],
  ],
  notes:
    "All options are checked before anything is queued. Redis' URL is --redis or POSTTRAIN_REDIS. What was submitted goes on without this command; posttrain jobs list shows how far it is, jobs logs what it says, jobs cancel ends it. " +
    "Submitted twice, it is the same job; once it has ended, the same command goes on where it was, or finds that nothing is left to do. A worker that dies is followed by another, which goes on from the newest checkpoint.",
  run: async ({ command: name, file, redis, wait }, context) => {
    const output = createOutput(context, process.stdout);
    const config = (
      await readRegularFile(file).catch((cause: Error) => {
        throw new UserError("bad_config", `${file} cannot be read: ${cause.message}.`, { cause });
      })
    ).toString("utf8");
    if (name === PIPELINE) await openPipeline(file, context.commands);
    else {
      const { options: schema } = await context.commands.load(name);
      const { settings, problems } = await collectSettings(
        [{ name: "config", value: file, source: { kind: "flag" } }],
        [],
      );
      const own = settings.filter(({ name: option }) => option !== "config");
      checkOptions(name, schema, own, {
        problems,
        ...(knowsAll(schema, own) ? {} : { elsewhere: await context.commands.owners() }),
      });
    }
    await using jobs = await openRedisJobs(redis);
    using stopping = stopOnSignal(() => output.say("Its worker goes on: posttrain jobs list shows it."));
    stopping.begin();
    const label = `${name} ${file}`;
    const batch =
      name === PIPELINE
        ? jobs.submit(pipelineKind, [{ payload: { config }, label }])
        : jobs.submit(stageKind, [{ payload: { command: name, config }, label }]);
    const [id = ""] = batch.ids;
    output.say(`Job ${id.slice(0, 12)}: posttrain ${name}, ${file}`);
    stopping.signal.addEventListener("abort", () => void batch.leave());
    if (!wait) await batch.leave();
    let code: number | undefined;
    for await (const outcome of batch) {
      if (outcome.state === "failed")
        throw new UserError("stage_failed", `Job ${id.slice(0, 12)} failed: ${outcome.error}`);
      code = outcome.result.exit_code;
    }
    output.result({ quiet: id, json: { id, exit_code: code ?? null } });
    if (code !== undefined) process.exitCode = code;
    else if (stopping.signal.aborted) process.exitCode = stopping.exitCode();
  },
});
