// A worker: takes jobs of the kinds that it has handlers for, and no others. Its lock on a job is renewed by the event loop, so a handler works elsewhere: in processes,
// or on the kernels' threads. A worker that has lost its lock, because it was stopped or cut off for longer than it holds, is told so and its result is refused by
// BullMQ: the lock is a token of its own.
import { hostname } from "node:os";
import { parseJson, shortened, stringifyJson, UserError } from "@posttrain/data";
import { UnrecoverableError, WaitingError, Worker } from "bullmq";
import { GivenBack, type Handler, jobId } from "../kind.js";
import { connectRedis } from "./connection.js";
import {
  cancelChannel,
  jobDataSchema,
  type KindQueue,
  keep,
  loadText,
  openQueue,
  partKey,
  type QueuedJob,
  removeJob,
  type StoredText,
  storeText,
  sweep,
} from "./queues.js";

export interface WorkerOptions {
  /** Jobs at once, of each kind. */
  readonly concurrency: number;
  /** How long a job is a worker's without a word from it. Default: 60. */
  readonly lockSeconds?: number;
  readonly watch?: (event: WorkerEvent) => void;
}

export type WorkerEvent =
  | {
      readonly event: "begun" | "done" | "given back";
      readonly kind: string;
      readonly id: string;
      readonly label: string;
    }
  | { readonly event: "failed"; readonly kind: string; readonly id: string; readonly error: string }
  /** Another worker has it by now, or nobody: this one's result counts for nothing. */
  | { readonly event: "lock lost"; readonly kind: string; readonly id: string }
  /** It was taken from a worker that said nothing for too long. */
  | { readonly event: "stalled"; readonly kind: string; readonly id: string }
  /** Redis, mostly. It goes on. */
  | { readonly event: "trouble"; readonly error: string };

export interface JobsWorker extends AsyncDisposable {
  /** Resolves once there has been nothing to do for any kind, and nothing is under way. */
  idle(): Promise<void>;
  /** Takes no more jobs, lets those under way end or be given back, and is gone. */
  close(): Promise<void>;
}

const LOCK_SECONDS = 60;
/** So often a job may take its worker with it before it counts as failed. */
const MOST_STALLED = 2;
const KEEP_MS = 3_600_000;

