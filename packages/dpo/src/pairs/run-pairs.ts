// `posttrain dpo pairs` without its terminal: reads, samples or takes responses, grades, chooses, writes. Beside the output stands
// OUTPUT.progress: the journal of what was sampled and graded, the queries without a pair, the report.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import { computeDtype, type Model } from "@posttrain/model";
import { checkpointsByDigest, openServer, type Sampler, type Server } from "@posttrain/rollout";
import {
  type Journal,
  lockProgressFolder,
  openJournal,
  openRowFile,
  readFinished,
  sweepLeftovers,
  writeFinished,
} from "@posttrain/run";
import { createJournalledGrader, openChosenVerifiers, type UnfitRow } from "@posttrain/verify";
import { type Asked, readAsked } from "./asked.js";
import type { PairsConfig } from "./config.js";
import { identityOf } from "./identity.js";
import { type MakeProgress, type Making, makePairs } from "./make.js";
import { type MixedRows, readMixed } from "./mix.js";
import type { Query } from "./queries.js";
import type { Response } from "./responses.js";
import { reviewUsed, writeReviewFile } from "./review-file.js";
import { servedSource } from "./served.js";
import { checkpointSource, givenSource, type Source } from "./sources.js";

export interface PairsRun {
  /** Opens a checkpoint for as long as `body` needs it, or what samples from it elsewhere. */
  readonly withModel: <T>(dir: string, body: (from: Model | Sampler) => Promise<T>) => Promise<T>;
  readonly onReading?: (path: string, rows: number, share: number) => void;
  readonly onStart?: (plan: PairsPlan) => void;
  readonly onProgress?: (progress: MakeProgress) => void;
  readonly onToken?: () => void;
  readonly signal?: AbortSignal;
  /** Grade in place of this process. */
  readonly workers?: Jobs | undefined;
}

/** What is about to be done. */
export interface PairsPlan {
  readonly queries: number;
  readonly responses: number;
  /** Queries by verifier. */
  readonly verifiers: ReadonlyMap<string, number>;
  /** Rows that cannot be asked or graded as they are. */
  readonly unfit: readonly UnfitRow[];
  readonly repeated: number;
  readonly sources: readonly string[];
}

export interface PairsReport extends Omit<Making, "end"> {
  /** `nothing`: this command was done before, and its output is there. */
  readonly end: Making["end"] | "nothing";
  readonly rows: number;
  readonly unfit: readonly UnfitRow[];
  readonly repeated: number;
  readonly mixed: MixedRows["mixed"];
  /** Files beside the output: queries without a pair, by line. */
  readonly skipped_file: string;
}

