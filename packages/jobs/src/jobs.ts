// The one interface: a batch of jobs in, results as they come. Who submits does not know where the work is done.
import { Readable } from "node:stream";
import type { Job, Kind } from "./kind.js";

export interface Jobs extends AsyncDisposable {
  /** Begins at once. A payload that is not of the kind is a ZodError. */
  submit<P, R>(kind: Kind<P, R>, jobs: readonly Job<P>[]): Batch<R>;
  /** Ends what was submitted and not awaited, as by cancel(). */
  close(): Promise<void>;
}

/** Outcomes in the order in which they come, one for each job of the batch; read once. */
export interface Batch<R> extends AsyncIterable<Outcome<R>> {
  readonly ids: readonly string[];
  /** No outcome comes after it. Work under way is told; work that others asked for too goes on. */
  cancel(): Promise<void>;
  /** No outcome comes after it, and the jobs go on: with Redis, whoever submits them again finds what has come of them. Resolves once all are in the queue. */
  leave(): Promise<void>;
}

export type Outcome<R> = {
  /** Which job of the batch, from 0. */
  readonly place: number;
  readonly id: string;
} & (
  | { readonly state: "done"; readonly result: R }
  /** It was tried `tries` times, or took its workers with it. With Redis it stays in the list of failed jobs. */
  | { readonly state: "failed"; readonly error: string; readonly tries: number }
);

/** How often a job that throws is tried. */
export const TRIES = 3;

export type Fate =
  | { readonly state: "done"; readonly result: unknown }
  | { readonly state: "failed"; readonly error: string; readonly tries: number };

/** The outcomes of one batch: filled by an implementation, read by whoever submitted it. */
export class Outcomes<R> implements AsyncIterable<Outcome<R>> {
  readonly #stream = new Readable({ objectMode: true, read: () => undefined });
  readonly #ids: readonly string[];
  #left: number;

  constructor(ids: readonly string[]) {
    this.#ids = ids;
    this.#left = ids.length;
    // Whoever reads sees it.
    this.#stream.on("error", () => undefined);
    if (ids.length === 0) this.end();
  }

  get isOver(): boolean {
    return this.#left === 0;
  }

  settle(place: number, fate: Fate): void {
    if (this.isOver) return;
    this.#stream.push({ place, id: this.#ids[place], ...fate });
    if (--this.#left === 0) this.#stream.push(null);
  }

  end(): void {
    this.#left = 0;
    this.#stream.push(null);
  }

  fail(error: Error): void {
    this.#left = 0;
    this.#stream.destroy(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<Outcome<R>> {
    return this.#stream[Symbol.asyncIterator]();
  }
}
