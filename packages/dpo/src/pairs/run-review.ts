// Takes reviews back into the pairs: people's verdicts from a file, machines' asked for here, through a journal beside the output. Both are
// recorded in each pair; what is vetoed goes into a file of its own.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson, UserError } from "@posttrain/data";
import { journalKey, lockProgressFolder, openJournal, openRowFile } from "@posttrain/run";
import { opinionsOf, type ReviewedPair, type ReviewRow, readReviewedPairs } from "./review-file.js";
import type { Reviewer } from "./reviewers.js";
import { type Agreement, agreements, isVetoed, type Opinion, type Review } from "./reviews.js";

export interface ReviewRun {
  /** Of `posttrain dpo pairs`. */
  readonly pairs: string;
  /** A new file. Beside it OUTPUT.progress has the journal and what was vetoed. */
  readonly output: string;
  /** Verdicts of a person, and the file that they come from. */
  readonly people?: { readonly rows: readonly ReviewRow[]; readonly path: string; readonly by: string };
  /** Opened with the folder beside the output, where they may keep what they pay for. */
  readonly openReviewers: (folder: string) => Promise<readonly Reviewer[]>;
  /** Pairs looked at at once. */
  readonly concurrency: number;
  readonly onReviewed?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface ReviewReport {
  readonly end: "complete" | "stopped";
  readonly pairs: number;
  readonly kept: number;
  readonly vetoed: number;
  readonly reviewers: readonly {
    readonly by: string;
    readonly kind: Review["kind"];
    readonly reviews: number;
    readonly vetoes: number;
    /** Asked for, without a judgement. */
    readonly failed: number;
    readonly reasons: readonly string[];
  }[];
  /** Between graders, people and machines. */
  readonly agreements: readonly Agreement[];
  readonly vetoed_file: string;
}

const REASONS = 3;
/** Pairs were put together by verdicts: their opinion is that chosen is better. */
const GRADERS = "graders";

/** UserError for files and rows; what a reviewer throws. What was reviewed until then is kept. */
export async function runReview(run: ReviewRun): Promise<ReviewReport> {
  const { output, pairs: pairsPath, people, signal } = run;
  const folder = `${output}.progress`;
  const isStopped = (): boolean => signal?.aborted === true;
  if (existsSync(output)) {
    throw new UserError(
      "output_used",
      `output ${output} already exists. Remove it or give another name, so that no result is overwritten.`,
    );
  }
  const texts = new Map<string, { readonly chosen: string; readonly rejected: string }>();
  for await (const { id, chosen, rejected } of readReviewedPairs(pairsPath)) {
    texts.set(id, { chosen: canonicalJson(chosen), rejected: canonicalJson(rejected) });
  }
  const said =
    people === undefined
      ? new Map<string, Opinion>()
      : opinionsOf(people.rows, texts, { path: people.path, pairsPath });
  const lock = await lockProgressFolder(folder, output);
  try {
    const journal = await openJournal(join(folder, "journal.jsonl"));
    const vetoedFile = join(folder, "vetoed.jsonl");
    const kept = await openRowFile(join(folder, "pairs.partial"), output);
    const vetoed = await openRowFile(join(folder, "vetoed.partial"), vetoedFile);
    try {
      const reviewers = await run.openReviewers(folder);
      const failing = new AbortController();
      const ask = async (reviewer: Reviewer, pair: ReviewedPair): Promise<Review> => {
        const { name: by, kind, identity } = reviewer;
        const key = journalKey("review", [
          kind,
          by,
          identity,
          pair.prompt ?? null,
          pair.chosen,
          pair.rejected,
        ]);
        const known = journal.get(key) as Review | undefined;
        if (known !== undefined) return known;
        // Trouble with all pairs was met: those that wait need not meet it again.
        failing.signal.throwIfAborted();
        try {
          const review: Review = { by, kind, ...(await reviewer.review(pair)) };
          return review.opinion === null ? review : await journal.record(key, review);
        } catch (error) {
          failing.abort(error);
          throw error;
        }
      };
      const reviewsOf = (pair: ReviewedPair): Promise<readonly Review[]> => {
        const opinion = said.get(pair.id);
        const person: Review[] =
          opinion === undefined
            ? []
            : [{ by: people!.by, kind: "person", opinion, veto: opinion === "rejected" }];
        return Promise.all([...person, ...reviewers.map((reviewer) => ask(reviewer, pair))]);
      };
      const tally = createTally();
      const waiting: { readonly pair: ReviewedPair; readonly reviews: Promise<readonly Review[]> }[] = [];
      let done = 0;
      const settle = async (): Promise<void> => {
        const { pair, reviews } = waiting.shift()!;
        const fresh = await reviews;
        // Who reviews again replaces what he said before.
        const isFresh = (one: Review): boolean =>
          fresh.some(({ by, kind }) => by === one.by && kind === one.kind);
        const all = [...(pair.evidence?.reviews ?? []).filter((one) => !isFresh(one)), ...fresh];
        const row = all.length === 0 ? pair : { ...pair, evidence: { ...pair.evidence, reviews: all } };
        const out = isVetoed(all);
        tally.add(pair, all, out);
        await (out ? vetoed : kept).write(row);
        run.onReviewed?.(++done, texts.size);
      };
      for await (const pair of readReviewedPairs(pairsPath)) {
        if (isStopped()) break;
        const reviews = reviewsOf(pair);
        // Looked at in order, later; until then a failure is nobody's.
        reviews.catch(() => undefined);
        waiting.push({ pair, reviews });
        if (waiting.length >= run.concurrency) await settle();
      }
      while (waiting.length > 0) await settle();
      if (isStopped()) return { end: "stopped", ...tally.report(), vetoed_file: vetoedFile };
      await vetoed.commit();
      await kept.commit();
      return { end: "complete", ...tally.report(), vetoed_file: vetoedFile };
    } finally {
      await kept.discard();
      await vetoed.discard();
      await journal.close();
    }
  } finally {
    await lock.release();
  }
}

function createTally() {
  const opinions = new Map<string, Map<string, Opinion>>([[GRADERS, new Map()]]);
  const reviewers = new Map<
    string,
    { by: string; kind: Review["kind"]; reviews: number; vetoes: number; failed: number; reasons: string[] }
  >();
  let [pairs, vetoed] = [0, 0];
  return {
    add: ({ id }: ReviewedPair, reviews: readonly Review[], out: boolean): void => {
      pairs++;
      if (out) vetoed++;
      opinions.get(GRADERS)!.set(id, "chosen");
      for (const { by, kind, opinion, veto, evidence = "" } of reviews) {
        const name = kind === "person" ? by : `${kind} ${by}`;
        const own = reviewers.get(name) ?? { by, kind, reviews: 0, vetoes: 0, failed: 0, reasons: [] };
        reviewers.set(name, own);
        own.reviews++;
        if (veto) own.vetoes++;
        if (opinion === null) {
          own.failed++;
          if (own.reasons.length < REASONS) own.reasons.push(`pair ${id}: ${evidence}`);
          continue;
        }
        const all = opinions.get(name) ?? new Map<string, Opinion>();
        opinions.set(name, all);
        all.set(id, opinion);
      }
    },
    report: () => ({
      ...{ pairs, vetoed, kept: pairs - vetoed },
      reviewers: [...reviewers.values()],
      agreements: agreements(opinions),
    }),
  };
}