/** UserError `bad_redis`, `no_redis`. */
export async function openWorker(
  url: string,
  handlers: readonly Handler[],
  { concurrency, lockSeconds = LOCK_SECONDS, watch = () => undefined }: WorkerOptions,
): Promise<JobsWorker> {
  const connection = await connectRedis(url);
  const { client, address } = connection;
  const ending = new AbortController();
  const listener = client.duplicate();
  listener.on("error", () => undefined);
  const trouble = (error: Error): void => watch({ event: "trouble", error: error.message });
  const open = handlers.map((handler) => begin(handler));
  await listener.subscribe(...open.map(({ queue }) => cancelChannel(queue)));
  listener.on("message", (channel, id) => {
    for (const { queue, worker } of open)
      if (cancelChannel(queue) === channel) worker.cancelJob(id, "cancelled");
  });
  const keepAll = async (): Promise<void> => {
    for (const { queue } of open) await keep(queue, client);
  };
  const timer = setInterval(() => void keepAll().catch(trouble), KEEP_MS);
  await Promise.all(open.map(({ worker }) => worker.waitUntilReady()));

  function begin(handler: Handler) {
    const kind = handler.kind.name;
    const queue = openQueue(connection, kind);
    const options = {
      connection: client,
      prefix: address.prefix,
      name: `${hostname()}:${process.pid}`,
      concurrency,
      lockDuration: lockSeconds * 1000,
      // Four chances, were one late.
      lockRenewTime: lockSeconds * 250,
      stalledInterval: lockSeconds * 500,
      maxStalledCount: MOST_STALLED,
    };
    // BullMQ gives a signal to functions of three parameters.
    const process_ = (job: QueuedJob, token?: string, signal?: AbortSignal): Promise<StoredText> =>
      perform(queue, handler, job, token as string, signal as AbortSignal);
    const worker = new Worker(kind, process_, options);
    worker.on("error", trouble);
    worker.on("lockRenewalFailed", (ids) => {
      for (const id of ids) {
        watch({ event: "lock lost", kind, id });
        worker.cancelJob(id, "its lock is lost");
      }
    });
    worker.on("stalled", (id) => watch({ event: "stalled", kind, id }));
    worker.on("completed", ({ id = "", name }) => watch({ event: "done", kind, id, label: name }));
    worker.on("failed", (job, { message }) => {
      const id = job?.id ?? "";
      watch({ event: "failed", kind, id, error: message });
      if (message === CANCELLED) void removeJob(queue, client, id).catch(trouble);
    });
    return { queue, worker };
  }

  async function perform(
    queue: KindQueue,
    { kind, run }: Handler,
    job: QueuedJob,
    token: string,
    signal: AbortSignal,
  ): Promise<StoredText> {
    const id = job.id as string;
    if ((await client.exists(partKey(queue, id, "cancelled"))) === 1) throw new UnrecoverableError(CANCELLED);
    watch({ event: "begun", kind: kind.name, id, label: job.name });
    const { payload, weights, seed } = await readJob(job, kind, id);
    try {
      const result = await run(payload, {
        ...{ id, weights, seed, cancelled: signal, ending: ending.signal },
        report: (progress) => void job.updateProgress({ ...progress }).catch(trouble),
        log: (line) => void job.log(line).catch(trouble),
      });
      if (signal.aborted) throw new UnrecoverableError(String(signal.reason));
      return await storeText(client, partKey(queue, id, "result"), stringifyJson(kind.result.parse(result)));
    } catch (error) {
      if (signal.aborted) throw new UnrecoverableError(String(signal.reason));
      if (error instanceof GivenBack) {
        await job.moveToWait(token);
        watch({ event: "given back", kind: kind.name, id, label: job.name });
        throw new WaitingError();
      }
      if (error instanceof UserError) throw new UnrecoverableError(error.message);
      throw new Error(shortened(error instanceof Error ? error.message : String(error), 2000));
    }
  }

  /** What a job says of itself, which is nobody's word: of the right kind, and what its name says. */
  async function readJob(job: QueuedJob, kind: Handler["kind"], id: string) {
    const data = jobDataSchema.safeParse(job.data);
    if (!data.success) throw new UnrecoverableError("it is no job of posttrain");
    const { payload: stored, weights, seed } = data.data;
    const payload = kind.payload.safeParse(parseJson(await loadText(client, stored)));
    if (!payload.success)
      throw new UnrecoverableError(
        `its payload is not that of a job of kind ${kind.name}: ${payload.error.message}`,
      );
    const named = {
      payload: payload.data,
      ...(weights !== undefined && { weights }),
      ...(seed !== undefined && { seed }),
    };
    if (jobId(kind, named) !== id)
      throw new UnrecoverableError("its payload is not the one that its id names");
    return { payload: payload.data, weights, seed };
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    ending.abort();
    await Promise.all(open.map(({ worker }) => worker.close()));
    for (const { queue } of open) {
      if (client.status === "ready") {
        await keep(queue, client);
        await sweep(queue, client);
      }
      await queue.close();
    }
    listener.disconnect();
    client.disconnect();
  }

  return {
    idle: async () => {
      for (const { worker, queue } of open) {
        for (;;) {
          const counts = await queue.getJobCounts("wait", "prioritized", "delayed", "active");
          if (Object.values(counts).every((count) => count === 0)) break;
          await new Promise((resolve) => {
            const again = setTimeout(resolve, 500);
            worker.once("drained", () => {
              clearTimeout(again);
              resolve(undefined);
            });
          });
        }
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const CANCELLED = "cancelled";
