/**
 * A file of rows graded: each row comes back with its verdict beside it, in order. With an output file, verdicts are journalled in a
 * folder beside it before they count, so that a run that was killed goes on where it was, and a verdict that would fall differently
 * the second time does not. What could not be graded is not journalled: the same command tries it again.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isJsonObject, readRows, stringifyJson, UserError } from "@posttrain/data";
import {
  differences,
  type Journal,
  lockProgressFolder,
  openJournal,
  openRowFile,
  type RowFile,
} from "@posttrain/run";
import { createReport, type GradingReport } from "./grading-report.js";
import { type Problems, Unnamed, wholeRow } from "./problems.js";
import type { GradedResponse, Verifiers } from "./registry.js";
import { type Responses, responsesOf } from "./responses.js";
import { type Row, rowFault } from "./verifier.js";

export interface GradeFileOptions {
  readonly data: string;
  /** Their concurrency is that of the grading. After an error, close them: what still waits then ends. */
  readonly verifiers: Verifiers;
  /** What responses are graded with, where their own rows leave it out. */
  readonly problems?: Problems;
  /** A new file for rows and verdicts, and beside it OUTPUT.progress with the journal; without it nothing is kept. */
  readonly output?: string;
  /** What else decides the verdicts: a journal made with other settings is refused. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Rows with their verdicts, in order. */
  readonly onRow?: (row: object) => Promise<void>;
  readonly onStart?: (plan: GradingPlan) => Promise<void> | void;
  readonly onGraded?: (progress: GradingProgress) => void;
  /** Stops taking responses up; what was graded stays in the journal. */
  readonly signal?: AbortSignal;
}

/** What a file asks for, before anything is graded. */
export interface GradingPlan {
  readonly rows: number;
  readonly responses: number;
  /** Responses by verifier. */
  readonly verifiers: ReadonlyMap<string, number>;
  /** Rows that no verifier can grade as they are. */
  readonly unfit: readonly UnfitRow[];
  readonly alreadyGraded: number;
}

export interface UnfitRow {
  readonly line: number;
  readonly problem: string;
}

export interface GradingProgress {
  readonly done: number;
  readonly total: number;
  /** Taken from the journal, so no measure of speed. */
  readonly fromJournal: number;
}

export interface FileGrading extends GradingReport {
  readonly rows: number;
  readonly unfit: readonly UnfitRow[];
  readonly fromJournal: number;
  /** `stopped`: by the signal; `nothing`: all was graded before, and the output is there. */
  readonly end: "complete" | "stopped" | "nothing";
}

/** How many rows may wait for a slow one before them, so that a file of any length fits into memory. */
const WINDOW = 512;
/** Problems that an error lists. */
const LISTED = 10;

/** UserError `bad_row` for rows that are none, `nothing_to_grade`, `output_used`, `output_locked`, `identity_changed`, `cannot_write`. */
export async function gradeFile(options: GradeFileOptions): Promise<FileGrading> {
  const { data, verifiers, output } = options;
  const scanned = await scan(data, verifiers, options.problems);
  if (output === undefined) return gradeRows(options, scanned, undefined, undefined);
  const folder = `${output}.progress`;
  const isOurs = existsSync(folder);
  if (existsSync(output) && !isOurs) {
    throw new UserError(
      "output_used",
      `output ${output} already exists. Remove it or give another name, so that no result is overwritten.`,
    );
  }
  const lock = await lockProgressFolder(
    folder,
    output,
    "Two writers would mix their verdicts: wait for it, stop it, or give another output.",
  );
  try {
    const journal = await openJournal(join(folder, "journal.jsonl"));
    try {
      await checkIdentity(journal, folder, { data: scanned.digest, ...options.settings });
      // The identity is an entry too.
      const complete = journal.size - 1 >= scanned.responses - scanned.unfitResponses;
      const partial =
        existsSync(output) && complete
          ? undefined
          : await openRowFile(join(folder, "output.partial"), output);
      try {
        const result = await gradeRows(options, scanned, journal, partial);
        if (partial === undefined) return { ...result, end: "nothing" };
        if (result.end === "complete") await partial.commit();
        return result;
      } finally {
        await partial?.discard();
      }
    } finally {
      await journal.close();
    }
  } finally {
    await lock.release();
  }
}

interface Scanned {
  readonly rows: number;
  readonly responses: number;
  readonly unfit: readonly UnfitRow[];
  readonly unfitResponses: number;
  readonly names: ReadonlyMap<string, number>;
  readonly digest: string;
}

/** Reads the file once before anything is graded: a row that is wrong is better known now than after an hour. */
async function scan(path: string, verifiers: Verifiers, problems: Problems | undefined): Promise<Scanned> {
  const bad: string[] = [];
  const unfit: UnfitRow[] = [];
  const names = new Map<string, number>();
  let [rows, responses, unfitResponses, badRows, digest] = [0, 0, 0, 0, ""];
  const onEnd = (end: string): void => {
    digest = end;
  };
  for await (const { line, value } of readRows(path, { onEnd })) {
    rows++;
    if (!isJsonObject(value)) {
      badRows++;
      if (bad.length < LISTED)
        bad.push(`line ${line}: expected a JSON object, came ${stringifyJson(value).slice(0, 60)}.`);
      continue;
    }
    const read = readRow(value, problems);
    // A row without a response has one verdict too, which says so.
    const own = "problem" in read ? 1 : read.responses.texts.length;
    const problem = "problem" in read ? read.problem : verifiers.problemOf(read.row);
    responses += own;
    if ("problem" in read || problem !== undefined) {
      unfit.push({ line, problem: problem! });
      unfitResponses += own;
    } else {
      const name = verifiers.verifierOf(read.row)!.name;
      names.set(name, (names.get(name) ?? 0) + own);
    }
  }
  if (badRows > 0) {
    const more = badRows > bad.length ? `\n  and ${badRows - bad.length} more` : "";
    throw new UserError(
      "bad_row",
      badRows === 1
        ? `${path}, ${bad[0]}`
        : `${path}: ${badRows} of ${rows} rows are wrong, nothing was graded\n  ${bad.join("\n  ")}${more}`,
    );
  }
  if (unfit.length === rows) throw unfitError(path, rows, unfit, "Nothing was graded.");
  return { rows, responses, unfit, unfitResponses, names, digest };
}

