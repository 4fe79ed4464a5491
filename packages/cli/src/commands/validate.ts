// posttrain validate: everything that comes before the model. It takes what a stage takes and reads rows as the stage does, but
// goes on after a bad one, so that all that is wrong with a file is said at once.
import { byteText, loadTokenizer, type Reject, summarizeRejects, UserError } from "@posttrain/data";
import { openModelFolder, resolveStopIds } from "@posttrain/model";
import { planTraining, refusalOf, type TrainingPlan } from "@posttrain/train";
import { z } from "zod";
import { type Command, defineCommand, type RunContext } from "../command.js";
import { contentTokenLines } from "../content-tokens.js";
import { exitCodes } from "../failure.js";
import { count, plural, shellQuote } from "../format.js";
import { valueText } from "../options.js";
import { createOutput, type Output } from "../output.js";
import { watchReading } from "../reading.js";
import { openResultFile } from "../result-file.js";
import type { Stage, StageConfig, StageData, StageRow } from "../stages/stage.js";
import { limitOf, rowsText } from "../stages/telling.js";
import { configOf, unrunOptions } from "../stages/unrun-options.js";
import { turnEndsJson, turnEndsText } from "../turn-ends.js";
import { histogram, type Lengths, summarizeLengths } from "../validate/lengths.js";
import { sampleLines, segmentsOf, spread } from "../validate/samples.js";
import { type Plan, planOf, stepTable } from "../validate/step-table.js";

const own = {
  rejects: z.string().optional().describe("new file for the rows that would be lost: line, reason, remedy"),
  samples: z.int().nonnegative().default(3).describe("rows to show with what is trained in them"),
};

export const command = (stage: Stage): Command =>
  defineCommand({
    options: unrunOptions(stage, own),
    examples: [
      [
        "npx posttrain validate --model_name_or_path runs/quickstart-1/model \\\n--data runs/quickstart-1/training.jsonl --packing",
        "the rows that npm start has made",
      ],
      [
        "npx posttrain validate --config run.yaml --rejects rejects.jsonl",
        `what ${stage.name} --config run.yaml will do`,
      ],
    ],
    notes:
      "It takes every option of the stage, of which the model folder, data and what says how rows are read count. Exit code 1: a row is bad, or too long, " +
      "or cut, or the run takes more memory than there is; every one of them is counted and, with --rejects, listed with line, reason and remedy. Trained tokens of the sample rows are green; " +
      'without colour they stand between ⟦ and ⟧. --json prints all of it as one object: {"ok", "counts", "rejects", "eval_rejects", ' +
      '"repeated_rows", "content_tokens", "turn_ends", "train_rows", "eval_rows", "lengths", "plan", "memory", "samples", "digests"}; --quiet one line.',
    run: async (options, context) => {
      const { rejects: file, samples } = options;
      const config = configOf(stage, options);
      const { config: model, generationConfig } = await openModelFolder(config.model_name_or_path, "either");
      const stops = resolveStopIds(generationConfig, model);
      const results = file === undefined ? undefined : await openResultFile(file);
      try {
        const output = createOutput(context, process.stdout);
        const reading = watchReading(output);
        const data = await stage.prepare(config, "reject", reading.onProgress);
        reading.end();
        const rejects: readonly (Reject & { readonly file: string })[] = [
          ...data.rejects.map((reject) => ({ file: data.file ?? config.data, ...reject })),
          ...data.evalRejects.map((reject) => ({ file: config.eval_data!, ...reject })),
        ];
        for (const reject of rejects) await results?.write(reject);
        await results?.commit();
        const lost = rejects.filter((reject) => isLoss(reject, data.longestRow));
        const checked = await check(stage, config, data, samples, context);
        report(stage, config, data, checked, { context: model.maxPositionEmbeddings, stops }, output);
        const verdict =
          lost.length > 0
            ? `${plural(lost.length, "row")} would be lost or cut; mend ${lost.length === 1 ? "it" : "them"}, or leave ${lost.length === 1 ? "it" : "them"} out.` +
              (file === undefined ? " --rejects FILE lists every one." : ` All of them: ${file}`)
            : `sound: nothing of ${plural(data.counts.read, "row")} is lost`;
        output.print("");
        output.table([
          [lost.length > 0 ? "lost" : "ok", verdict],
          ...(lost.length > 0 || checked.refusal !== undefined
            ? []
            : [["next", nextCommand(stage, options, context)] as const]),
        ]);
        output.result({
          quiet: verdict,
          json: { ok: lost.length === 0 && checked.refusal === undefined, ...jsonOf(data, checked, stops) },
        });
        if (lost.length > 0 || checked.refusal !== undefined) process.exitCode = exitCodes.mistake;
      } finally {
        await results?.discard();
      }
    },
  });

