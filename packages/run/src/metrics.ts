/**
 * What a run says of itself while it trains: metrics.jsonl (one object a line, TRL's names), TensorBoard events, and
 * trainer_log.jsonl with the keys that readers of LLaMA-Factory's logs expect.
 */
import { open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { asCannotWrite } from "./durable.js";
import { openStepLog, type StepLog } from "./step-log.js";
import { scalarsRecord, sessionStartRecord, versionRecord } from "./tensorboard.js";

/** One line of metrics.jsonl: `step` and numbers by TRL's names; names that begin with `eval_` are of an evaluation. */
export type MetricsLine = { readonly step: number } & { readonly [name: string]: number };

export interface Metrics {
  /** Lines in each of its logs by now, by the name of the file. */
  readonly logs: Readonly<Record<string, number>>;
  /** Throws UserError `cannot_write`. */
  append(line: MetricsLine): Promise<void>;
  /** Makes all lines durable, as before a checkpoint. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Opens the metrics of the run in `dir` that goes on after step `last` (-1: from its very beginning) towards `totalSteps`. */
export async function openMetrics(dir: string, last: number, totalSteps: number): Promise<Metrics> {
  const step = Math.max(0, last);
  const all: Pick<StepLog, "sync" | "close">[] = [];
  const opened = async <T extends (typeof all)[number]>(opening: Promise<T>): Promise<T> => {
    try {
      const file = await opening;
      all.push(file);
      return file;
    } catch (error) {
      for (const file of all) await file.close();
      throw error;
    }
  };
  const lines = await opened(openStepLog(join(dir, "metrics.jsonl"), last));
  const log = await opened(openStepLog(join(dir, "trainer_log.jsonl"), last));
  const events = await opened(openEvents(dir, last + 1));
  const started = performance.now();
  return {
    get logs() {
      return { "metrics.jsonl": lines.lines, "trainer_log.jsonl": log.lines };
    },
    append: async (line) => {
      await lines.append(line);
      await events.append(line);
      if (!("loss" in line)) return;
      await log.append(logLine(line, step, totalSteps, performance.now() - started));
    },
    sync: async () => {
      for (const file of all) await file.sync();
    },
    close: async () => {
      for (const file of all) await file.close();
    },
  };
}

/** A new event file; what earlier ones have from step `first` on is void. */
async function openEvents(dir: string, first: number): Promise<Omit<Metrics, "logs">> {
  const seconds = (): number => Date.now() / 1000;
  const name = `events.out.tfevents.${Math.floor(seconds())}.${hostname()}.${process.pid}.posttrain`;
  const path = join(dir, name);
  const refused = (cause: unknown): never => {
    throw asCannotWrite(path, cause);
  };
  const file = await open(path, "a").catch(refused);
  const append = (record: Uint8Array): Promise<void> => file.appendFile(record).catch(refused);
  await append(Buffer.concat([versionRecord(seconds()), sessionStartRecord(seconds(), first)]));
  return {
    append: ({ step, ...values }) => append(scalarsRecord(seconds(), step, tagged(values))),
    sync: () => file.sync().catch(refused),
    close: () => file.close(),
  };
}

/** As transformers' TensorBoard callback has them: eval_loss is eval/loss, anything else train/... */
function tagged(values: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name.startsWith("eval_") ? `eval/${name.slice("eval_".length)}` : `train/${name}`,
      value,
    ]),
  );
}

/** LLaMA-Factory's keys; `milliseconds` since step `first` was done. */
function logLine(line: MetricsLine, first: number, totalSteps: number, milliseconds: number): object {
  return {
    current_steps: line.step,
    total_steps: totalSteps,
    loss: line["loss"],
    lr: line["learning_rate"],
    epoch: line["epoch"],
    percentage: Math.round((10_000 * line.step) / totalSteps) / 100,
    elapsed_time: clock(milliseconds),
    remaining_time: clock((milliseconds / (line.step - first)) * (totalSteps - line.step)),
    throughput: line["tokens_per_second"],
    total_tokens: line["num_tokens"],
  };
}

/** h:mm:ss */
function clock(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  const two = (value: number): string => String(value % 60).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60))}:${two(seconds)}`;
}
