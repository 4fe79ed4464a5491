// The names in Redis. PREFIX:KIND:ID is a job (a hash), PREFIX:KIND:wait, active, prioritized, completed, failed and so on are BullMQ's lists of ids,
// PREFIX:KIND:ID:payload and PREFIX:KIND:ID:result what is too long for a hash, PREFIX:KIND:ID:cancelled that nobody wants it any more.
// Whoever uses a queue puts off the expiry of its keys; after the last of them they are gone in KEPT_SECONDS.
import { createHash } from "node:crypto";
import { UserError } from "@posttrain/data";
import { type Job as BullJob, Queue } from "bullmq";
import type { Redis } from "ioredis";
import { z } from "zod";
import type { RedisConnection } from "./connection.js";

/** Of every key, since its queue was used last. */
export const KEPT_SECONDS = 14 * 86_400;
/** Longer text is kept in a key of its own, not in the hash of its job nor in the stream of events. */
const INLINE_BYTES = 16_384;
/** The largest payload or result. */
const MOST_BYTES = 64 * 2 ** 20;

/** Text in a job: itself, or the key that holds it with the SHA-256 that it must have. */
export const textSchema = z.union([
  z.strictObject({ text: z.string() }),
  z.strictObject({ key: z.string(), sha256: z.string() }),
]);
export type StoredText = z.infer<typeof textSchema>;

export const jobDataSchema = z.strictObject({
  payload: textSchema,
  weights: z.string().optional(),
  seed: z.number().optional(),
});
export type JobData = z.infer<typeof jobDataSchema>;
export type QueuedJob = BullJob<JobData, StoredText>;
export type KindQueue = Queue<JobData, StoredText>;

export function openQueue({ client, address }: RedisConnection, kind: string): KindQueue {
  const queue: KindQueue = new Queue(kind, {
    connection: client,
    prefix: address.prefix,
    // Events are for who waits now.
    streams: { events: { maxLen: 1000 } },
  });
  queue.on("error", () => undefined);
  return queue;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What a job has besides its hash. */
export const partKey = (queue: Named, id: string, part: "payload" | "result" | "cancelled"): string =>
  queue.toKey(`${id}:${part}`);

interface Named {
  toKey(type: string): string;
}

/** Where workers hear of it at once. */
export const cancelChannel = (queue: Named): string => queue.toKey("cancel");

/**
 * Inline, or under `key`, where the first writer wins: of two workers that did one job both give out the same result. Throws Error for text that no job may hold.
 */
export async function storeText(client: Redis, key: string, text: string): Promise<StoredText> {
  const bytes = Buffer.byteLength(text);
  if (bytes <= INLINE_BYTES) return { text };
  if (bytes > MOST_BYTES)
    throw new UserError(
      "too_long",
      `${bytes} bytes are more than a job may hold (${MOST_BYTES}): make smaller batches.`,
    );
  const isFirst = (await client.set(key, text, "EX", KEPT_SECONDS, "NX")) === "OK";
  return { key, sha256: sha256(isFirst ? text : ((await client.get(key)) ?? text)) };
}

/** Throws Error where the text is gone or another one. */
export async function loadText(client: Redis, stored: StoredText): Promise<string> {
  if ("text" in stored) return stored.text;
  const text = await client.get(stored.key);
  if (text === null) throw new Error(`${stored.key} is gone from Redis`);
  if (sha256(text) !== stored.sha256) throw new Error(`${stored.key} is not what its job says`);
  return text;
}

/** The job and what belongs to it. False: a worker holds it. */
export async function removeJob(queue: KindQueue, client: Redis, id: string): Promise<boolean> {
  if ((await queue.remove(id)) !== 1) return false;
  await client.del(...(["payload", "result", "cancelled"] as const).map((part) => partKey(queue, id, part)));
  return true;
}

/** Once more, from the first try. */
export async function retryJob(queue: KindQueue, client: Redis, job: QueuedJob): Promise<void> {
  const id = job.id as string;
  await client.del(partKey(queue, id, "result"), partKey(queue, id, "cancelled"));
  await job.retry(job.failedReason === undefined ? "completed" : "failed", {
    resetAttemptsMade: true,
    resetAttemptsStarted: true,
  });
}

/** Keys of BullMQ's that expire by themselves, as they must: locks of jobs and of the search for stalled ones. */
const ownExpiry = /:(lock|stalled-check|limiter)$/;

/** Puts off the expiry of all other keys of a queue. */
export async function keep(queue: KindQueue, client: Redis): Promise<void> {
  for (let cursor = "0"; ; ) {
    const [next, keys] = await client.scan(cursor, "MATCH", queue.toKey("*"), "COUNT", 1000);
    const pipeline = client.pipeline();
    for (const key of keys) if (!ownExpiry.test(key)) pipeline.expire(key, KEPT_SECONDS);
    await pipeline.exec();
    cursor = next;
    if (cursor === "0") return;
  }
}

const HELD = [
  "wait",
  "paused",
  "active",
  "prioritized",
  "delayed",
  "completed",
  "failed",
  "waiting-children",
];
const OWN = ["meta", "events", "id", "marker", "stalled", "stalled-check", "pc", "limiter"];
const sweepScript = `
for i = 1, ${HELD.length} do if redis.call("EXISTS", KEYS[i]) == 1 then return 0 end end
for i = ${HELD.length + 1}, #KEYS do redis.call("DEL", KEYS[i]) end
return 1`;

/** Removes what a queue without jobs has left. Whoever still uses it makes it anew. */
export async function sweep(queue: KindQueue, client: Redis): Promise<void> {
  const keys = [...HELD, ...OWN].map((name) => queue.toKey(name));
  await client.eval(sweepScript, keys.length, ...keys);
}
