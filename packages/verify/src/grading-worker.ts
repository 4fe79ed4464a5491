/**
 * The worker's side of grading: jobs of kind grade, done by this machine's verifiers. A verifier grades its canaries before its first job. A module of the user's own is
 * code, so it is taken from the worker's command line alone; a job only says which one it wants, by its digest.
 */
import { canonicalJson } from "@posttrain/data";
import { defineHandler, type Handler } from "@posttrain/jobs";
import { type GradingSettings, gradingKind } from "./grading-jobs.js";
import type { OwnVerifier } from "./own-verifier.js";
import { openVerifiers, type Verifiers, verifierNames } from "./registry.js";
import { proveGraders } from "./self-test.js";

export interface GradingWorker extends AsyncDisposable {
  readonly handler: Handler;
}

export function openGradingWorker(
  own: readonly OwnVerifier[],
  { concurrency }: { readonly concurrency: number },
): GradingWorker {
  /** By settings: the verifiers of one run are those of all its jobs. */
  const opened = new Map<string, Verifiers>();
  const proofs = new Map<string, Promise<void>>();

  const verifiersFor = (settings: GradingSettings): Verifiers => {
    const key = canonicalJson(settings);
    const known = opened.get(key) ?? open(settings);
    opened.set(key, known);
    return known;
  };

  function open({
    unsealed,
    route,
    verifier,
    verifier_sha256: digest,
    ...settings
  }: GradingSettings): Verifiers {
    const module =
      digest === undefined ? undefined : own.find((one) => one.name === verifier && one.digest === digest);
    if (digest !== undefined && module === undefined)
      throw new Error(
        `this worker has no module ${verifier} with the SHA-256 ${digest}: start it with --verifier and the file that the run grades with`,
      );
    return openVerifiers({
      ...settings,
      concurrency,
      unsealed,
      ...(route !== "auto" && { route }),
      ...(verifier !== null && { verifier: module ?? verifier }),
    });
  }

  const prove = (name: string): Promise<void> => {
    const known = proofs.get(name) ?? proveGraders([name]);
    proofs.set(name, known);
    return known;
  };

  return {
    handler: defineHandler(gradingKind, async ({ settings, row, responses }) => {
      const verifiers = verifiersFor(settings);
      const name = verifiers.verifierOf(row)?.name;
      if (name !== undefined && verifierNames.includes(name)) await prove(name).catch(asTrouble);
      return Promise.all(responses.map((response) => verifiers.grade(response, row)));
    }),
    [Symbol.asyncDispose]: async () => {
      for (const verifiers of opened.values()) await verifiers.close();
    },
  };
}

/** Another worker may be able to. */
function asTrouble(error: unknown): never {
  throw new Error((error as Error).message);
}