/** Of a row that somebody else has packed, a piece may have no trained token: it is left out, and listed, but nothing is lost with it. */
function isLoss({ reason, tokens }: Reject, longestRow: number): boolean {
  return reason !== "emptied" || tokens === null || tokens > longestRow;
}

interface Checked {
  /** Before any cut. Undefined when no row could be read. */
  readonly lengths: Lengths | undefined;
  /** Undefined when no row is left to train on. */
  readonly plan: Plan | undefined;
  /** What the run takes of the machine, and why it cannot be begun here if it cannot. */
  readonly takes: TrainingPlan | undefined;
  readonly refusal: string | undefined;
  readonly samples: readonly {
    readonly line: number;
    readonly id: string;
    readonly tokens: number;
    readonly segments: ReturnType<typeof segmentsOf>;
  }[];
  readonly repeated: number;
}

async function check(
  stage: Stage,
  config: StageConfig,
  data: StageData,
  samples: number,
  { device: backend, threads, cpu_path: path }: RunContext,
): Promise<Checked> {
  const rows = [...data.trainRows, ...data.evalRows];
  const shown = spread(data.trainRows, samples);
  const tokenizer = shown.length === 0 ? undefined : await tokenizerOf(config.model_name_or_path);
  const cut = new Map(
    data.rejects.filter(({ reason }) => reason === "truncated").map(({ id, tokens }) => [id, tokens]),
  );
  const left = data.rejects.filter(({ reason }) => reason !== "truncated").map(({ tokens }) => tokens);
  const own = config.eval_data === undefined ? rows : data.trainRows;
  const planned = stage.plan(config, data);
  const sizesOf = (row: StageRow): readonly number[] =>
    stage.describe.sequences(row).map(({ inputIds }) => inputIds.length);
  const tokensOf = (row: StageRow): number => sizesOf(row).reduce((sum, tokens) => sum + tokens, 0);
  /** What is held against the limit. */
  const longestOf = (row: StageRow): number => Math.max(...sizesOf(row));
  const lengths = [...own.map((row) => cut.get(row.id) ?? longestOf(row)), ...left].filter(
    (length) => length !== null,
  );
  const takes =
    data.units.length === 0 ? undefined : await planTraining(config, planned, { backend, threads, path });
  return {
    lengths: lengths.length === 0 ? undefined : summarizeLengths(lengths),
    plan: data.units.length === 0 ? undefined : planOf(config, data, planned),
    takes,
    refusal: takes && (await refusalOf(takes, config, planned, { backend, threads, path })),
    samples: shown.map((row) => ({
      line: row.line,
      id: row.id,
      tokens: tokensOf(row),
      segments: stage.describe.sequences(row).flatMap((sequence) => segmentsOf(sequence, tokenizer)),
    })),
    repeated: own.filter(({ id }) => id.includes("#")).length,
  };
}

/** Rows that bring their tokens do without: then samples show ids. */
async function tokenizerOf(dir: string) {
  try {
    return await loadTokenizer(dir);
  } catch (error) {
    if (error instanceof UserError && error.code === "missing_tokenizer") return undefined;
    throw error;
  }
}