type ReadRow = { readonly row: Row; readonly responses: Responses } | { readonly problem: string };

/** A row with what its problem has, and its responses. */
function readRow(value: Row, problems: Problems | undefined): ReadRow {
  const row = wholeRow(value, problems);
  if (row instanceof Unnamed) return row;
  const responses = responsesOf(row);
  return "problem" in responses ? responses : { row, responses };
}

/** UserError `unfit_rows`: which rows no verifier can grade as they are, and why. */
export function unfitError(path: string, rows: number, unfit: readonly UnfitRow[], end: string): UserError {
  const [first] = unfit;
  const list = unfit.slice(0, LISTED).map(({ line, problem }) => `line ${line}: ${problem}`);
  const more = unfit.length > LISTED ? `\n  and ${unfit.length - LISTED} more` : "";
  return new UserError(
    "unfit_rows",
    unfit.length === 1
      ? `${path}, line ${first!.line}: ${first!.problem} ${end}`
      : `${path}: ${unfit.length} of ${rows} rows cannot be graded as they are. ${end}\n  ${list.join("\n  ")}${more}`,
  );
}

async function checkIdentity(
  journal: Journal,
  folder: string,
  now: Readonly<Record<string, unknown>>,
): Promise<void> {
  const before = await journal.record<Readonly<Record<string, unknown>>>("identity", now);
  const changed = differences(before, now);
  if (changed.length === 0) return;
  const list = changed.map(({ key, before: was, now: is }) =>
    key === "data"
      ? "the data file has changed since"
      : `${key} was ${JSON.stringify(was) ?? "not set"}, is now ${JSON.stringify(is) ?? "not set"}`,
  );
  throw new UserError(
    "identity_changed",
    `${folder} has verdicts of another run: ${list.join("; ")}. Mixed verdicts would be neither run's. Put back what it was, give another output, or remove ${folder} to grade everything anew.`,
  );
}

interface Waiting {
  readonly row: Row;
  readonly line: number;
  readonly several: boolean;
  readonly verdicts: Promise<readonly GradedResponse[]>;
}

async function gradeRows(
  options: GradeFileOptions,
  scanned: Scanned,
  journal: Journal | undefined,
  partial: RowFile | undefined,
): Promise<FileGrading> {
  const { data, problems, verifiers, onRow, onGraded, signal } = options;
  const { rows, responses: total, unfit, names } = scanned;
  await options.onStart?.({
    rows,
    responses: total,
    verifiers: names,
    unfit,
    alreadyGraded: Math.max(0, (journal?.size ?? 1) - 1),
  });
  const report = createReport();
  let [done, fromJournal] = [0, 0];
  const gradeOne = async (row: Row, text: string, key: string): Promise<GradedResponse> => {
    const known = journal?.get(key) as GradedResponse | undefined;
    let graded = known;
    if (known !== undefined) fromJournal++;
    else {
      graded = await verifiers.grade(text, row);
      if (signal?.aborted && graded.outcome === "infrastructure-error") return graded;
      // Recorded in its own time: the next response need not wait for the disk.
      if (graded.outcome !== "infrastructure-error" && journal !== undefined)
        graded = await journal.record(key, graded);
    }
    done++;
    onGraded?.({ done, total, fromJournal });
    return graded!;
  };
  const fault = (row: Row, problem: string): GradedResponse => {
    done++;
    return { ...rowFault(problem), verifier: verifiers.verifierOf(row)?.name ?? "none", seconds: 0 };
  };
  const waiting: Waiting[] = [];
  const settle = async (): Promise<void> => {
    const { row, line, several, verdicts } = waiting.shift()!;
    const graded = await verdicts;
    if (signal?.aborted) return;
    for (const [sample, verdict] of graded.entries()) report.add(verdict, { line, sample });
    const result = { ...row, ...(several ? { verdicts: graded } : { verdict: graded[0] }) };
    await onRow?.(result);
    await partial?.write(result);
  };
  let digest = "";
  const onEnd = (end: string): void => {
    digest = end;
  };
  for await (const { line, value } of readRows(data, { onEnd })) {
    if (signal?.aborted) break;
    const row = value as Row;
    const read = readRow(row, problems);
    const several = !("problem" in read) && read.responses.several;
    const verdicts =
      "problem" in read
        ? Promise.resolve([fault(row, read.problem)])
        : Promise.all(read.responses.texts.map((text, i) => gradeOne(read.row, text, `${line}.${i}`)));
    // Looked at in order, later; until then a failure is nobody's.
    verdicts.catch(() => undefined);
    waiting.push({ row, line, several, verdicts });
    if (waiting.length >= WINDOW) await settle();
  }
  while (waiting.length > 0) await settle();
  if (!signal?.aborted && digest !== scanned.digest) {
    throw new UserError("changed_file", `${data} changed while it was graded: start again.`);
  }
  const end = signal?.aborted ? "stopped" : "complete";
  return { ...report.report(), rows, unfit, fromJournal, end };
}
