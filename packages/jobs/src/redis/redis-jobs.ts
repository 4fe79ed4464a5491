// Jobs done by workers, through BullMQ's queues in Redis, one for each kind. Events tell of results; now and then each job that is waited for is looked at, so that
// an event that was missed, a job that was lost with Redis, or one that somebody removed costs time and nothing else.
import { parseJson, stringifyJson } from "@posttrain/data";
import { QueueEvents } from "bullmq";
import { type Batch, type Fate, type Jobs, Outcomes, TRIES } from "../jobs.js";
import { type Job, jobId, type Kind, rankOf } from "../kind.js";
import { connectRedis, type RedisConnection } from "./connection.js";
import {
  cancelChannel,
  type JobData,
  KEPT_SECONDS,
  type KindQueue,
  keep,
  loadText,
  openQueue,
  partKey,
  type QueuedJob,
  removeJob,
  retryJob,
  storeText,
  sweep,
  textSchema,
} from "./queues.js";

/** Jobs that one call adds. */
const CHUNK = 256;
const LOOK_MS = 2000;
const KEEP_MS = 3_600_000;
/** Looking over all keys of a queue costs as much as many jobs. */
const KEEP_AGAIN_MS = 60_000;

interface Wanted {
  readonly job: Job<unknown>;
  readonly text: string;
  readonly kind: Kind<unknown, unknown>;
  readonly settle: Set<(fate: Fate) => void>;
}

/** UserError `bad_redis`, `no_redis`. */
export async function openRedisJobs(url: string): Promise<Jobs> {
  const connection = await connectRedis(url);
  const channels = new Map<string, Channel>();
  const batches = new Set<{ cancel(): Promise<void> }>();

  const channelOf = (kind: string): Channel => {
    const known = channels.get(kind) ?? new Channel(connection, kind);
    channels.set(kind, known);
    return known;
  };

  return {
    submit<P, R>(kind: Kind<P, R>, jobs: readonly Job<P>[]): Batch<R> {
      const channel = channelOf(kind.name);
      const checked = jobs.map((job) => ({ ...job, payload: kind.payload.parse(job.payload) }));
      const ids = checked.map((job) => jobId(kind, job));
      const outcomes = new Outcomes<R>(ids);
      const settlers = ids.map((_, place) => (fate: Fate): void => {
        outcomes.settle(place, fate);
        if (outcomes.isOver) batches.delete(batch);
      });
      const wanted = new Map<string, Wanted>();
      for (const [place, job] of checked.entries()) {
        const id = ids[place] as string;
        const own = wanted.get(id) ?? {
          ...{ job, text: stringifyJson(job.payload), settle: new Set() },
          kind: kind as Kind<unknown, unknown>,
        };
        own.settle.add(settlers[place] as (fate: Fate) => void);
        wanted.set(id, own);
      }
      const batch = {
        ids,
        cancel: async () => {
          batches.delete(batch);
          if (outcomes.isOver) return;
          outcomes.end();
          const unwanted = channel.forget(wanted);
          // What is being added must be there to be removed.
          await offered.catch(() => undefined);
          await channel.cancel(unwanted);
        },
        leave: async () => {
          await offered;
          batches.delete(batch);
          if (outcomes.isOver) return;
          outcomes.end();
          channel.forget(wanted);
        },
        [Symbol.asyncIterator]: () => outcomes[Symbol.asyncIterator](),
      };
      batches.add(batch);
      const offered = channel.offer(wanted);
      offered.catch((error: Error) => outcomes.fail(error));
      return batch;
    },
    close,
    [Symbol.asyncDispose]: close,
  };

  async function close(): Promise<void> {
    for (const batch of batches) await batch.cancel();
    for (const channel of channels.values()) await channel.close();
    connection.client.disconnect();
  }
}

