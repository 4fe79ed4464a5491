// Jobs done in this process, so many at once: nothing to install.
import { UserError } from "@posttrain/data";
import PQueue from "p-queue";
import { type Batch, type Fate, type Jobs, Outcomes, TRIES } from "./jobs.js";
import { type Handler, type Job, jobId, type Kind, rankOf } from "./kind.js";

interface Running {
  readonly fate: Promise<Fate>;
  readonly cancel: AbortController;
  /** Batches that wait for it. */
  wanted: number;
}

export function openJobsHere(
  handlers: readonly Handler[],
  { concurrency }: { readonly concurrency: number },
): Jobs {
  const queue = new PQueue({ concurrency });
  const running = new Map<string, Running>();
  const batches = new Set<{ cancel(): Promise<void> }>();
  const ending = new AbortController();

  function begin<P>(handler: Handler, id: string, job: Job<P>, payload: P): Running {
    const known = running.get(id);
    if (known !== undefined && !known.cancel.signal.aborted) {
      known.wanted++;
      return known;
    }
    const cancel = new AbortController();
    const run = (): Promise<Fate> => tried(handler, id, job, payload, cancel.signal, ending.signal);
    // p-queue takes higher ones first.
    const fate = queue.add(run, { priority: -rankOf(job) });
    const own: Running = { fate, cancel, wanted: 1 };
    running.set(id, own);
    void fate.finally(() => {
      if (running.get(id) === own) running.delete(id);
    });
    return own;
  }

  return {
    submit<P, R>(kind: Kind<P, R>, jobs: readonly Job<P>[]): Batch<R> {
      const handler = handlers.find((one) => one.kind.name === kind.name);
      if (handler === undefined) throw new Error(`nobody here does jobs of kind ${kind.name}`);
      const payloads = jobs.map(({ payload }) => kind.payload.parse(payload));
      const ids = jobs.map((job, i) => jobId(kind, { ...job, payload: payloads[i] as P }));
      const outcomes = new Outcomes<R>(ids);
      const own = jobs.map((job, i) => begin(handler, ids[i] as string, job, payloads[i] as P));
      for (const [place, { fate }] of own.entries()) void fate.then((known) => outcomes.settle(place, known));
      const batch = {
        ids,
        cancel: async () => {
          batches.delete(batch);
          if (outcomes.isOver) return;
          outcomes.end();
          for (const one of own) if (--one.wanted === 0) one.cancel.abort();
        },
        leave: async () => outcomes.end(),
        [Symbol.asyncIterator]: () => outcomes[Symbol.asyncIterator](),
      };
      batches.add(batch);
      void Promise.all(own.map(({ fate }) => fate)).then(() => batches.delete(batch));
      return batch;
    },
    close,
    [Symbol.asyncDispose]: close,
  };

  async function close(): Promise<void> {
    ending.abort();
    for (const batch of batches) await batch.cancel();
    await queue.onIdle();
  }
}

async function tried<P>(
  handler: Handler,
  id: string,
  { weights, seed }: Job<P>,
  payload: P,
  cancelled: AbortSignal,
  ending: AbortSignal,
): Promise<Fate> {
  const silent = { report: () => undefined, log: () => undefined };
  for (let tries = 1; ; tries++) {
    if (cancelled.aborted) return { state: "failed", error: "cancelled", tries: tries - 1 };
    try {
      const result = await handler.run(payload, { id, cancelled, ending, weights, seed, ...silent });
      return { state: "done", result: handler.kind.result.parse(result) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (tries >= TRIES || error instanceof UserError) return { state: "failed", error: message, tries };
    }
  }
}
