// posttrain worker: takes jobs of the kinds that it is started for from Redis, until it is asked to stop.
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "@posttrain/data";
import { type Handler, openWorker, type WorkerEvent } from "@posttrain/jobs";
import type { Device } from "@posttrain/kernels";
import { weightsAt, weightsInFolder } from "@posttrain/model";
import { openScoringWorker } from "@posttrain/reward-model";
import { openRolloutWorker, type RolloutWorker } from "@posttrain/rollout";
import { isModulePath, type OwnVerifier, openGradingWorker, openOwnVerifier } from "@posttrain/verify";
import { z } from "zod";
import { defineCommand, type RunContext } from "../command.js";
import { plural } from "../format.js";
import { createOutput } from "../output.js";
import { stageHandlers } from "../pipeline/stage-jobs.js";
import { redisUrl } from "../redis-option.js";
import { stopOnSignal } from "../stopping.js";
import { openMachine } from "../with-model.js";

const kinds = ["grade", "rollout", "score", "stage"] as const;

const options = z.strictObject({
  redis: redisUrl,
  kinds: z.array(z.enum(kinds)).min(1).describe("jobs that it takes, and no others"),
  concurrency: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe("jobs of each kind at once (default: one per core)"),
  verifier: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "modules of your own that runs may grade with, ./FILE.mjs or ./FILE.py: no job brings its code along",
    ),
  folder: z
    .string()
    .min(1)
    .default(".")
    .describe(
      "the folder that the machines share, with the files of stages and reward models; paths in jobs are relative to it",
    ),
  weights_dir: z
    .string()
    .min(1)
    .optional()
    .describe("of rollouts: the folder in which runs publish their weights, as --weights_dir there"),
  weights_url: z
    .string()
    .min(1)
    .optional()
    .describe(
      "of rollouts, in place of weights_dir: where a run serves its weights (--serve_weights there), http://HOST:PORT; a token is POSTTRAIN_WEIGHTS_TOKEN",
    ),
  weights_cache: z
    .string()
    .min(1)
    .optional()
    .describe(
      "folder, of this worker alone, that keeps what was fetched from weights_url; default: a temporary one, removed at the end",
    ),
  weights_cache_gb: z
    .number()
    .nonnegative()
    .default(20)
    .describe("most gigabytes of it, beside the weights at hand"),
  timeout_seconds: z
    .number()
    .positive()
    .max(86_400)
    .default(10)
    .describe("wall time of such a module for one response"),
  lock_seconds: z
    .int()
    .min(2)
    .max(3600)
    .default(60)
    .describe("a worker that is silent for so long has lost its jobs to others"),
  once: z.boolean().default(false).describe("end when there is nothing left to do: for cron and autoscalers"),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  options,
  examples: [
    ["npx posttrain worker --redis redis://localhost --kinds grade", "grades what runs submit, until Ctrl-C"],
    [
      "npx posttrain worker --redis redis://localhost --kinds rollout,grade --weights_dir /mnt/weights",
      "samples for runs with the weights that they publish, and grades",
    ],
    [
      "npx posttrain worker --redis redis://localhost --kinds stage --folder /mnt/runs --threads 8 --once",
      "runs stages that were submitted, until nothing is left to do",
    ],
  ],
  notes:
    "Give Redis' URL as POSTTRAIN_REDIS where it has a password. Of kind rollout it samples jobs that it has at once (--concurrency) together, on --device. SIGTERM and Ctrl-C let grading, sampling and scoring under way end, have stages save a checkpoint and give them back, and take no more; a second Ctrl-C ends at once, and other workers do " +
    "its jobs again after lock_seconds. A job that takes its worker with it three times counts as failed (posttrain jobs failed). Programs that models wrote run in the sandbox of this machine alone, as " +
    'with posttrain verify, which proves it first. --json prints {"done", "failed", "given_back"} at the end.',
  run: async (given, context) => {
    const output = createOutput(context, process.stdout);
    using stopping = stopOnSignal(() => output.say("Stopping after the jobs under way ..."));
    const counts = { done: 0, failed: 0, given_back: 0 };
    const progress = output.progress();
    let under_way = 0;
    const watch = (event: WorkerEvent): void => {
      if (event.event === "begun") under_way++;
      if (event.event === "done" || event.event === "failed" || event.event === "given back") under_way--;
      if (event.event === "done") counts.done++;
      if (event.event === "failed") counts.failed++;
      if (event.event === "given back") counts.given_back++;
      const text = sentenceOf(event);
      if (text !== undefined) {
        progress.end();
        output.say(text);
      }
      progress.show(() => `${plural(counts.done, "job")} done, ${Math.max(0, under_way)} under way`);
    };
    const concurrency = given.concurrency ?? availableParallelism();
    await using work = await openHandlers(given, concurrency, context);
    stopping.begin();
    const worker = await openWorker(given.redis, work.handlers, {
      concurrency,
      lockSeconds: given.lock_seconds,
      watch,
    });
    output.say(`Takes ${given.kinds.join(", ")}, ${concurrency} at once.`);
    const stopped = new Promise<void>((resolve) =>
      stopping.signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    await Promise.race([stopped, ...(given.once ? [worker.idle()] : [])]);
    await worker.close();
    progress.end();
    output.say(`${plural(counts.done, "job")} done, ${counts.failed} failed.`);
    output.result({ quiet: String(counts.done), json: counts });
  },
});

