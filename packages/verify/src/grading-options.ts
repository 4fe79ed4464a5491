/** How responses are graded, as options of every command that grades rows of all kinds, and the verifiers that they ask for. */
import { availableParallelism } from "node:os";
import type { Jobs } from "@posttrain/jobs";
import { z } from "zod";
import { gradeOnWorkers } from "./grading-jobs.js";
import { isModulePath } from "./own-module.js";
import { openOwnVerifier } from "./own-verifier.js";
import { openVerifiers, type Verifiers, verifierNames } from "./registry.js";
import { proveGraders } from "./self-test.js";
import { programOptions, programSettings, verifierSettings } from "./verifier.js";

export const gradingOptions = {
  verifier: z
    .string()
    .min(1)
    .optional()
    .describe(
      `for every row, in place of what rows say: ${verifierNames.join(", ")}, or a module of your own, ./FILE.mjs or ./FILE.py, #NAME behind it for one of several functions`,
    ),
  mode: verifierSettings.shape.mode
    .unwrap()
    .default("own")
    .describe("whose conventions decide whether answers agree; rewards want own"),
  extraction: verifierSettings.shape.extraction
    .unwrap()
    .default("strict")
    .describe("lenient takes the last formula or number where no answer is announced"),
  strictness: verifierSettings.shape.strictness
    .unwrap()
    .default("strict")
    .describe("of instructions, as IFEval's two"),
  unsealed: z
    .enum(["accept", "refuse"])
    .default("accept")
    .describe("verdicts of tests that had to run beside the candidate"),
  extract: verifierSettings.shape.extract.describe("exact_match: what of a response is its answer (auto)"),
  ...programOptions,
  route: z
    .enum(["auto", "native", "wasm"])
    .default("auto")
    .describe("programs under bubblewrap or in WebAssembly; auto: bubblewrap where it is proven"),
  pass_score: z.number().optional().describe("for verifiers with a score: from where it passes (1)"),
  cpu_seconds: z.number().positive().max(3600).default(10).describe("CPU time of one program"),
  memory_mb: z.int().min(64).max(1_000_000).default(1024).describe("memory of one program, MiB"),
  timeout_seconds: z
    .number()
    .positive()
    .max(86_400)
    .default(10)
    .describe("wall time of a module of your own for one response"),
  concurrency: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe("responses graded at once (default: one per core)"),
};

export type GradingOptions = z.output<z.ZodObject<typeof gradingOptions>>;

export interface ChosenVerifiers extends AsyncDisposable {
  readonly verifiers: Verifiers;
  /** What decides verdicts: those made with other values are not these. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Known answers, graded before anything is spent; modules of the user's own have none. Workers prove theirs before their first job. UserError `self_test_failed`. */
  prove(names: Iterable<string>): Promise<void>;
  close(): Promise<void>;
}

/** `workers` grade in place of this process. UserError `unknown_verifier`, `bad_verifier`. */
export async function openChosenVerifiers(
  options: GradingOptions,
  signal?: AbortSignal,
  workers?: Jobs,
): Promise<ChosenVerifiers> {
  const { verifier, unsealed, route, timeout_seconds: timeoutSeconds, pass_score: passScore } = options;
  const concurrency = options.concurrency ?? availableParallelism();
  const own =
    verifier !== undefined && isModulePath(verifier)
      ? await openOwnVerifier(verifier, {
          concurrency,
          timeoutSeconds,
          ...(passScore !== undefined && { passScore }),
        })
      : undefined;
  const settings = settingsOf(options);
  const verifiers = openVerifiers({
    ...settings,
    concurrency,
    unsealed,
    ...(signal !== undefined && { signal }),
    ...(route !== "auto" && { route }),
    ...(verifier !== undefined && { verifier: own ?? verifier }),
  });
  const close = async (): Promise<void> => {
    await verifiers.close();
    await own?.close();
  };
  const identity = {
    ...settings,
    unsealed,
    route,
    verifier: own?.name ?? verifier ?? null,
    ...(own !== undefined && { verifier_sha256: own.digest }),
  };
  return {
    verifiers: workers === undefined ? verifiers : gradeOnWorkers(workers, verifiers, identity, signal),
    identity,
    prove: async (names) => {
      if (workers !== undefined) return;
      await proveGraders([...names].filter((name) => verifiers.get(name) !== undefined));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function settingsOf(options: GradingOptions) {
  const { mode, extraction, extract, strictness, cpu_seconds, memory_mb, pass_score } = options;
  return {
    mode,
    extraction,
    strictness,
    cpu_seconds,
    memory_mb,
    ...(extract !== undefined && { extract }),
    ...(pass_score !== undefined && { pass_score }),
    ...programSettings(options),
  };
}
