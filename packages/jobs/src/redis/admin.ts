// What is in Redis, for people: jobs of all kinds, by state; one looked at, cancelled, tried again.
import { UserError } from "@posttrain/data";
import { connectRedis } from "./connection.js";
import {
  jobDataSchema,
  type KindQueue,
  loadText,
  openQueue,
  type QueuedJob,
  removeJob,
  retryJob,
  sweep,
} from "./queues.js";
import { cancelJobs } from "./redis-jobs.js";

export type JobState = "active" | "waiting" | "failed" | "done";

const states = {
  active: ["active"],
  waiting: ["wait", "prioritized", "delayed"],
  failed: ["failed"],
  done: ["completed"],
} as const;

export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  readonly state: JobState;
  /** How often it was tried to the end. */
  readonly tries: number;
  /** HOST:PID of who has it, or had it last. */
  readonly worker?: string;
  readonly progress?: { readonly done: number; readonly total: number; readonly of: string };
  /** Milliseconds since 1970. */
  readonly submitted: number;
  readonly begun?: number;
  readonly ended?: number;
  readonly error?: string;
}

export interface JobsAdmin extends AsyncDisposable {
  /** At most `limit` of each kind and state. */
  list(wanted: readonly JobState[], limit?: number): Promise<readonly JobView[]>;
  counts(): Promise<Readonly<Record<string, Readonly<Record<JobState, number>>>>>;
  /** By the beginning of its id. UserError `no_such_job`. */
  show(id: string): Promise<JobView & { readonly payload: string }>;
  logs(id: string): Promise<readonly string[]>;
  /** `told`: a worker has it, and is told. */
  cancel(id: string): Promise<"removed" | "told">;
  retry(id: string): Promise<void>;
  /** Removes what waits; resolves to how many. */
  drain(): Promise<number>;
  /** Removes jobs that have failed. */
  clear(): Promise<number>;
}

const MOST = 10_000;

/** UserError `bad_redis`, `no_redis`. */
export async function openJobsAdmin(url: string): Promise<JobsAdmin> {
  const connection = await connectRedis(url);
  const { client, address } = connection;
  const opened = new Map<string, KindQueue>();

  async function queues(): Promise<readonly KindQueue[]> {
    for (let cursor = "0"; ; ) {
      const [next, keys] = await client.scan(cursor, "MATCH", `${address.prefix}:*:meta`, "COUNT", 1000);
      for (const key of keys) {
        const kind = key.slice(address.prefix.length + 1, -":meta".length);
        if (!opened.has(kind)) opened.set(kind, openQueue(connection, kind));
      }
      cursor = next;
      if (cursor === "0") break;
    }
    return [...opened.values()];
  }

  async function find(
    text: string,
  ): Promise<{ readonly queue: KindQueue; readonly job: QueuedJob; readonly state: JobState }> {
    const found: { queue: KindQueue; job: QueuedJob; state: JobState }[] = [];
    for (const queue of await queues())
      for (const state of Object.keys(states) as JobState[])
        for (const job of (await queue.getJobs([...states[state]], 0, MOST)) as QueuedJob[])
          if (job?.id?.startsWith(text)) found.push({ queue, job, state });
    const [first, second] = found;
    if (first === undefined)
      throw new UserError(
        "no_such_job",
        `Redis at ${address.shown} has no job ${text}. posttrain jobs list shows those there are.`,
      );
    if (second !== undefined)
      throw new UserError(
        "no_such_job",
        `${found.length} jobs begin with ${text}: ${found.map(({ job }) => job.id).join(", ")}. Give more of its id.`,
      );
    return first;
  }

  return {
    list: async (wanted, limit = 100) => {
      const views: JobView[] = [];
      for (const queue of await queues())
        for (const state of wanted)
          for (const job of (await queue.getJobs([...states[state]], 0, limit - 1)) as QueuedJob[])
            if (job !== undefined) views.push(viewOf(queue.name, state, job));
      return views;
    },
    counts: async () => {
      const all: Record<string, Record<JobState, number>> = {};
      for (const queue of await queues()) {
        const count = (state: JobState): Promise<number> => queue.getJobCountByTypes(...states[state]);
        const [active, waiting, failed, done] = await Promise.all([
          count("active"),
          count("waiting"),
          count("failed"),
          count("done"),
        ]);
        all[queue.name] = { active, waiting, failed, done };
      }
      return all;
    },
    show: async (id) => {
      const { queue, job, state } = await find(id);
      const data = jobDataSchema.safeParse(job.data);
      const payload = data.success ? await loadText(client, data.data.payload) : JSON.stringify(job.data);
      return { ...viewOf(queue.name, state, job), payload };
    },
    logs: async (id) => {
      const { queue, job } = await find(id);
      return (await queue.getJobLogs(job.id as string)).logs;
    },
    cancel: async (id) => {
      const { queue, job } = await find(id);
      const held = await cancelJobs(queue, connection, [job.id as string]);
      return held.length === 0 ? "removed" : "told";
    },
    retry: async (id) => {
      const { queue, job, state } = await find(id);
      if (state !== "failed" && state !== "done")
        throw new UserError(
          "bad_state",
          `Job ${job.id} is ${state}: only one that has ended can be tried again.`,
        );
      await retryJob(queue, client, job);
    },
    drain: async () => {
      let removed = 0;
      for (const queue of await queues())
        for (const job of (await queue.getJobs([...states.waiting], 0, MOST)) as QueuedJob[])
          if (await removeJob(queue, client, job.id as string)) removed++;
      return removed;
    },
    clear: async () => {
      let removed = 0;
      for (const queue of await queues())
        for (const job of (await queue.getJobs([...states.failed], 0, MOST)) as QueuedJob[])
          if (await removeJob(queue, client, job.id as string)) removed++;
      return removed;
    },
    [Symbol.asyncDispose]: async () => {
      for (const queue of opened.values()) {
        await sweep(queue, client);
        await queue.close();
      }
      client.disconnect();
    },
  };
}

function viewOf(kind: string, state: JobState, job: QueuedJob): JobView {
  const progress = typeof job.progress === "object" ? (job.progress as JobView["progress"]) : undefined;
  return {
    ...{
      id: job.id as string,
      kind,
      label: job.name,
      state,
      tries: job.attemptsMade,
      submitted: job.timestamp,
    },
    ...(job.processedBy !== undefined && { worker: job.processedBy }),
    ...(progress !== undefined && { progress }),
    ...(job.processedOn !== undefined && { begun: job.processedOn }),
    ...(job.finishedOn !== undefined && { ended: job.finishedOn }),
    ...(job.failedReason && { error: job.failedReason }),
  };
}
