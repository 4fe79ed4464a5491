/**
 * A JSONL file with a line for each step. A run that goes on after some step cuts off what lies beyond it: those steps
 * come again. A process killed while it appended leaves a torn last line, which is cut off too.
 */
import { open, readFile } from "node:fs/promises";
import { UserError } from "@posttrain/data";
import { asCannotWrite, writeDurably } from "./durable.js";

export interface StepLog {
  /** Throws UserError `cannot_write`. */
  append(line: object): Promise<void>;
  /** Makes the lines so far durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Opens `path` after step `last` (-1: nothing of it counts), which its lines give as the number `key`. Throws UserError `bad_step_log`, `cannot_write`. */
export async function openStepLog(path: string, last: number, key = "step"): Promise<StepLog> {
  await cutAfter(path, last, key);
  const handle = await open(path, "a").catch((cause: unknown) => {
    throw asCannotWrite(path, cause);
  });
  const guarded = (work: Promise<void>): Promise<void> =>
    work.catch((cause: unknown) => {
      throw asCannotWrite(path, cause);
    });
  return {
    append: (line) => guarded(handle.appendFile(`${JSON.stringify(line)}\n`)),
    sync: () => guarded(handle.sync()),
    close: () => handle.close(),
  };
}

async function cutAfter(path: string, last: number, key: string): Promise<void> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return;
  const lines = text.split("\n");
  lines.pop(); // what follows the last line feed: nothing, or a torn line
  const kept: string[] = [];
  for (const [index, line] of lines.entries()) {
    const step = stepOf(line, key);
    if (step === undefined) {
      throw new UserError(
        "bad_step_log",
        `${path}, line ${index + 1} is not one of its lines: expected a JSON object with a number ${JSON.stringify(key)}. Mend or delete the line, then resume again.`,
      );
    }
    if (step <= last) kept.push(`${line}\n`);
  }
  const whole = kept.join("");
  if (whole !== text) await writeDurably(path, whole);
}

function stepOf(line: string, key: string): number | undefined {
  try {
    const value = (JSON.parse(line) as Record<string, unknown> | null)?.[key];
    return typeof value === "number" ? value : undefined;
  } catch {
    return undefined;
  }
}
