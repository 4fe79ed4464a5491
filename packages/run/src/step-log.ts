/**
 * A JSONL file with a line for each step. A run that goes on after some step cuts off what lies beyond it: those steps
 * come again. A process killed while it appended leaves a torn last line, which is cut off too.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { mostLogBytes, readRegularFile, stringifyJson, UserError } from "@posttrain/data";
import { asCannotWrite, writeDurably } from "./durable.js";

export interface StepLog {
  /** In the file by now. */
  readonly lines: number;
  /** Throws UserError `cannot_write`. */
  append(line: object): Promise<void>;
  /** Makes the lines so far durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A line has its step as `step`, or, with LLaMA-Factory's keys, as `current_steps`. */
const stepKeys = ["step", "current_steps"];

/** Opens `path` after step `last` (-1: nothing of it counts). Throws UserError `bad_step_log`, `cannot_write`. */
export async function openStepLog(path: string, last: number): Promise<StepLog> {
  let lines = await cutAfter(path, last);
  const handle = await open(path, "a").catch((cause: unknown) => {
    throw asCannotWrite(path, cause);
  });
  const guarded = (work: Promise<void>): Promise<void> =>
    work.catch((cause: unknown) => {
      throw asCannotWrite(path, cause);
    });
  return {
    get lines() {
      return lines;
    },
    append: async (line) => {
      await guarded(handle.appendFile(`${stringifyJson(line)}\n`));
      lines++;
    },
    sync: () => guarded(handle.sync()),
    close: () => handle.close(),
  };
}

/** What is missing of the logs in `dir`, of which each had so many lines up to step `last`: a sentence for each. */
export async function missingLines(
  dir: string,
  logs: Readonly<Record<string, number>>,
  last: number,
): Promise<readonly string[]> {
  const sentences: string[] = [];
  for (const [name, expected] of Object.entries(logs)) {
    const found = (await wholeLines(join(dir, name)))?.lines;
    const steps = (found ?? []).flatMap((line) => stepOf(line) ?? []).filter((step) => step <= last);
    if (steps.length >= expected) continue;
    const left =
      found === undefined
        ? "the file is not there"
        : steps.length === 0
          ? "none is left"
          : `what is left is of steps ${Math.min(...steps)} to ${Math.max(...steps)}`;
    sentences.push(
      `${join(dir, name)}: ${expected - steps.length} of the ${expected} lines up to step ${last} are missing; ${left}.`,
    );
  }
  return sentences;
}

/** Returns how many lines are left. */
async function cutAfter(path: string, last: number): Promise<number> {
  const whole = await wholeLines(path);
  if (whole === undefined) return 0;
  const kept: string[] = [];
  for (const [index, line] of whole.lines.entries()) {
    const step = stepOf(line);
    if (step === undefined) {
      const keys = stepKeys.map((key) => JSON.stringify(key)).join(" or ");
      throw new UserError(
        "bad_step_log",
        `${path}, line ${index + 1} is not one of its lines: expected a JSON object with a number ${keys}. Mend or delete the line, then resume again.`,
      );
    }
    if (step <= last) kept.push(`${line}\n`);
  }
  const text = kept.join("");
  if (text !== whole.text) await writeDurably(path, text);
  return kept.length;
}

/** Without what follows the last line feed: nothing, or a torn line. undefined: no such file. */
async function wholeLines(
  path: string,
): Promise<{ readonly text: string; readonly lines: readonly string[] } | undefined> {
  const bytes = await readRegularFile(path, mostLogBytes).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new UserError(
      "bad_step_log",
      `${path} cannot be read (${error.message}). Move away what stands in its place, then start again.`,
      { cause: error },
    );
  });
  const text = bytes?.toString("utf8");
  return text === undefined ? undefined : { text, lines: text.split("\n").slice(0, -1) };
}

function stepOf(line: string): number | undefined {
  try {
    const object = JSON.parse(line) as Record<string, unknown> | null;
    return stepKeys.map((key) => object?.[key]).find((value) => typeof value === "number");
  } catch {
    return undefined;
  }
}