/** UserError for options, files and rows; what a source throws. What was sampled and graded until then is kept. */
export async function runPairs(config: PairsConfig, run: PairsRun): Promise<PairsReport> {
  const { output } = config;
  const folder = `${output}.progress`;
  if (existsSync(output) && !existsSync(folder)) {
    throw new UserError(
      "output_used",
      `output ${output} already exists. Remove it or give another name, so that no result is overwritten.`,
    );
  }
  if (config.review !== undefined && existsSync(config.review) && !existsSync(output))
    throw reviewUsed(config.review);
  const lock = await lockProgressFolder(folder, output);
  try {
    await sweepLeftovers(folder);
    const chosen = await openChosenVerifiers(config, run.signal, run.workers);
    const journal = await openJournal(join(folder, "journal.jsonl"));
    let server: Server | undefined;
    try {
      const models = await checkpointsByDigest(config.model_name_or_path ?? []);
      const decides = await identityOf(config, [...models.keys()], chosen.identity);
      const before = await readFinished<PairsReport>(
        ...([folder, output, decides] as const),
        ({ ungraded, unanswered }) => ungraded + unanswered === 0,
      );
      if (before !== undefined) {
        if (before.pairs > 0) await writeReview(config);
        return { ...before, end: "nothing" };
      }
      const mix = await readMixed(config.mix ?? [], config.seed);
      const asked = await readAsked(config, chosen.verifiers, run.onReading);
      server = config.base_url === undefined ? undefined : await openServer(withCache(config, folder));
      const sources = await openSources(config, models, asked, { ...run, journal, server });
      run.onStart?.(planOf(asked, sources));
      if (config.responses === undefined) await chosen.prove(asked.verifiers.keys());
      const pairs = await openRowFile(join(folder, "pairs.partial"), output);
      const skipped = await openRowFile(join(folder, "skipped.partial"), join(folder, "skipped.jsonl"));
      try {
        const making = await makePairs({
          queries: asked.queries,
          sources,
          grader: createJournalledGrader(chosen, journal),
          choice: {
            pairsPerQuery: config.pairs_per_query,
            maxLengthRatio: config.max_length_ratio,
            similarity: config.similarity,
            chosenFrom: config.chosen_from,
            seed: config.seed,
          },
          referenceOf: (query) => (config.chosen_from === "policy" ? undefined : referenceOf(query, config)),
          target: config.target,
          onPair: (pair) => pairs.write(pair),
          onSkipped: (query) => skipped.write(query),
          onProgress: run.onProgress,
          signal: run.signal,
        });
        for (const row of mix.rows) await pairs.write(row);
        const report: PairsReport = {
          ...making,
          rows: asked.rows,
          unfit: asked.unfit,
          repeated: asked.repeated,
          mixed: mix.mixed,
          skipped_file: join(folder, "skipped.jsonl"),
        };
        if (making.end !== "stopped") {
          await skipped.commit();
          await pairs.commit();
          if (making.pairs + mix.rows.length > 0) await writeReview(config);
          await writeFinished(folder, decides, report);
        }
        return report;
      } finally {
        await pairs.discard();
        await skipped.discard();
      }
    } finally {
      await server?.close();
      await journal.close();
      await chosen.close();
    }
  } finally {
    await lock.release();
  }
}

async function openSources(
  config: PairsConfig,
  models: ReadonlyMap<string, string>,
  { queries, responses }: Asked,
  {
    journal,
    server,
    withModel,
    onToken,
  }: PairsRun & { readonly journal: Journal; readonly server: Server | undefined },
): Promise<readonly Source[]> {
  if (responses !== undefined) return [givenSource(responses)];
  const sources: Source[] = [];
  for (const [digest, dir] of models) {
    sources.push(
      await checkpointSource(queries, {
        ...{ dir, digest, path: config.data!, sampling: config, journal, withModel, onToken },
        ...{ dtype: computeDtype(config.dtype), templateDate: config.template_date },
      }),
    );
  }
  if (server !== undefined) {
    const { base_url: baseUrl, model } = config;
    sources.push(
      servedSource(queries, {
        ...{ teacher: server, baseUrl: baseUrl!, model: model!, path: config.data!, sampling: config },
      }),
    );
  }
  return sources;
}

const withCache = (config: PairsConfig, folder: string): PairsConfig => ({
  ...config,
  reply_cache: config.reply_cache ?? join(folder, "replies.jsonl"),
});

function planOf({ queries, verifiers, unfit, repeated }: Asked, sources: readonly Source[]): PairsPlan {
  const perQuery = (query: Query): number => sources.reduce((sum, source) => sum + source.perQuery(query), 0);
  return {
    queries: queries.length,
    responses: queries.reduce((sum, query) => sum + perQuery(query), 0),
    ...{ verifiers, unfit, repeated },
    sources: sources.map(({ name }) => name),
  };
}

/** Where rows keep an answer that is a response of its own, the first that is there. */
const referenceColumns = ["solution", "canonical_solution", "code", "output", "answer"] as const;

function referenceOf(
  { row, number, parents }: Query,
  { reference_column: named }: PairsConfig,
): Response | undefined {
  const column = named ?? referenceColumns.find((name) => typeof row[name] === "string");
  const text = column === undefined ? undefined : row[column];
  if (column === undefined || typeof text !== "string" || text.trim() === "") return undefined;
  return { id: `reference.${number}`, text, finish: "stop", origin: { reference: column }, parents };
}

/** One that is there is of an earlier run of this command, and may have verdicts. */
async function writeReview({ review, output, review_count: count, seed }: PairsConfig): Promise<void> {
  if (review === undefined || existsSync(review)) return;
  await writeReviewFile(review, output, { count, seed });
}