function sentenceOf(event: WorkerEvent): string | undefined {
  switch (event.event) {
    case "failed":
      return `${event.kind} ${event.id.slice(0, 12)} failed: ${event.error}`;
    case "stalled":
      return `${event.kind} ${event.id.slice(0, 12)} was taken back from a worker that had fallen silent.`;
    case "lock lost":
      return `${event.kind} ${event.id.slice(0, 12)} was lost to another worker: this one was silent for too long.`;
    case "given back":
      return `${event.kind} ${event.id.slice(0, 12)} was given back: another worker goes on with it.`;
    case "trouble":
      return `Redis: ${event.error}`;
    default:
      return undefined;
  }
}

interface Work extends AsyncDisposable {
  readonly handlers: readonly Handler[];
}

async function openHandlers(given: Options, concurrency: number, context: RunContext): Promise<Work> {
  const named = given.verifier.find((file) => !isModulePath(file));
  if (named !== undefined)
    throw new UserError(
      "bad_option",
      `--verifier ${named}: posttrain's own verifiers need not be named. Give the path of a module of your own, ./FILE.mjs or ./FILE.py.`,
    );
  const own: OwnVerifier[] = [];
  for (const file of given.verifier)
    own.push(await openOwnVerifier(file, { concurrency, timeoutSeconds: given.timeout_seconds }));
  const grading = openGradingWorker(own, { concurrency });
  const machine = (["device", "threads", "cpu_path"] as const).flatMap((name) =>
    context[name] === undefined ? [] : [`--${name}`, String(context[name])],
  );
  const rollouts = given.kinds.includes("rollout") ? await openRollouts(given, context) : undefined;
  let device: Device | undefined;
  const scoring = openScoringWorker(given.folder, () => {
    device ??= openMachine(context);
    return device;
  });
  const all = {
    grade: grading.handler,
    rollout: rollouts?.handler as Handler,
    score: scoring.handler,
    stage: stageHandlers({
      ...{ folder: resolve(given.folder), machine, modules: given.verifier, redis: given.redis },
    }),
  };
  return {
    handlers: [...new Set(given.kinds)].flatMap((kind) => all[kind]),
    [Symbol.asyncDispose]: async () => {
      await grading[Symbol.asyncDispose]();
      await rollouts?.[Symbol.asyncDispose]();
      await scoring[Symbol.asyncDispose]();
      await device?.close();
      for (const one of own) await one.close();
    },
  };
}

/** With a device of its own. UserError where no place of weights is named. */
async function openRollouts(given: Options, machine: RunContext): Promise<RolloutWorker> {
  const { weights_dir: dir, weights_url: url, weights_cache_gb: gigabytes } = given;
  if ((dir === undefined) === (url === undefined))
    throw new UserError(
      "bad_option",
      "A worker of kind rollout needs --weights_dir, the folder in which runs publish their weights, or --weights_url, where a run serves them; one of the two.",
    );
  const own =
    url !== undefined && given.weights_cache === undefined
      ? await mkdtemp(join(tmpdir(), "posttrain-weights-cache-"))
      : undefined;
  const weights =
    url === undefined
      ? weightsInFolder(dir!)
      : weightsAt({
          url,
          token: process.env["POSTTRAIN_WEIGHTS_TOKEN"] || undefined,
          cache: given.weights_cache ?? own!,
          cacheBytes: gigabytes * 1e9,
        });
  const device = openMachine(machine);
  const worker = openRolloutWorker({ device, weights });
  return {
    handler: worker.handler,
    [Symbol.asyncDispose]: async () => {
      await worker[Symbol.asyncDispose]();
      await device.close();
      if (own !== undefined) await rm(own, { recursive: true, force: true });
    },
  };
}
