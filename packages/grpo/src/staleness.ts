// How old given rollouts are: by whose weights they were sampled, and how many steps of training lie between those and the policy's.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Identity } from "@posttrain/run";

/** What a rollout says of the weights that made it. */
export interface Origin {
  /** As stampOf() has it, or another program's word for them. */
  readonly weights?: string;
  readonly step?: number;
}

/** Of a run, what its weights after `step` steps are called: at its start the digest of the model, later a function of its identity. */
export function stampOf(identity: Identity, step: number): string {
  return step === 0 ? String(identity["model"]) : `${digestOf(identity)}@${step}`;
}

export function digestOf(identity: Identity): string {
  return createHash("sha256").update(JSON.stringify(identity)).digest("hex");
}

/** The model that a run starts from, under all its names. */
export interface StartWeights {
  /** Digest of its files. */
  readonly model: string;
  /** Of a checkpoint: of which run, and after how many steps. */
  readonly run: { readonly digest: string; readonly step: number; readonly model: string } | undefined;
}

export async function startWeights(dir: string, model: string): Promise<StartWeights> {
  const text = await readFile(join(dir, "manifest.json"), "utf8").catch(() => undefined);
  if (text === undefined) return { model, run: undefined };
  const { identity, step } = JSON.parse(text) as { readonly identity?: Identity; readonly step?: number };
  if (identity === undefined || step === undefined) return { model, run: undefined };
  return { model, run: { digest: digestOf(identity), step, model: String(identity["model"]) } };
}

export type Age =
  /** Steps of training between the weights that sampled and those at hand. */
  | { readonly kind: "steps"; readonly steps: number }
  /** other: of weights that lead nowhere near these; unknown: the file does not say. */
  | { readonly kind: "other" | "unknown" };

/** `done`: steps that this run has done since its start. */
export function ageOf({ weights }: Origin, { model, run }: StartWeights, done: number): Age {
  if (weights === undefined) return { kind: "unknown" };
  if (weights === model) return { kind: "steps", steps: done };
  if (run === undefined) return { kind: "other" };
  const [, digest, step] = /^([0-9a-f]{64})@(\d+)$/.exec(weights) ?? [];
  const at = weights === run.model ? 0 : digest === run.digest ? Number(step) : undefined;
  if (at === undefined || at > run.step) return { kind: "other" };
  return { kind: "steps", steps: run.step - at + done };
}

/** Of an episode: the share of its responses by other and by unknown weights, and how many steps the others lie behind. */
export function stalenessMetrics(ages: readonly Age[]): Readonly<Record<string, number>> {
  const steps = ages.flatMap((age) => (age.kind === "steps" ? [age.steps] : []));
  const share = (kind: Age["kind"]): number =>
    ages.filter((age) => age.kind === kind).length / Math.max(1, ages.length);
  return {
    "staleness/other_weights": share("other"),
    "staleness/unknown_weights": share("unknown"),
    ...(steps.length > 0 && {
      "staleness/mean_steps": steps.reduce((a, b) => a + b, 0) / steps.length,
      "staleness/max_steps": Math.max(...steps),
    }),
  };
}
