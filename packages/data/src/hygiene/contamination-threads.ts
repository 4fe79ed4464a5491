/** Rows looked at on several threads. What is found is the same with any number of them, and comes in the order of the rows. */
import { Worker } from "node:worker_threads";
import { type Contamination, createContaminationFinder } from "./contamination.js";
import type { ContaminationRule } from "./contamination-rule.js";

export interface ContaminationOptions {
  /** Test items, as texts. */
  readonly items: readonly string[];
  readonly rule: ContaminationRule;
  readonly threads: number;
}

interface Pending {
  readonly resolve: (found: readonly Contamination[]) => void;
  readonly reject: (error: unknown) => void;
}

const BATCH = 32;

/** Yields what each row holds, with the row. Rows are read ahead by two batches a thread. */
export async function* findContamination<T>(
  rows: AsyncIterable<T>,
  textOf: (row: T) => string,
  { items, rule, threads }: ContaminationOptions,
): AsyncGenerator<readonly [T, Contamination]> {
  const team = threads === 1 ? onThisThread(items, rule) : onThreads(items, rule, threads);
  const ahead: (readonly [readonly T[], Promise<readonly Contamination[]>])[] = [];
  try {
    let batch: T[] = [];
    const send = (): void => {
      const found = team.find(batch.map(textOf));
      found.catch(() => undefined); // Thrown where it is awaited.
      ahead.push([batch, found]);
      batch = [];
    };
    async function* first() {
      const [sent, found] = ahead.shift()!;
      for (const [i, contamination] of (await found).entries()) yield [sent[i]!, contamination] as const;
    }
    for await (const row of rows) {
      if (batch.push(row) < BATCH) continue;
      send();
      if (ahead.length > 2 * threads) yield* first();
    }
    if (batch.length > 0) send();
    while (ahead.length > 0) yield* first();
  } finally {
    await team.close();
  }
}

function onThisThread(items: readonly string[], rule: ContaminationRule) {
  const find = createContaminationFinder(items, rule);
  return { find: async (texts: readonly string[]) => texts.map(find), close: async () => undefined };
}

function onThreads(items: readonly string[], rule: ContaminationRule, threads: number) {
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL("./contamination-worker.js", import.meta.url), {
      workerData: { items, rule },
    });
    const pending: Pending[] = [];
    const fail = (error: unknown): void => {
      for (const { reject } of pending.splice(0)) reject(error);
    };
    worker.on("message", (found: readonly Contamination[]) => pending.shift()?.resolve(found));
    worker.on("error", fail);
    worker.on("exit", (code) =>
      fail(new Error(`a thread that looks for test items ended with code ${code}`)),
    );
    return { worker, pending };
  });
  let turn = 0;
  return {
    find: (texts: readonly string[]) =>
      new Promise<readonly Contamination[]>((resolve, reject) => {
        const { worker, pending } = workers[turn++ % threads]!;
        pending.push({ resolve, reject });
        worker.postMessage(texts);
      }),
    close: async () => {
      await Promise.all(workers.map(({ worker }) => worker.terminate()));
    },
  };
}
