// What a job is: a kind with the shape of its payload and its result, and a name that follows from what it holds. A job that was lost, done twice or asked for
// again has the same name, so it is the same job.
import { createHash } from "node:crypto";
import { canonicalJson } from "@posttrain/data";
import type { z } from "zod";

export interface Kind<P, R> {
  /** Lower-case letters and hyphens: the queue in Redis, and what `posttrain worker --kinds` takes. */
  readonly name: string;
  readonly payload: z.ZodType<P>;
  readonly result: z.ZodType<R>;
}

/** Keeps the types of the two schemas. */
export function defineKind<P, R>(kind: Kind<P, R>): Kind<P, R> {
  return kind;
}

export interface Job<P> {
  /** JSON: what the work is a function of. */
  readonly payload: P;
  /** SHA-256 of the weights that it needs. */
  readonly weights?: string;
  readonly seed?: number;
  /** Lower ones first, from 0; a hint only: results may come in any order. Default: after all that have one. */
  readonly rank?: number;
  /** For people who look at the queue. */
  readonly label?: string;
}

/** BullMQ's priorities end at 2^21. */
const LAST_RANK = 2 ** 20;

export const rankOf = ({ rank = LAST_RANK }: Pick<Job<unknown>, "rank">): number => Math.min(rank, LAST_RANK);

/** 32 hex digits, by content: kind, payload, weights and seed. */
export function jobId<P>(
  { name }: Pick<Kind<P, unknown>, "name">,
  { payload, weights, seed }: Pick<Job<P>, "payload" | "weights" | "seed">,
): string {
  const text = canonicalJson({ kind: name, payload, weights: weights ?? null, seed: seed ?? null });
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** What a handler is told besides its payload. */
export interface JobContext {
  readonly id: string;
  /** The job was cancelled, or is another worker's by now: what is done from here on is for nobody. */
  readonly cancelled: AbortSignal;
  /** The worker is to end. A handler that works for long saves what it has and throws GivenBack; others end their job. */
  readonly ending: AbortSignal;
  readonly weights: string | undefined;
  readonly seed: number | undefined;
  /** For `posttrain jobs`: how far it is. */
  report(progress: JobProgress): void;
  /** A line of the job's log. */
  log(line: string): void;
}

export interface JobProgress {
  readonly done: number;
  readonly total: number;
  /** What is counted: "responses". */
  readonly of: string;
}

/** Does the jobs of one kind. */
export interface Handler {
  readonly kind: Kind<unknown, unknown>;
  run(payload: unknown, context: JobContext): Promise<unknown>;
}

/** `run` may be called twice for one job, and at the same time by two workers. What it throws is tried again, but for a UserError. */
export function defineHandler<P, R>(
  kind: Kind<P, R>,
  run: (payload: P, context: JobContext) => Promise<R>,
): Handler {
  return { kind, run: (payload, context) => run(payload as P, context) };
}

/** Thrown by a handler whose worker ends: the job goes back to its queue, and counts as not tried. */
export class GivenBack extends Error {
  override readonly name = "GivenBack";
}
