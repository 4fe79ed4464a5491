// What dpo pairs and reward data have around their work: rows read, models in turn, a line of progress, and a stop that keeps what was done.
import type { OnProgress } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import type { Model } from "@posttrain/model";
import type { RunContext } from "./command.js";
import { modelsInTurn } from "./models-in-turn.js";
import type { Output } from "./output.js";
import { watchReading } from "./reading.js";
import { secondsSince, tokensPerSecond } from "./speed.js";
import { stopOnSignal } from "./stopping.js";

/** What the work is given. */
export interface Making<Told> {
  readonly withModel: <T>(dir: string, body: (model: Model) => Promise<T>) => Promise<T>;
  /** The device of all its models. */
  readonly device: () => Device;
  readonly onReading: OnProgress;
  /** Rows are read: from here on there is something to keep. */
  readonly onStart: () => void;
  readonly onProgress: (told: Told) => void;
  readonly onToken: () => void;
  readonly signal: AbortSignal;
}

/**
 * The report of `work` and the seconds that it took; undefined: somebody asked to stop, which is told, and is the exit code. `partsOf` are the
 * parts of the progress line in their order; the speed of sampling stands before the last.
 */
export async function whileMaking<Told, Report extends { readonly end: string }>(
  context: RunContext,
  config: Parameters<typeof modelsInTurn>[1] & { readonly output: string },
  output: Output,
  partsOf: (told: Told, started: number) => readonly string[],
  work: (making: Making<Told>) => Promise<Report>,
): Promise<{ readonly report: Report; readonly seconds: number } | undefined> {
  const reading = watchReading(output);
  const stopping = stopOnSignal(() => output.say("Stopping: what was done so far is kept ..."));
  const models = modelsInTurn(context, config, output);
  const progress = output.progress();
  const started = performance.now();
  let tokens = 0;
  let told: Told | undefined;
  const line = (): string => {
    const parts = told === undefined ? [] : partsOf(told, started);
    const speed = tokens > 0 ? [tokensPerSecond(tokens, secondsSince(started))] : [];
    return [...parts.slice(0, -1), ...speed, ...parts.slice(-1)].join(", ");
  };
  const onStart = (): void => {
    reading.end();
    stopping.begin();
  };
  try {
    const report = await work({
      withModel: models.use,
      device: models.device,
      onReading: reading.onProgress,
      onStart,
      onProgress: (now) => {
        told = now;
        progress.show(line);
      },
      onToken: () => {
        tokens++;
        progress.show(line);
      },
      signal: stopping.signal,
    });
    progress.end();
    if (report.end !== "stopped") return { report, seconds: secondsSince(started) };
  } catch (error) {
    progress.end();
    if (!stopping.signal.aborted) throw error;
  } finally {
    reading.end();
    await models.close();
    stopping[Symbol.dispose]();
  }
  output.say(`Stopped; what was done is in ${config.output}.progress: the same command goes on from there.`);
  process.exitCode = stopping.exitCode();
  return undefined;
}
