// posttrain init: looks at a model folder and at rows, and writes a config for a stage with the reason for each value.
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { loadChatTemplate, loadTokenizer, type OnProgress, splitRows, UserError } from "@posttrain/data";
import { defaultMemoryLimit, machineMemory } from "@posttrain/kernels";
import { openModelFolder, parameterCount, refuseTooLarge, resolveStopIds } from "@posttrain/model";
import { stringify } from "yaml";
import { z } from "zod";
import { type Command, defineCommand } from "../command.js";
import { count, millions, plural, shellQuote, wrap } from "../format.js";
import { heldOutRows, type Suggestion, suggest } from "../init/suggest.js";
import { createOutput } from "../output.js";
import { watchReading } from "../reading.js";
import { openResultFile } from "../result-file.js";
import type { Stage, StageData } from "../stages/stage.js";
import { stageOption } from "../stages/stage-option.js";
import { tokensText } from "../stages/telling.js";
import { configOf } from "../stages/unrun-options.js";
import { turnEndsJson, turnEndsText } from "../turn-ends.js";

export const command = (stage: Stage): Command =>
  defineCommand({
    options: z.strictObject({
      ...stageOption,
      model_name_or_path: z.string().describe("Hugging Face folder of the model to start from"),
      data: z
        .string()
        .describe("training rows, JSONL, JSON, CSV or Parquet, in any form that the stage takes"),
      output: z.string().default("run.yaml").describe("new file for the config"),
      output_dir: z
        .string()
        .optional()
        .describe("folder of the run that the config names (default: under runs/, called as the config)"),
    }),
    examples: [
      [
        "npx posttrain init --model_name_or_path runs/quickstart-1/model \\\n--data runs/quickstart-1/training.jsonl --output arithmetic.yaml",
        "a config for what npm start has made",
      ],
      [
        "npx posttrain init --model_name_or_path ~/models/Qwen2.5-0.5B --data rows.jsonl \\\n--output first.yaml --output_dir runs/first",
        `your own model and rows; then validate and ${stage.name} with --config first.yaml`,
      ],
    ],
    notes:
      "It reads the model's config and all rows, and changes nothing but the new file, which it never puts over an old one. Every value stands there " +
      'with its reason; change what you know better. --json prints {"config", "options", "model", "rows"}; --quiet the file\'s path.',
    run: async ({ model_name_or_path: dir, data: path, output: file, output_dir }, context) => {
      const { config, generationConfig } = await openModelFolder(dir, "either");
      refuseTooLarge(dir, config, "bf16", defaultMemoryLimit());
      const stops = resolveStopIds(generationConfig, config);
      const results = await openResultFile(file);
      try {
        const parameters = parameterCount(config);
        const output = createOutput(context, process.stdout);
        const reading = watchReading(output);
        const { data, date } = await readRows(stage, dir, path, reading.onProgress);
        reading.end();
        const rows = data.trainRows;
        const bad = data.rejects.length;
        if (rows.length === 0) {
          throw new UserError(
            "no_rows",
            `${path}: none of its ${plural(data.counts.read, "row")} can be trained on, so there is nothing to suggest. The first: ${data.rejects[0]?.remedy ?? "no rows"}`,
          );
        }
        const template = await hasTemplate(dir);
        const sizes = rows.map((row) => stage.describe.sequences(row).map(({ inputIds }) => inputIds.length));
        const lengths = sizes.map((sequences) => Math.max(...sequences));
        const within = rows.filter((_, i) => lengths[i]! <= config.maxPositionEmbeddings);
        const heldOut = holdOut(within.map((row) => ({ id: row.id, inputIds: stage.suggest.alike(row) })));
        const memory = machineMemory();
        const values = [
          {
            key: "stage",
            value: stage.name,
            reason: `the stage of training: validate and plan take this config as ${stage.name} does`,
          },
          ...(await suggest(stage, { config, parameters, lengths, heldOut, memory })),
        ];
        const runDir = output_dir ?? (await freeFolder(file));
        const fixed = {
          model_name_or_path: dir,
          data: path,
          output_dir: runDir,
          ...(date !== undefined && { template_date: date }),
        };
        const options = { ...fixed, ...Object.fromEntries(values.map(({ key, value }) => [key, value])) };
        stage.config.parse(configOf(stage, options));
        const formats = Object.keys(data.counts.formats);
        const model = `${millions(parameters)} parameters, context of ${count(config.maxPositionEmbeddings)} tokens, ${template ? "with" : "without"} a chat template`;
        const rowsText = `${plural(rows.length, "sound row")} (${formats.join(", ")}), ${tokensText(data.counts)}`;
        const ends = data.turnEnds && turnEndsText(data.turnEnds, stops, stage.name);
        await results.writeText(text(stage, { fixed, values, model, rows: rowsText, ends, bad }));
        await results.commit();

        output.table([
          ["model", `${dir}: ${model}`],
          ["data", `${path}: ${rowsText}`],
          ...(ends === undefined ? [] : ([["turns end", ends]] as const)),
          ...(bad > 0
            ? [
                [
                  "bad",
                  `${plural(bad, "row")} cannot be trained on: validate lists them with what to do`,
                ] as const,
              ]
            : []),
          ["", ""],
          ["written", `${file}, each value with its reason`],
          ["next", `npx posttrain validate --config ${shellQuote(file)}`],
          ["", `npx posttrain ${stage.name} --config ${shellQuote(file)}`],
        ]);
        output.result({
          quiet: file,
          json: {
            config: file,
            options,
            model: { parameters, context: config.maxPositionEmbeddings, chat_template: template },
            rows: {
              sound: rows.length,
              bad,
              formats: data.counts.formats,
              tokens: data.counts.tokens,
              turn_ends: data.turnEnds === undefined ? null : turnEndsJson(data.turnEnds, stops),
            },
          },
        });
      } finally {
        await results.discard();
      }
    },
  });

