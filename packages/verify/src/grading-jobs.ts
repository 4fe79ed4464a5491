/**
 * Grading by workers: what a row's responses are to be graded with goes out as a job, verdicts come back. Seen from outside it is a set of verifiers as any other: who
 * grades a file, a question or a rollout does not know where it is done, and records the verdicts as before.
 */
import { outcomes } from "@posttrain/data";
import { defineKind, type Jobs } from "@posttrain/jobs";
import { z } from "zod";
import type { GradedResponse, Verifiers } from "./registry.js";
import { responsesOf } from "./responses.js";
import { type Row, verifierSettings } from "./verifier.js";

/** What decides a verdict besides row and response: the identity that openChosenVerifiers() gives. */
const settings = z.strictObject({
  ...verifierSettings.shape,
  unsealed: z.enum(["accept", "refuse"]),
  route: z.enum(["auto", "native", "wasm"]),
  /** For every row; of a module of the user's own its file and function. */
  verifier: z.string().nullable(),
  verifier_sha256: z.string().optional(),
});
export type GradingSettings = z.output<typeof settings>;

const graded = z.strictObject({
  outcome: z.enum(outcomes),
  evidence: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
  verifier: z.string(),
  seconds: z.number(),
});

/** One row with some of its responses; a verdict for each. */
export const gradingKind = defineKind({
  name: "grade",
  payload: z.strictObject({
    settings,
    row: z.record(z.string(), z.unknown()),
    responses: z.array(z.string()),
  }),
  result: z.array(graded),
});

interface Asked {
  readonly response: string;
  readonly answer: (graded: GradedResponse) => void;
}

/**
 * `local` reads rows, and grades none. What is asked about a row in one turn of the event loop is one job. A job that failed on every worker that tried it is an
 * infrastructure-error, as what this machine could not grade: its row goes on without a verdict, and the same command tries it again.
 */
export function gradeOnWorkers(
  jobs: Jobs,
  local: Verifiers,
  identity: Readonly<Record<string, unknown>>,
  signal?: AbortSignal,
): Verifiers {
  const own = settings.parse(identity);
  const asked = new Map<Row, Asked[]>();

  async function send(row: Row, all: readonly Asked[]): Promise<void> {
    const verifier = local.verifierOf(row)?.name ?? "none";
    const giveUp = (why: string): void => {
      for (const { answer } of all)
        answer({ outcome: "infrastructure-error", evidence: `Not graded: ${why}`, verifier, seconds: 0 });
    };
    if (signal?.aborted) return giveUp("cancelled.");
    const payload = { settings: own, row, responses: all.map(({ response }) => response) };
    const batch = jobs.submit(gradingKind, [{ payload, label: verifier }]);
    const stop = (): unknown => batch.cancel().catch(() => undefined);
    signal?.addEventListener("abort", stop);
    try {
      for await (const outcome of batch) {
        if (outcome.state === "failed") {
          const tries = outcome.tries === 1 ? "once" : `${outcome.tries} times`;
          return giveUp(
            `its job was tried ${tries} by workers: ${outcome.error} (posttrain jobs show ${outcome.id.slice(0, 12)}).`,
          );
        }
        for (const [i, { answer }] of all.entries()) answer(outcome.result[i] as GradedResponse);
        return;
      }
      giveUp("cancelled.");
    } catch (error) {
      giveUp(`Redis: ${(error as Error).message}.`);
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  const grade = (response: string, row: Row): Promise<GradedResponse> => {
    // What cannot be graded as it is needs no worker.
    if (local.verifierOf(row) === undefined) return local.grade(response, row);
    return new Promise((answer) => {
      const others = asked.get(row);
      if (others !== undefined) {
        others.push({ response, answer });
        return;
      }
      asked.set(row, [{ response, answer }]);
      setImmediate(() => {
        const all = asked.get(row) as Asked[];
        asked.delete(row);
        void send(row, all);
      });
    });
  };
  return { ...local, grade, gradeRow: (row) => gradeAll(local, grade, row) };
}

async function gradeAll(
  local: Verifiers,
  grade: Verifiers["grade"],
  row: Row,
): Promise<readonly GradedResponse[]> {
  const responses = responsesOf(row);
  if ("problem" in responses) return local.gradeRow(row);
  return Promise.all(responses.texts.map((text) => grade(text, row)));
}