function report(
  stage: Stage,
  config: StageConfig,
  data: StageData,
  checked: Checked,
  { context, stops }: { readonly context: number; readonly stops: readonly number[] },
  output: Output,
): void {
  const { counts } = data;
  const { lengths, plan, takes, refusal, samples, repeated } = checked;
  const formats = Object.entries(counts.formats).map(([format, rows]) => `${format} ${count(rows)}`);
  const evaluation =
    config.eval_data === undefined
      ? `kept out of ${config.data} by val_size ${config.val_size}`
      : config.eval_data;
  output.table([
    ["data", rowsText(config, data, ` (${formats.join(", ") || "none"})`)],
    ...(data.evalRows.length > 0
      ? [["held out", `${plural(data.evalRows.length, "row")}, ${evaluation}`] as const]
      : []),
    ...(data.turnEnds !== undefined && data.turnEnds.turns > 0
      ? [["turns end", turnEndsText(data.turnEnds, stops, stage.name)] as const]
      : []),
    ...(repeated > 0
      ? [["repeated", `${plural(repeated, "row")} with the content of an earlier one, kept`] as const]
      : []),
    ...beyondContext(stage, config, context),
  ]);
  printRejects(output, data.file ?? config.data, data.rejects);
  const { lostTrainedTokens: gone = 0 } = counts;
  if (gone > 0) {
    const { overlong = "" } = stage.limits;
    output.say(
      `  With them go ${plural(gone, "trained token")}: ${overlong} is ${optionOf(config, overlong)}.`,
    );
  }
  if (config.eval_data !== undefined) printRejects(output, config.eval_data, data.evalRejects);
  const tokens = contentTokenLines(data.contentTokens, config.special_tokens_in_content);
  if (tokens.length > 0) {
    output.print(
      `\nTokens of the model in the text of messages (special_tokens_in_content ${config.special_tokens_in_content})`,
    );
    for (const line of tokens) output.say(`  ${line}`);
  }
  if (lengths !== undefined) {
    output.say(
      `\nTokens a row: shortest ${count(lengths.shortest)}, median ${count(lengths.median)}, 90 % at most ${count(lengths.p90)}, 99 % ${count(lengths.p99)}, longest ${count(lengths.longest)}`,
    );
    const limit = limitOf(stage, config, data);
    for (const line of histogram(lengths, output.columns - 2, limit)) output.print(`  ${line}`);
  }
  if (plan !== undefined) {
    output.print("");
    for (const line of stepTable(plan, stage.describe.drawn)) output.print(line);
    if (plan.packing !== null) {
      output.say(
        `\nPacks of ${count(limitOf(stage, config, data).value)} tokens: ${(100 * plan.packing.waste_share).toFixed(1)} % stays empty (${plural(plan.packing.waste_tokens, "token")})`,
      );
    }
  }
  if (takes !== undefined) {
    output.say(
      refusal ??
        `\nMemory: ${byteText(takes.resident)} at most, of ${byteText(takes.available)}. posttrain plan says what takes it, and how long the run takes.`,
    );
  }
  for (const { line, tokens, segments } of samples) {
    output.print(`\nLine ${count(line)}, ${plural(tokens, "token")}:`);
    for (const name of new Set(segments.map(({ sequence }) => sequence))) {
      if (name !== undefined) output.print(`  ${name}:`);
      const own = segments.filter(({ sequence }) => sequence === name);
      for (const text of sampleLines(own, { columns: output.columns - 2, coloured: output.coloured })) {
        output.draw(`  ${text}`);
      }
    }
  }
}

function optionOf(config: StageConfig, name: string): unknown {
  return (config as Readonly<Record<string, unknown>>)[name];
}

/** Of a limit that is beyond what the model has learnt. */
function beyondContext(
  { limits: { longest } }: Stage,
  config: StageConfig,
  context: number,
): readonly (readonly [string, string])[] {
  const limit = optionOf(config, longest) as number;
  if (limit <= context) return [];
  const fate =
    optionOf(config, "allow_beyond_context") === true
      ? "longer rows are trained all the same, as allow_beyond_context says, at positions that it has not learnt"
      : "a row may have no more than that";
  return [
    [
      "note",
      `${longest} ${count(limit)} is more than the model's context of ${count(context)} tokens: ${fate}`,
    ],
  ];
}

function printRejects(output: Output, file: string, rejects: readonly Reject[]): void {
  if (rejects.length === 0) return;
  output.print(`\nLost or cut of ${file}: ${plural(rejects.length, "row")}`);
  for (const { reason, count: rows, examples } of summarizeRejects(rejects)) {
    output.print(`  ${reason}: ${plural(rows, "row")}`);
    for (const { line, remedy } of examples) {
      // The remedy of a bad row begins with its place.
      const place = `${file}, line ${line}`;
      const text = remedy.startsWith(place) ? remedy.slice(place.length).replace(/^:? /, "") : remedy;
      output.say(`    line ${count(line)}: ${text}`);
    }
    if (rows > examples.length) output.print(`    and ${plural(rows - examples.length, "row")} more`);
  }
}

function jsonOf(
  data: StageData,
  { lengths, plan, takes, samples, repeated }: Checked,
  stops: readonly number[],
): object {
  return {
    counts: data.counts,
    rejects: summarizeRejects(data.rejects),
    eval_rejects: summarizeRejects(data.evalRejects),
    repeated_rows: repeated,
    content_tokens: data.contentTokens,
    turn_ends: data.turnEnds === undefined ? null : turnEndsJson(data.turnEnds, stops),
    train_rows: data.trainRows.length,
    eval_rows: data.evalRows.length,
    lengths: lengths ?? null,
    plan: plan ?? null,
    memory: takes?.memory ?? null,
    samples,
    digests: data.digests,
  };
}

/** The stage with what validate was told. */
function nextCommand(
  { name: command, config: { shape } }: Stage,
  options: Readonly<Record<string, unknown>>,
  { config: file, sources }: RunContext,
): string {
  const flags = [...sources].flatMap(([name, { kind }]) => {
    const value = options[name];
    if (kind !== "flag" || !(name in shape) || value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name} ${shellQuote(valueText(value))}`];
  });
  return [
    `npx posttrain ${command}`,
    ...(file === undefined ? [] : [`--config ${shellQuote(file)}`]),
    ...flags,
    ...(options["output_dir"] === undefined ? ["--output_dir RUN"] : []),
  ].join(" ");
}