/** All rows at their full length. A template that writes today's date gets today's, which the config then states. */
async function readRows(
  stage: Stage,
  dir: string,
  path: string,
  onProgress: OnProgress,
): Promise<{ readonly data: StageData; readonly date: string | undefined }> {
  const read = (template_date?: string): Promise<StageData> => {
    const { whole } = stage.suggest;
    const given = { model_name_or_path: dir, data: path, output_dir: "", ...whole, template_date };
    return stage.prepare(stage.config.parse(given), "reject", onProgress);
  };
  const data = await read();
  if (!data.rejects.some(({ reason }) => reason === "template_needs_date")) return { data, date: undefined };
  const date = new Date().toISOString().slice(0, 10);
  return { data: await read(date), date };
}

async function hasTemplate(dir: string): Promise<boolean> {
  try {
    await Promise.all([loadTokenizer(dir), loadChatTemplate(dir)]);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** How many rows the stage will keep out of training: rows that are alike stay together, so there may be fewer than asked for, or no choice. */
function holdOut(rows: Parameters<typeof splitRows>[0]): number {
  const wanted = heldOutRows(rows.length);
  try {
    return splitRows(rows, wanted, 42).validation.length;
  } catch (error) {
    if (error instanceof UserError) return 0;
    throw error;
  }
}

/** runs/NAME of the config, or NAME-2, ...: the first that is not there or empty. */
async function freeFolder(config: string): Promise<string> {
  const name = basename(config).replace(/\.ya?ml$/, "");
  for (let n = 1; ; n++) {
    const dir = join("runs", n === 1 ? name : `${name}-${n}`);
    const entries = await readdir(dir).catch(() => []);
    if (entries.length === 0) return dir;
  }
}

interface Parts {
  readonly fixed: Readonly<Record<string, string>>;
  readonly values: readonly Suggestion[];
  readonly model: string;
  readonly rows: string;
  /** Undefined where no turns are trained. */
  readonly ends: string | undefined;
  readonly bad: number;
}

function text(stage: Stage, { fixed, values, model, rows, ends, bad }: Parts): string {
  const comment = (words: string): string => `# ${wrap(words, 98).replaceAll("\n", "\n# ")}`;
  const entry = (key: string, value: unknown): string => stringify({ [key]: value }).trimEnd();
  return [
    comment(
      `${stage.describe.title}, written by posttrain init: every value with its reason. All others: posttrain ${stage.name} --help.`,
    ),
    comment(`Model: ${model}.`),
    comment(`Rows: ${rows}.`),
    ...(ends === undefined ? [] : [comment(`End of trained turns: ${ends}.`)]),
    ...(bad > 0
      ? [comment(`${plural(bad, "further row")} cannot be trained on: posttrain validate lists them.`)]
      : []),
    "",
    ...Object.entries(fixed).map(([key, value]) => entry(key, value)),
    ...values.flatMap(({ key, value, reason }) => ["", comment(reason), entry(key, value)]),
    "",
  ].join("\n");
}
