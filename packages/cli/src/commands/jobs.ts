// posttrain jobs ...: what is in Redis, by whom it is done, and what to do about it.
import { type JobState, type JobsAdmin, type JobView, openJobsAdmin } from "@posttrain/jobs";
import { z } from "zod";
import { columns } from "../columns.js";
import { defineCommand, type RunContext } from "../command.js";
import { duration, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { redisUrl } from "../redis-option.js";
import { visible } from "../visible.js";

const redis = { redis: redisUrl };
const one = z.strictObject({
  id: z.string().min(1).describe("of the job, or how it begins (posttrain jobs list)"),
  ...redis,
});

/** Help, options and a function of Redis: all that these commands are. */
function onJobs<S extends z.ZodObject>(
  options: S,
  example: readonly [string, string],
  run: (admin: JobsAdmin, options: z.output<S>, output: Output, context: RunContext) => Promise<void>,
) {
  return defineCommand({
    options,
    ...(Object.hasOwn(options.shape, "id") && { argument: "id" }),
    examples: [example],
    notes:
      "Redis' URL is --redis or POSTTRAIN_REDIS. A job's id follows from what it holds; its beginning is enough.",
    run: async (given, context) => {
      const output = createOutput(context, process.stdout);
      await using admin = await openJobsAdmin((given as { readonly redis: string }).redis);
      await run(admin, given, output, context);
    },
  });
}

export const list = onJobs(
  z.strictObject({
    state: z
      .array(z.enum(["active", "waiting", "failed", "done"]))
      .default(["active", "waiting"])
      .describe("only jobs in these states"),
    limit: z.int().min(1).max(10_000).default(20).describe("at most so many of each kind and state"),
    ...redis,
  }),
  ["npx posttrain jobs list", "what is done by whom, and what waits"],
  async (admin, { state, limit }, output) => {
    const [jobs, counts] = [await admin.list(state as JobState[], limit), await admin.counts()];
    for (const [kind, { active, waiting, failed, done }] of Object.entries(counts))
      output.print(
        `${kind}: ${active} under way, ${waiting} waiting, ${failed} failed, ${done} done and not taken`,
      );
    if (jobs.length > 0) output.print(`\n${table(jobs)}`);
    else if (Object.keys(counts).length === 0) output.print("No jobs.");
    output.result({ quiet: jobs.map(({ id }) => id).join("\n"), json: { counts, jobs } });
  },
);

export const failed = onJobs(
  z.strictObject({
    clear: z.boolean().default(false).describe("remove them"),
    ...redis,
  }),
  ["npx posttrain jobs failed", "the dead letters: what failed on every worker that tried it, and why"],
  async (admin, { clear }, output) => {
    const jobs = await admin.list(["failed"], 10_000);
    if (jobs.length > 0) output.print(table(jobs));
    for (const { id, error = "" } of jobs) output.print(`\n${id.slice(0, 12)}  ${error}`);
    const removed = clear ? await admin.clear() : undefined;
    output.say(
      removed === undefined ? `${plural(jobs.length, "job")} failed.` : `${plural(removed, "job")} removed.`,
    );
    output.result({ quiet: jobs.map(({ id }) => id).join("\n"), json: { jobs, removed: removed ?? 0 } });
  },
);

export const show = onJobs(
  one,
  ["npx posttrain jobs show 3f2a", "a job with its payload"],
  async (admin, { id }, output) => {
    const job = await admin.show(id);
    output.table([
      ["job", job.id],
      ["kind", job.kind],
      ["label", job.label],
      ["state", `${job.state}, tried ${plural(job.tries, "time")}`],
      ["worker", job.worker ?? "none yet"],
      ["progress", progressOf(job)],
      ...(job.error === undefined ? [] : [["error", job.error] as const]),
    ]);
    output.print(`\n${job.payload}`);
    output.result({ quiet: visible(job.payload), json: job });
  },
);

export const logs = onJobs(
  one,
  ["npx posttrain jobs logs 3f2a", "what a job has said"],
  async (admin, { id }, output) => {
    const lines = await admin.logs(id);
    output.print(lines.join("\n"));
    output.result({ quiet: lines.join("\n"), json: { lines } });
  },
);

export const cancel = onJobs(
  one,
  ["npx posttrain jobs cancel 3f2a", "takes it out of the queue, or tells the worker that has it"],
  async (admin, { id }, output) => {
    const fate = await admin.cancel(id);
    output.say(fate === "removed" ? "Removed." : "Its worker is told.");
    output.result({ quiet: fate, json: { cancelled: fate } });
  },
);

export const retry = onJobs(
  one,
  ["npx posttrain jobs retry 3f2a", "a failed job once more, from its first try"],
  async (admin, { id }, output) => {
    await admin.retry(id);
    output.say("Back in its queue.");
    output.result({ json: { retried: id } });
  },
);

export const drain = onJobs(
  z.strictObject(redis),
  ["npx posttrain jobs drain", "removes all that waits; what is under way goes on"],
  async (admin, _, output) => {
    const removed = await admin.drain();
    output.say(
      `${plural(removed, "job")} removed. A run that still waits for one submits it again: stop the run first.`,
    );
    output.result({ quiet: String(removed), json: { removed } });
  },
);

function table(jobs: readonly JobView[]): string {
  const head = ["job", "kind", "state", "label", "worker", "progress", "for"];
  return columns(
    [
      head,
      ...jobs.map((job) => [
        ...[job.id.slice(0, 12), job.kind, job.state, job.label, job.worker ?? ""],
        ...[progressOf(job), duration(((job.ended ?? Date.now()) - (job.begun ?? job.submitted)) / 1000)],
      ]),
    ],
    head.length,
  );
}

/** "120 of 800 steps, 5 min 3 s left". */
function progressOf({ progress, begun, state }: JobView): string {
  if (progress === undefined) return "";
  const { done, total, of } = progress;
  const seconds = (Date.now() - (begun ?? Date.now())) / 1000;
  const left = state === "active" && done > 0 ? `, ${duration((seconds / done) * (total - done))} left` : "";
  return `${done} of ${total} ${of}${left}`;
}
