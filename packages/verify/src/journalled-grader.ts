// Verdicts on responses, each kept by what decides it: the question, the text, how it ended, how strictly is graded. What could not be graded
// is not kept, so it is tried again.
import type { Verdict } from "@posttrain/data";
import { type Journal, journalKey } from "@posttrain/run";
import type { ChosenVerifiers } from "./grading-options.js";
import { gradeSaid } from "./registry.js";
import type { Row } from "./verifier.js";

/** A verdict by whom it was given. Without times, so that equal runs write equal files. */
export interface NamedVerdict extends Verdict {
  readonly verifier: string;
}

/** What is graded by: a row, and the conversation in which it was answered. */
export interface GradedQuestion {
  readonly row: Row;
  readonly prompt?: unknown;
}

export interface JournalledGrader {
  grade(
    question: GradedQuestion,
    response: { readonly text: string; readonly finish: "stop" | "length" },
  ): Promise<NamedVerdict>;
  /** Responses whose verdict an earlier run gave. */
  fromJournal(): number;
}

export function createJournalledGrader(
  { verifiers, identity }: Pick<ChosenVerifiers, "verifiers" | "identity">,
  journal: Journal,
): JournalledGrader {
  /** Equal responses to one question are graded once, in time too. */
  const open = new Map<string, Promise<NamedVerdict>>();
  /** Keys of this run's own verdicts: the journal has them too from then on. */
  const own = new Set<string>();
  let fromJournal = 0;
  const fresh = async (
    key: string,
    { row }: GradedQuestion,
    response: { readonly text: string; readonly finish: "stop" | "length" },
  ): Promise<NamedVerdict> => {
    const { seconds: _, ...verdict } = await gradeSaid(
      verifiers,
      { ...row, response: response.text },
      response,
    );
    if (verdict.outcome === "infrastructure-error") return verdict;
    own.add(key);
    return journal.record(key, verdict);
  };
  return {
    fromJournal: () => fromJournal,
    grade: async (question, { text, finish }) => {
      const key = journalKey("verdict", [identity, question.row, question.prompt ?? null, text, finish]);
      const known = journal.get(key) as NamedVerdict | undefined;
      const running = open.get(key);
      if (running !== undefined) return running;
      if (known !== undefined) {
        if (!own.has(key)) fromJournal++;
        return known;
      }
      const grading = fresh(key, question, { text, finish }).finally(() => open.delete(key));
      open.set(key, grading);
      return grading;
    },
  };
}
