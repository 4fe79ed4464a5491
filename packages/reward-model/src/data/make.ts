// `posttrain reward data` without its terminal: responses, comparisons, labels, rows. Beside the output stands OUTPUT.progress: the journal of what was
// sampled, graded and judged (killed, the same command pays for nothing twice), the comparisons that nobody decided, and the ties.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type OnProgress, UserError } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import { type Model, modelDigest, openModelFolder } from "@posttrain/model";
import {
  checkpointsByDigest,
  type Judge,
  localTeacher,
  openJudge,
  openServer,
  type Server,
  textSide,
} from "@posttrain/rollout";
import {
  inOrder,
  type Journal,
  lockProgressFolder,
  openJournal,
  openRowFile,
  readFinished,
  sweepLeftovers,
  writeFinished,
} from "@posttrain/run";
import { type ChosenVerifiers, openChosenVerifiers } from "@posttrain/verify";
import { type NamedAgreement, newBooks, verdictCounts } from "./books.js";
import { type Comparison, comparisonsOf, type Response, verified } from "./candidates.js";
import type { RewardDataConfig } from "./config.js";
import { criteria } from "./criteria.js";
import { grade } from "./grade.js";
import { identityOf } from "./identity.js";
import { decide, type Label, type LabelSource } from "./label.js";
import { merge, readMerged, sidesOf } from "./merge.js";
import { readLabels, unknownLabels } from "./read.js";
import { respond } from "./respond.js";
import { createRows, rowToLabel } from "./rows.js";

export interface RewardDataRun {
  /** Opens a checkpoint for as long as `body` needs it. */
  readonly withModel: <T>(dir: string, body: (model: Model) => Promise<T>) => Promise<T>;
  readonly onReading?: OnProgress;
  /** Rows are read, the long work begins. */
  readonly onStart?: () => void;
  readonly onProgress?: (progress: RewardDataProgress) => void;
  readonly onToken?: () => void;
  readonly signal?: AbortSignal;
  /** Grade in place of this process. */
  readonly workers?: Jobs | undefined;
}

export interface RewardDataProgress {
  readonly doing: "sampling" | "grading" | "judging";
  readonly done: number;
  readonly total: number;
}

export interface RewardDataReport {
  /** `nothing`: this command was done before, and its output is there. */
  readonly end: "complete" | "nothing";
  readonly queries: number;
  readonly repeated_queries: number;
  readonly responses: number;
  /** Requests to the server that was sampled from which got no reply. */
  readonly unanswered: number;
  /** By outcome; `none`: no verifier fits the row. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly comparisons: number;
  /** Rows written, by the source that decided; `merged`: from --pairs. */
  readonly preferences: Readonly<Record<LabelSource | "merged", number>>;
  readonly rows: number;
  readonly ties: number;
  /** Nobody said anything of these. */
  readonly unlabelled: number;
  /** Comparisons that the judge gave no judgement of. */
  readonly judge_failures: number;
  /** Why there is no reply or judgement: the first few. */
  readonly reasons: readonly string[];
  /** The share of the judge's judgements that are the same in both orders. */
  readonly judge_consistency: number | null;
  readonly agreement: readonly NamedAgreement[];
  /** Merged rows left out: there already, or the other way round. */
  readonly repeated_pairs: number;
  readonly contradicting_pairs: number;
  readonly ties_file: string;
  readonly unlabelled_file: string;
}

