// What the reference says of a run's pairs: computed once, before the policy is loaded, and kept in the run folder; or in every step, by a second
// model beside the policy. Both are the policy's own code path on the reference's weights, so the bits are the same.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type TokenizedPair, UserError } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { type ComputeDtype, loadModel } from "@posttrain/model";
import { openJournal } from "@posttrain/run";
import { dtypeOf, ranksOf } from "@posttrain/train";
import { z } from "zod";
import type { DpoConfig } from "./config.js";
import type { PairSums } from "./loss.js";
import { pairSums } from "./pair-batch.js";
import type { DpoData } from "./rows.js";
import type { Reference } from "./step.js";

export interface ReferenceModel {
  readonly dir: string;
  /** Of its folder. */
  readonly digest: string;
  readonly dtype: ComputeDtype;
}

/** Of the run folder. */
const file = "reference.jsonl";

const valueSchema = z.tuple([z.number(), z.number()]);

/** The reference of a run: asked once before the policy is loaded, or at every step. */
export interface AskedReference {
  /** Before the policy is loaded, where what it says is kept. `start`: digest of the policy's folder. */
  readonly ask: ((data: DpoData, runDir: string, start: string) => Promise<void>) | undefined;
  /** What was said, or a second model that is asked from now on. */
  readonly open: () => Promise<{ readonly reference: Reference; readonly close?: () => void }>;
}

/** `onPreparing`: pairs done, of so many. */
export function askReference(
  config: DpoConfig,
  device: Device,
  onPreparing: ((what: string, done: number, total: number) => void) | undefined,
): AskedReference {
  const own = { dir: config.ref_model_name_or_path ?? config.model_name_or_path, dtype: dtypeOf(config) };
  if (!config.precompute_ref_log_probs) return { ask: undefined, open: () => liveReference(device, own) };
  let reference: Reference | undefined;
  return {
    ask: async ({ trainRows, evalRows, digests }, runDir, start) => {
      const model = { ...own, digest: digests["reference"] ?? start };
      const all = [...trainRows, ...evalRows];
      const pairs = config.per_device_train_batch_size;
      reference = await cachedReference(device, model, all, runDir, pairs, (done, total) =>
        onPreparing?.("log-probabilities of the reference", done, total),
      );
    },
    open: async () => ({ reference: reference as Reference }),
  };
}

/**
 * Log-probabilities of all `pairs`, those that the run folder has from before and the others computed now, `pairsPerBatch` at a time, which
 * changes no bit; each rank its share. Each is on disk before the next: a kill costs none. The model is loaded only if one is missing.
 */
async function cachedReference(
  device: Device,
  model: ReferenceModel,
  pairs: readonly TokenizedPair[],
  runDir: string,
  pairsPerBatch: number,
  onProgress?: (done: number, total: number) => void,
): Promise<Reference> {
  const path = join(runDir, file);
  const ranks = ranksOf(device);
  const journal = ranks.rank === 0 ? await openJournal(path) : undefined;
  try {
    const keyOf = keys(device, model);
    const known = await ranks.broadcast(
      pairs.map((pair) => {
        const value = journal?.get(keyOf(pair));
        return value === undefined ? undefined : sumsFrom(value, path);
      }),
    );
    const sums = new Map<TokenizedPair, PairSums>();
    for (const [i, pair] of pairs.entries()) if (known[i] !== undefined) sums.set(pair, known[i]);
    const missing = pairs.filter((pair) => !sums.has(pair));
    if (missing.length > 0) {
      const reference = await loadModel(device, model.dir, { dtype: model.dtype });
      try {
        for (let at = 0; at < missing.length; at += pairsPerBatch * ranks.size) {
          const round = missing.slice(at, at + pairsPerBatch * ranks.size);
          const own = round.slice(ranks.rank * pairsPerBatch, (ranks.rank + 1) * pairsPerBatch);
          const found = (await ranks.exchange(own.length > 0 ? await pairSums(reference, own) : [])).flat();
          await Promise.all(
            round.map(async (pair, i) => {
              const { chosen, rejected } = found[i] as PairSums;
              const recorded = await journal?.record(keyOf(pair), [chosen, rejected]);
              sums.set(pair, sumsFrom(recorded ?? [chosen, rejected], path));
            }),
          );
          onProgress?.(at + round.length, missing.length);
        }
      } finally {
        reference.scope.end();
      }
    }
    return async (asked) => asked.map((pair) => sums.get(pair) as PairSums);
  } finally {
    await journal?.close();
  }
}

/** Everything that decides a pair's numbers: weights, tokens, what they are computed in, and in bf16 on what. */
function keys(device: Device, { digest, dtype }: ReferenceModel): (pair: TokenizedPair) => string {
  // In f32 every device has the same bits; of the cpu every path has.
  const arithmetic = dtype === "f32" || device.backend === "cpu" ? "" : `${device.backend} ${device.path}`;
  return ({ promptIds, chosenIds, rejectedIds }) => {
    const hash = createHash("sha256").update(`${digest}\n${dtype}\n${arithmetic}\n`);
    for (const ids of [promptIds, chosenIds, rejectedIds]) hash.update(`${ids.length}\n`).update(ids);
    return hash.digest("base64url");
  };
}

function sumsFrom(value: unknown, path: string): PairSums {
  const parsed = valueSchema.safeParse(value);
  if (parsed.success) return { chosen: parsed.data[0], rejected: parsed.data[1] };
  throw new UserError(
    "bad_reference",
    `${path} has ${JSON.stringify(value)} where two log-probabilities belong: the file was changed. Remove it: they are computed again.`,
  );
}

/** The reference as a second model on the device. Its caller closes it. */
export async function liveReference(
  device: Device,
  { dir, dtype }: Pick<ReferenceModel, "dir" | "dtype">,
): Promise<{ readonly reference: Reference; readonly close: () => void }> {
  const model = await loadModel(device, dir, { dtype });
  return { reference: (pairs) => pairSums(model, pairs), close: () => model.scope.end() };
}
