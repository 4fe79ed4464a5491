// `posttrain data build` without its terminal. Beside the output stands OUTPUT.progress: replies and verdicts that were paid for, what was dropped, the report.
// Killed, the same command goes over the same candidates and pays for nothing twice.
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  createRecordIds,
  dataDigest,
  isJsonObject,
  type OnProgress,
  readRows,
  rowError,
  UserError,
} from "@posttrain/data";
import type { Model } from "@posttrain/model";
import type { TeacherCounters } from "@posttrain/rollout";
import {
  type Identity,
  type Journal,
  journalKey,
  lockProgressFolder,
  openJournal,
  openRowFile,
  readFinished,
  sweepLeftovers,
  writeFinished,
} from "@posttrain/run";
import { createJournalledGrader, openVerifiers } from "@posttrain/verify";
import type { Area, Draft, Reward, Seed } from "./area.js";
import { type AreaName, loadArea } from "./areas.js";
import type { BuildConfig } from "./config.js";
import { createDraws } from "./draws.js";
import { choiceOf, type Roles, roleNames, weightsOf, withRoles } from "./roles.js";
import { openSteps, type StepCounts, type Steps } from "./steps.js";

export interface BuildRun {
  /** Opens a model for as long as `body` needs it. */
  readonly withModel: <T>(dir: string, body: (model: Model) => Promise<T>) => Promise<T>;
  /** The same for a reward model: `score` as of `Reward`. */
  readonly withReward: <T>(path: string, body: (score: Reward["score"]) => Promise<T>) => Promise<T>;
  readonly onReading?: OnProgress;
  /** Seeds and roles are there, the long work begins. */
  readonly onStart?: () => void;
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly onToken?: () => void;
  readonly signal?: AbortSignal;
}

export interface BuildProgress {
  readonly area: string;
  readonly rows: number;
  readonly target: number;
  readonly steps: readonly StepCounts[];
  readonly asked: Readonly<Record<string, TeacherCounters>>;
}

export interface BuildReport {
  /** `nothing`: this command was done before, and its output is there. `used up`: there are no more than these. */
  readonly end: "complete" | "used up" | "nothing";
  readonly rows: number;
  readonly steps: readonly StepCounts[];
  /** Rows by task, and by grade. */
  readonly tasks: Readonly<Record<string, number>>;
  readonly difficulty: Readonly<Record<string, number>>;
  readonly unanswered: number;
  /** Why there was no answer: the first few. */
  readonly reasons: readonly string[];
  /** Of each role's server. */
  readonly asked: Readonly<Record<string, TeacherCounters>>;
  readonly dropped_file: string;
  /** Conversations that somebody has to look at, where there are any. */
  readonly review_file?: string;
}

type AreaConfig = BuildConfig & { readonly area: AreaName };

/** Nothing is left that another try might do. */
export const isWhole = ({ unanswered }: Pick<BuildReport, "unanswered">): boolean => unanswered === 0;

/** UserError for options, files and rows, and for a role that cannot be reached or has spent its budget; what was done until then is kept. */
export async function buildArea(config: AreaConfig, run: BuildRun): Promise<BuildReport> {
  const { output } = config;
  const folder = `${output}.progress`;
  if (existsSync(output) && !existsSync(folder)) {
    throw new UserError(
      "output_used",
      `output ${output} already exists. Remove it or give another name, so that nothing is overwritten.`,
    );
  }
  const area = await loadArea(config.area);
  checkChoices(config, area);
  const lock = await lockProgressFolder(folder, output);
  try {
    await sweepLeftovers(folder);
    const journal = await openJournal(join(folder, "journal.jsonl"));
    try {
      return await withRoles(config, { ...run, journal, folder }, async (roles) => {
        const decides = await identityOf(config, area, roles);
        const before = await readFinished<BuildReport>(folder, output, decides, isWhole);
        if (before !== undefined) return { ...before, end: "nothing" };
        const report = await withReward(config, journal, run, (reward) =>
          make(area, config, { ...run, folder, journal, roles, reward }),
        );
        await writeFinished(folder, decides, report);
        return report;
      });
    } finally {
      await journal.close();
    }
  } finally {
    await lock.release();
  }
}

/** UserError `bad_option`. */
function checkChoices({ area: name, tasks = [], seeds }: AreaConfig, area: Area): void {
  const stray = tasks.find((task) => !area.tasks.includes(task));
  if (stray !== undefined)
    throw new UserError("bad_option", `tasks has ${stray}: those of ${name} are ${area.tasks.join(", ")}.`);
  if (seeds === undefined && area.seeds === "needed")
    throw new UserError("bad_option", `Area ${name} begins with rows: give their files with --seeds.`);
  if (seeds !== undefined && area.seeds === "none")
    throw new UserError(
      "bad_option",
      `Area ${name} takes no seeds: it makes its questions itself. Remove --seeds.`,
    );
}

/** Where a result goes and what it may cost. */
const changesNothing = new Set([
  ...["output", "num_concurrent", "max_retries", "request_timeout", "budget_tokens", "reply_cache"],
]);