/** UserError for options, files and rows, and for a judge that cannot be reached or has spent its budget; what was done until then is kept. */
export async function makeRewardData(
  config: RewardDataConfig,
  run: RewardDataRun,
): Promise<RewardDataReport> {
  const { output, to_label: toLabel } = config;
  const folder = `${output}.progress`;
  const used = (name: string, path: string): UserError =>
    new UserError(
      "output_used",
      `${name} ${path} already exists. Remove it or give another name, so that nothing is overwritten.`,
    );
  if (existsSync(output) && !existsSync(folder)) throw used("output", output);
  // It appears after the output: without one it is nobody's that is known here.
  if (toLabel !== undefined && existsSync(toLabel) && !existsSync(output)) throw used("to_label", toLabel);
  const lock = await lockProgressFolder(folder, output);
  try {
    await sweepLeftovers(folder);
    const chosen = await openChosenVerifiers(config, run.signal, run.workers);
    const journal = await openJournal(join(folder, "journal.jsonl"));
    try {
      const models = await checkpointsByDigest(config.model_name_or_path ?? []);
      // Before anything is sampled that it could not judge.
      if (config.judge_model_name_or_path !== undefined)
        await openModelFolder(config.judge_model_name_or_path);
      const decides = await identityOf(config, [...models.keys()], chosen.identity);
      const before = await readFinished(folder, output, decides, isWhole);
      if (before !== undefined) return { ...before, end: "nothing" };
      const report = await make(config, { ...run, folder, journal, chosen, models });
      await writeFinished(folder, decides, report);
      return report;
    } finally {
      await journal.close();
      await chosen.close();
    }
  } finally {
    await lock.release();
  }
}

/** Nothing is left that another try might do. */
export const isWhole = ({ judge_failures, unanswered, verdicts }: RewardDataReport): boolean =>
  judge_failures + unanswered + (verdicts["infrastructure-error"] ?? 0) === 0;

interface Making extends RewardDataRun {
  readonly folder: string;
  readonly journal: Journal;
  readonly chosen: ChosenVerifiers;
  /** Digest -> folder. */
  readonly models: ReadonlyMap<string, string>;
}

async function make(config: RewardDataConfig, making: Making): Promise<RewardDataReport> {
  const { folder, journal, chosen, models, ...run } = making;
  const { output, seed } = config;
  const labels = await readLabels(config.labels ?? []);
  const merged = await readMerged(config.pairs ?? []);
  const replies = join(folder, "replies.jsonl");
  const { groups, repeated, unanswered, reasons } = await respond(config, models, run, journal, replies);
  const graded = config.verify
    ? await grade(groups, chosen, run, journal)
    : groups.map(({ responses }) => responses);
  const comparisons = groups.flatMap(({ query }, i) =>
    comparisonsOf(query, graded[i] as readonly Response[], config.pairs_per_query, seed),
  );
  const known = new Set(comparisons.map(({ id }) => id));
  const unknown = [...labels]
    .filter(([id]) => !known.has(id))
    .flatMap(([, own]) => own.map(({ place }) => place));
  if (unknown.length > 0) throw unknownLabels(unknown);

  const file = await openRowFile(join(folder, "output.partial"), output);
  const ties = await openRowFile(join(folder, "ties.partial"), join(folder, "ties.jsonl"));
  const unlabelled = await openRowFile(join(folder, "unlabelled.partial"), join(folder, "unlabelled.jsonl"));
  // One that is there is of an earlier run of this command, and may have labels.
  const toLabel =
    config.to_label === undefined || existsSync(config.to_label)
      ? undefined
      : await openRowFile(`${config.to_label}.partial`, config.to_label);
  const rowOf = createRows();
  const books = newBooks();
  const written = new Set<string>();
  try {
    await withJudge(config, run, replies, journal, async (judge) => {
      const label = (comparison: Comparison) =>
        labelsOf(comparison, labels.get(comparison.id) ?? [], judge, run.signal);
      for await (const { comparison, labels: own, failure, consistent } of labelled(
        comparisons,
        label,
        judge?.width ?? 1,
      )) {
        run.signal?.throwIfAborted();
        await toLabel?.write(rowToLabel(comparison));
        books.add(own, failure, consistent);
        if (judge !== undefined)
          run.onProgress?.({ doing: "judging", done: books.done(), total: comparisons.length });
        if (own.length === 0) {
          await unlabelled.write({
            ...rowToLabel(comparison),
            ...(failure !== undefined && { judge_failure: failure }),
          });
          continue;
        }
        const decision = decide(own);
        const row = rowOf(comparison, decision, own) as Readonly<Record<string, unknown>>;
        if (decision.label === undefined) await ties.write(row);
        else {
          written.add(sidesOf(row));
          await file.write(row);
        }
        books.decided(decision.label?.source);
      }
    });
    const [repeatedPairs, contradicting, added] = await merge(merged, written, file);
    await ties.commit();
    await unlabelled.commit();
    await file.commit();
    await toLabel?.commit();
    const booked = books.report(added);
    return {
      end: "complete",
      ...{ queries: groups.length, repeated_queries: repeated, comparisons: comparisons.length, unanswered },
      responses: groups.reduce((sum, { responses }) => sum + responses.length, 0),
      verdicts: verdictCounts(graded.flat()),
      ...booked,
      reasons: [...reasons, ...booked.reasons].slice(0, mostReasons),
      ...{ repeated_pairs: repeatedPairs, contradicting_pairs: contradicting },
      ...{ ties_file: join(folder, "ties.jsonl"), unlabelled_file: join(folder, "unlabelled.jsonl") },
    };
  } finally {
    for (const open of [file, ties, unlabelled, toLabel]) await open?.discard();
  }
}

