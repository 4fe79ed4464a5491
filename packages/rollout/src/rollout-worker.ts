/**
 * The worker's side of sampling: jobs of kind rollout, done by one model on one device. Jobs that wait while others are sampled are sampled together next: what a response is depends on none
 * of its neighbours. The model is the one that was asked for last; the next one is read as far as it differs.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "@posttrain/data";
import { defineHandler, GivenBack, type Handler, type JobContext } from "@posttrain/jobs";
import type { Device } from "@posttrain/kernels";
import { generate, type HeldModel, loadPublished, type Model, type WeightsPlace } from "@posttrain/model";
import type { z } from "zod";
import { arithmeticOf, type RolloutPayload, type RolloutSequence, rolloutKind } from "./rollout-jobs.js";

export interface RolloutWorker extends AsyncDisposable {
  readonly handler: Handler;
}

export interface RolloutWorkerOptions {
  readonly device: Device;
  /** Where runs publish their weights. */
  readonly weights: WeightsPlace;
  /** How long weights are waited for that are not there yet: a network's folders show late what is new. Default: 60. */
  readonly patienceSeconds?: number;
}

interface Asked {
  readonly payload: RolloutPayload;
  readonly context: JobContext;
  readonly resolve: (result: z.output<typeof rolloutKind.result>) => void;
  readonly reject: (error: unknown) => void;
}

/** Whoever opened the device closes it, after this. */
export function openRolloutWorker({
  device,
  weights: place,
  patienceSeconds = 60,
}: RolloutWorkerOptions): RolloutWorker {
  const waiting: Asked[] = [];
  let held: HeldModel | undefined;
  let working: Promise<void> | undefined;

  async function work(): Promise<void> {
    // Jobs that a worker takes at once come in one turn or a few.
    await new Promise(setImmediate);
    try {
      for (let [first] = waiting; first !== undefined; [first] = waiting) {
        const key = togetherKey(first);
        await respond(take((one) => togetherKey(one) === key));
        dropUnwanted();
      }
    } finally {
      working = undefined;
    }
  }

  function take(isTaken: (asked: Asked) => boolean): readonly Asked[] {
    const taken = waiting.filter(isTaken);
    for (const one of taken) waiting.splice(waiting.indexOf(one), 1);
    return taken;
  }

  /** Of those that wait: another worker may begin with them sooner. */
  function dropUnwanted(): void {
    for (const { reject } of take(({ context }) => context.cancelled.aborted)) reject(new Error("cancelled"));
    for (const { reject } of take(({ context }) => context.ending.aborted)) reject(new GivenBack());
  }

  async function respond(all: readonly Asked[]): Promise<void> {
    const [{ payload, context }] = all as [Asked];
    try {
      const dtype = payload.arithmetic === "f32" ? "f32" : "bf16";
      const arithmetic = arithmeticOf({ dtype, device });
      if (arithmetic !== payload.arithmetic)
        throw new UserError(
          "other_arithmetic",
          `this worker computes ${arithmetic}, and the run wants ${payload.arithmetic}, whose bits are others. Start workers with the --device that the run has.`,
        );
      const weights = context.weights ?? "none";
      held = await hold(weights, dtype, all);
      await sample(held.model, all, { weights, arithmetic }, dropUnwanted);
    } catch (error) {
      await device.recover();
      for (const { reject } of all) reject(error);
    }
  }

  async function hold(weights: string, dtype: Model["dtype"], all: readonly Asked[]): Promise<HeldModel> {
    const until = Date.now() + patienceSeconds * 1000;
    for (;;) {
      let trouble: Error | undefined;
      const found = await place.find(weights).catch((error: Error) => {
        if (error instanceof UserError) throw error;
        trouble = error;
        return undefined;
      });
      if (found !== undefined) {
        const before = held;
        held = undefined;
        return loadPublished(device, place.name, found, dtype, before);
      }
      refuseUnwanted(all);
      if (Date.now() > until)
        throw (
          trouble ??
          new Error(
            `the weights ${weights.slice(0, 12)} are not at ${place.name}: give the worker the folder (--weights_dir) or the address (--weights_url) where the run publishes them`,
          )
        );
      await sleep(500);
    }
  }

  return {
    handler: defineHandler(rolloutKind, (payload, context) => {
      const result = new Promise<z.output<typeof rolloutKind.result>>((resolve, reject) =>
        waiting.push({ payload, context, resolve, reject }),
      );
      working ??= work();
      return result;
    }),
    [Symbol.asyncDispose]: async () => {
      await working;
      held?.model.scope.end();
    },
  };
}

/** What one call of generate() has in common. */
function togetherKey({
  payload: { arithmetic, stream, drawable },
  context: { weights, seed },
}: Asked): string {
  return JSON.stringify([weights, arithmetic, seed, stream, drawable]);
}

async function sample(
  model: Model,
  all: readonly Asked[],
  made: { readonly weights: string; readonly arithmetic: string },
  onTell: () => void,
): Promise<void> {
  const [{ payload, context }] = all as [Asked];
  const done = all.map((): RolloutSequence[] => []);
  const tokens = all.map(() => 0);
  let told = Date.now();
  const requests = all.map(({ payload: { prompt, samples, row, visit, settings } }) => ({
    ...{ promptIds: Int32Array.from(prompt), samples: samples.length, sampleNumbers: samples },
    ...{ row, visit, settings },
  }));
  await generate(model, requests, {
    ...{ seed: context.seed ?? 0, stream: payload.stream, drawable: payload.drawable },
    onToken: (request) => {
      (tokens[request] as number)++;
      if (Date.now() - told < TELL_MS) return;
      told = Date.now();
      onTell();
      refuseUnwanted(all);
      for (const [i, one] of all.entries()) {
        const total = one.payload.samples.length * one.payload.settings.maxNewTokens;
        one.context.report({ done: tokens[i] as number, total, of: "tokens" });
      }
    },
    onFinished: ({ request, sample, ids, logProbs, finish }) => {
      const own = done[request] as RolloutSequence[];
      own.push({ sample, ids: [...ids], logprobs: [...logProbs], finish });
      const { payload: asked, resolve } = all[request] as Asked;
      if (own.length < asked.samples.length) return;
      const place = (one: RolloutSequence): number => asked.samples.indexOf(one.sample);
      resolve({ ...made, sequences: own.sort((a, b) => place(a) - place(b)) });
    },
  });
}

const TELL_MS = 1000;

/** Where nobody wants any of them any more. */
function refuseUnwanted(all: readonly Asked[]): void {
  if (all.every(({ context }) => context.cancelled.aborted)) throw new Error("cancelled");
}