/** All that decides the output. */
async function identityOf(config: AreaConfig, area: Area, roles: Roles): Promise<Identity> {
  const rest = Object.entries(config).filter(
    ([name]) => !changesNothing.has(name) && !name.endsWith("model_name_or_path"),
  );
  const folders = roleNames.map(async (role) => {
    const { dir } = choiceOf(config, role);
    return [`${role}_weights`, dir === undefined ? null : await weightsOf(dir)] as const;
  });
  return {
    ...Object.fromEntries(rest),
    ...Object.fromEntries(await Promise.all(folders)),
    ...(config.reward_model_name_or_path !== undefined && {
      reward_weights: await weightsOf(config.reward_model_name_or_path),
    }),
    version: area.version,
    seeds: await Promise.all((config.seeds ?? []).map(dataDigest)),
    prompts: roleNames.some(roles.has) ? roles.prompts : null,
  };
}

/** Opens the reward model, where there is one, for as long as `body` needs it. */
async function withReward<T>(
  { reward_model_name_or_path: path }: AreaConfig,
  journal: Journal,
  run: BuildRun,
  body: (reward: Reward | undefined) => Promise<T>,
): Promise<T> {
  if (path === undefined) return body(undefined);
  const digest = await weightsOf(path);
  return run.withReward(path, (score) =>
    body({
      model: `${path} (${digest.slice(0, 16)})`,
      score: async (messages) => {
        const key = journalKey("reward", [digest, messages]);
        const known = journal.get(key) as { readonly score: number | null } | undefined;
        return (known ?? (await journal.record(key, { score: await score(messages) }))).score;
      },
    }),
  );
}

interface Making extends BuildRun {
  readonly folder: string;
  readonly journal: Journal;
  readonly roles: Roles;
  readonly reward: Reward | undefined;
}

async function make(area: Area, config: AreaConfig, making: Making): Promise<BuildReport> {
  const { folder, journal, roles, reward, signal, ...run } = making;
  const { area: name, rows: target, seed, difficulty } = config;
  const droppedPath = join(folder, "dropped.jsonl");
  const file = await openRowFile(join(folder, "output.partial"), config.output);
  const dropped = await openRowFile(join(folder, "dropped.partial"), droppedPath);
  const reviewPath = join(folder, "review.jsonl");
  const toReview = await openRowFile(join(folder, "review.partial"), reviewPath);
  const [rowOf, reviewRowOf] = [createRows(name), createRows(name)];
  let reviewed = 0;
  const steps = openSteps({
    onDropped: async ({ review, ...dropping }) => {
      if (review === undefined) return dropped.write(dropping);
      reviewed++;
      await toReview.write({ ...reviewRowOf(review), reason: dropping.reason });
    },
    signal,
  });
  const tasks: Record<string, number> = {};
  const grades: Record<string, number> = {};
  let rows = 0;
  const verifiers = openVerifiers(signal === undefined ? {} : { signal });
  const tell = (): void =>
    run.onProgress?.({ area: name, rows, target, steps: steps.counts(), asked: roles.counters() });
  try {
    run.onStart?.();
    const drafts = area.build({
      ...{ config, roles, journal, verifiers, reward },
      grader: createJournalledGrader({ verifiers, identity: {} }, journal),
      ...withProgress(steps, tell),
      tasks: config.tasks ?? area.tasks,
      draws: (index) => createDraws(seed, name, index),
      difficultyOf: (index) => difficulty[index % difficulty.length] as number,
      seeds: () => readSeeds(config.seeds ?? [], run.onReading),
    });
    for await (const draft of drafts) {
      signal?.throwIfAborted();
      await file.write(rowOf(draft));
      rows++;
      tasks[draft.task] = (tasks[draft.task] ?? 0) + 1;
      if (draft.difficulty !== undefined) grades[draft.difficulty] = (grades[draft.difficulty] ?? 0) + 1;
      tell();
      if (rows === target) break;
    }
    signal?.throwIfAborted();
    await dropped.commit();
    if (reviewed > 0) await toReview.commit();
    await file.commit();
    const counts = steps.counts();
    return {
      end: rows === target ? "complete" : "used up",
      ...{ rows, tasks, difficulty: grades, steps: counts },
      unanswered: counts.reduce((sum, one) => sum + one.unanswered, 0),
      ...{ reasons: steps.reasons(), asked: roles.counters(), dropped_file: droppedPath },
      ...(reviewed > 0 && { review_file: reviewPath }),
    };
  } finally {
    await verifiers.close();
    await file.discard();
    await dropped.discard();
    await toReview.discard();
  }
}

/** Tells of progress where items are dropped for long, too. */
function withProgress({ step, distinct }: Steps, tell: () => void): Pick<Steps, "step" | "distinct"> {
  return {
    distinct,
    step: (name, items, work, width) =>
      step(
        name,
        items,
        async (item) => {
          const outcome = await work(item);
          tell();
          return outcome;
        },
        width,
      ),
  };
}

/** A row: {"schema", "id", "messages", "area", "task", "difficulty", ...columns, "parents", "evidence"}. */
function createRows(area: string): (draft: Draft) => object {
  const recordId = createRecordIds();
  return ({ task, messages, difficulty, columns, evidence, parents = [] }) => {
    const content = {
      ...{ schema: "conversation@1", messages, area, task },
      ...(difficulty !== undefined && { difficulty }),
      ...columns,
    };
    return { ...content, id: recordId(content), parents, evidence };
  };
}

async function* readSeeds(
  paths: readonly string[],
  onProgress: OnProgress | undefined,
): AsyncGenerator<Seed> {
  const recordId = createRecordIds();
  for (const path of paths) {
    for await (const { place, value } of readRows(path, { onProgress })) {
      if (!isJsonObject(value)) throw rowError("bad_row", place, "expected an object.");
      yield { id: recordId(value), place, row: value };
    }
  }
}