const mostReasons = 3;

interface OpenJudge {
  readonly judge: Judge;
  readonly name: string;
  /** Comparisons that are asked at once. */
  readonly width: number;
}

async function withJudge(
  config: RewardDataConfig,
  run: RewardDataRun,
  replies: string,
  journal: Journal,
  body: (judge: OpenJudge | undefined) => Promise<void>,
): Promise<void> {
  const { judge_base_url: baseUrl, judge_model: name } = config;
  const { judge_model_name_or_path: dir, judge_max_tokens: maxTokens } = config;
  const options = { criteria, maxTokens };
  if (dir !== undefined) {
    const weights = await modelDigest(dir);
    await run.withModel(dir, async (model) => {
      const teacher = localTeacher(model, textSide(dir, model.config), { weights, journal, maxTokens });
      await body({ judge: openJudge(teacher, options), name: `${dir} (${weights.slice(0, 16)})`, width: 16 });
    });
    return;
  }
  if (baseUrl === undefined) return body(undefined);
  let server: Server | undefined;
  try {
    server = await openServer({
      ...{ ...config, base_url: baseUrl, model: name },
      reply_cache: config.reply_cache ?? replies,
    });
    await body({ judge: openJudge(server, options), name: name as string, width: config.num_concurrent });
  } finally {
    await server?.close();
  }
}

interface Labelled {
  readonly comparison: Comparison;
  readonly labels: readonly Label[];
  /** Why the judge gave no judgement. */
  readonly failure: string | undefined;
  readonly consistent: boolean | undefined;
}

async function labelsOf(
  comparison: Comparison,
  human: readonly Label[],
  judge: OpenJudge | undefined,
  signal: AbortSignal | undefined,
): Promise<Labelled> {
  const { query, first, second } = comparison;
  const labels: Label[] = human.map(({ source, by, preference, criteria: own, evidence }) => ({
    source,
    by,
    preference,
    criteria: own,
    evidence,
  }));
  const preference = verified(comparison);
  if (preference !== undefined) {
    const verifier = first.verdict?.verifier as string;
    const criterion = instructionVerifiers.has(verifier) ? "helpfulness" : "truthfulness";
    const evidence = { first: first.verdict, second: second.verdict };
    labels.push({
      source: "verifier",
      by: verifier,
      preference,
      criteria: { [criterion]: preference },
      evidence,
    });
  }
  if (judge === undefined) return { comparison, labels, failure: undefined, consistent: undefined };
  const prompt = query.prompt.map(({ role, content }) => ({ role, content: content ?? "" }));
  const judgement = await judge.judge.compare({ prompt, first: first.text, second: second.text }, signal);
  if (judgement.outcome === "failed")
    return { comparison, labels, failure: judgement.reason, consistent: undefined };
  const { consistent, rulings } = judgement;
  labels.push({
    ...({ source: "judge", by: judge.name } as const),
    ...{ preference: judgement.preference, criteria: judgement.criteria, evidence: { consistent, rulings } },
  });
  return { comparison, labels, failure: undefined, consistent };
}

/** They check that instructions are followed, not that what is said is true. */
const instructionVerifiers = new Set(["ifeval", "instructions", "checker"]);

function labelled(
  comparisons: readonly Comparison[],
  label: (comparison: Comparison) => Promise<Labelled>,
  width: number,
): AsyncGenerator<Labelled> {
  return inOrder(
    comparisons.map((comparison) => () => label(comparison)),
    width,
  );
}