class Channel {
  readonly #connection: RedisConnection;
  readonly #queue: KindQueue;
  readonly #events: QueueEvents;
  readonly #wanted = new Map<string, Wanted>();
  readonly #timers: readonly NodeJS.Timeout[];
  /** Looks at jobs, and removals of those whose results are here. */
  readonly #underway = new Set<Promise<unknown>>();
  /** The first jobs that are looked at next. */
  #looked = 0;
  #isLooking = false;
  /** When the expiry of all keys was put off last. */
  #kept = Number.NEGATIVE_INFINITY;

  constructor(connection: RedisConnection, kind: string) {
    this.#connection = connection;
    this.#queue = openQueue(connection, kind);
    this.#events = new QueueEvents(kind, {
      connection: connection.client.duplicate(),
      prefix: connection.address.prefix,
    });
    this.#events.on("error", () => undefined);
    this.#events.on("completed", ({ jobId: id, returnvalue }) => void this.#complete(id, returnvalue));
    this.#events.on("failed", ({ jobId: id }) => this.#track(this.#lookAt(id)));
    this.#timers = [
      setInterval(() => void this.#look(), LOOK_MS),
      setInterval(() => void keep(this.#queue, connection.client).catch(() => undefined), KEEP_MS),
    ];
  }

  /** Puts jobs into the queue that are not there, and takes results that are. */
  async offer(jobs: ReadonlyMap<string, Wanted>): Promise<void> {
    const ids: string[] = [];
    for (const [id, own] of jobs) {
      const known = this.#wanted.get(id);
      if (known === undefined) {
        // A set of its own: other batches that want the same job join it, and the first one's cancelling must not be theirs.
        this.#wanted.set(id, { ...own, settle: new Set(own.settle) });
        ids.push(id);
      } else for (const settle of own.settle) known.settle.add(settle);
    }
    await this.#events.waitUntilReady();
    for (let i = 0; i < ids.length; i += CHUNK) await this.#offerChunk(ids.slice(i, i + CHUNK));
    if (performance.now() - this.#kept < KEEP_AGAIN_MS) return;
    this.#kept = performance.now();
    await keep(this.#queue, this.#connection.client);
  }

  async #offerChunk(ids: readonly string[]): Promise<void> {
    const { client } = this.#connection;
    const missing: string[] = [];
    await Promise.all(
      ids.map(async (id) => {
        if (!this.#wanted.has(id)) return;
        const job = (await this.#queue.getJob(id)) as QueuedJob | undefined;
        if (job === undefined) missing.push(id);
        // Of an earlier run: what failed then is tried anew.
        else if (isFailed(job)) await retryJob(this.#queue, client, job);
        else {
          await client.del(partKey(this.#queue, id, "cancelled"));
          if (job.finishedOn !== undefined) await this.#complete(id, job.returnvalue);
        }
      }),
    );
    await this.#add(missing);
  }

  async #add(ids: readonly string[]): Promise<void> {
    const { client } = this.#connection;
    const entries = ids.flatMap((id) => {
      const own = this.#wanted.get(id);
      return own === undefined ? [] : [[id, own] as const];
    });
    const bulk = await Promise.all(
      entries.map(async ([id, { job, text, kind }]) => {
        await client.del(partKey(this.#queue, id, "cancelled"));
        const data: JobData = {
          payload: await storeText(client, partKey(this.#queue, id, "payload"), text),
          ...(job.weights !== undefined && { weights: job.weights }),
          ...(job.seed !== undefined && { seed: job.seed }),
        };
        return {
          name: job.label ?? kind.name,
          data,
          opts: {
            jobId: id,
            attempts: TRIES,
            backoff: { type: "fixed", delay: 500 },
            // 0 would be before all others.
            priority: rankOf(job) + 1,
            removeOnComplete: { age: KEPT_SECONDS },
            removeOnFail: { age: KEPT_SECONDS },
            keepLogs: 1000,
          },
        };
      }),
    );
    if (bulk.length === 0) return;
    await this.#queue.addBulk(bulk);
    const pipeline = client.pipeline();
    for (const [id] of entries) pipeline.expire(this.#queue.toKey(id), KEPT_SECONDS);
    await pipeline.exec();
  }

  /** Some of those that are waited for, in turn. */
  async #look(): Promise<void> {
    if (this.#isLooking || this.#wanted.size === 0) return;
    this.#isLooking = true;
    try {
      const ids = [...this.#wanted.keys()];
      const from = this.#looked < ids.length ? this.#looked : 0;
      const some = ids.slice(from, from + CHUNK);
      this.#looked = from + some.length;
      const looks = some.map((id) => this.#lookAt(id));
      for (const look of looks) this.#track(look);
      await Promise.all(looks);
    } catch {
      // Looked at again in a while.
    } finally {
      this.#isLooking = false;
    }
  }

  async #lookAt(id: string): Promise<void> {
    if (!this.#wanted.has(id)) return;
    const job = (await this.#queue.getJob(id)) as QueuedJob | undefined;
    if (job === undefined) await this.#add([id]);
    else if (job.finishedOn === undefined) return;
    else if (isFailed(job))
      this.#settle(id, { state: "failed", error: job.failedReason, tries: job.attemptsMade });
    else await this.#complete(id, job.returnvalue);
  }

  async #complete(id: string, returned: unknown): Promise<void> {
    const own = this.#wanted.get(id);
    if (own === undefined) return;
    const fate = await this.#read(own, returned);
    if (fate === undefined) return;
    this.#settle(id, fate);
    this.#track(removeJob(this.#queue, this.#connection.client, id));
  }

  async #atRest(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  /** What fails is tried again by the next look. */
  #track(work: Promise<unknown>): void {
    const ended = work.catch(() => undefined);
    this.#underway.add(ended);
    void ended.then(() => this.#underway.delete(ended));
  }

  /** Undefined: Redis has lost it, or was not to be had; it is looked at again. */
  async #read({ kind }: Wanted, returned: unknown): Promise<Fate | undefined> {
    try {
      const text = await loadText(this.#connection.client, textSchema.parse(returned));
      return { state: "done", result: kind.result.parse(parseJson(text)) };
    } catch (error) {
      return { state: "failed", error: `its result cannot be read: ${(error as Error).message}`, tries: 1 };
    }
  }

  #settle(id: string, fate: Fate): void {
    const own = this.#wanted.get(id);
    this.#wanted.delete(id);
    for (const settle of own?.settle ?? []) settle(fate);
  }

  /** Returns those that nobody here waits for any more. */
  forget(jobs: ReadonlyMap<string, Wanted>): readonly string[] {
    const ids: string[] = [];
    for (const [id, { settle }] of jobs) {
      const own = this.#wanted.get(id);
      if (own === undefined) continue;
      for (const one of settle) own.settle.delete(one);
      if (own.settle.size > 0) continue;
      this.#wanted.delete(id);
      ids.push(id);
    }
    return ids;
  }

  async cancel(ids: readonly string[]): Promise<void> {
    await this.#atRest();
    // Wanted again meanwhile, maybe.
    const unwanted = ids.filter((id) => !this.#wanted.has(id));
    await cancelJobs(this.#queue, this.#connection, unwanted);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#atRest();
    const { client } = this.#connection;
    if (client.status === "ready") {
      await keep(this.#queue, client);
      await sweep(this.#queue, client);
    }
    await this.#events.close();
    await this.#queue.close();
  }
}

/** Takes jobs out of the queue and tells the workers that have some; resolves to the ids of these. None is begun any more. */
export async function cancelJobs(
  queue: KindQueue,
  { client }: RedisConnection,
  ids: readonly string[],
): Promise<readonly string[]> {
  await Promise.all(ids.map((id) => client.set(partKey(queue, id, "cancelled"), "1", "EX", KEPT_SECONDS)));
  const removed = await Promise.all(ids.map((id) => removeJob(queue, client, id)));
  const held = ids.filter((_, i) => !removed[i]);
  for (const id of held) await client.publish(cancelChannel(queue), id);
  return held;
}

const isFailed = (job: QueuedJob): boolean => job.finishedOn !== undefined && Boolean(job.failedReason);
