// results_<date>.json and samples_<task>_<date>.jsonl as lm-evaluation-harness writes them, so that what reads its files reads these:
// the same keys, the same hashes (of a row as Python's json.dumps(doc, indent=2, ensure_ascii=False) writes it), which join two runs.
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { referenceAnswer } from "@posttrain/answers";
import { asPythonJson, stringifyJson } from "@posttrain/data";
import { asCannotWrite, writeDurably } from "@posttrain/run";
import type { EvaluateConfig } from "./config.js";
import type { Answered } from "./measures.js";
import type { Question } from "./questions.js";
import { spreadOf } from "./spread.js";
import type { Score, Summary } from "./summary.js";

export interface Evaluation {
  readonly config: EvaluateConfig;
  readonly task: string;
  readonly version: number;
  readonly questions: readonly Question[];
  readonly answered: readonly Answered[];
  /** How the answer was found: the extraction of exact match, or a verifier. */
  readonly filter: string;
  readonly summary: Summary;
  readonly started: Date;
  readonly ended: Date;
  /** SHA-256 of the model's config and weights. */
  readonly modelDigest: string;
}

export function resultsOf(evaluation: Evaluation): Readonly<Record<string, unknown>> {
  const { config, task, version, questions, summary, started, ended } = evaluation;
  const { num_fewshot: shots } = config;
  const { filter } = evaluation;
  const { all, groups } = summary;
  const spread = spreadOf(summary);
  const scores = [all, ...groups.map((group) => ({ ...group, name: `${task}_${group.name}` }))];
  const each = <T>(of: (score: Score) => T): Record<string, T> =>
    Object.fromEntries(scores.map((score) => [score.name, of(score)]));
  return {
    results: Object.fromEntries(
      scores.map((score, i) => [
        score.name,
        metricsOf(score, filter, i > 0 ? ` - ${groups[i - 1]!.name}` : score.name),
      ]),
    ),
    ...(spread !== undefined && { spread }),
    ...(groups.length > 0 && {
      groups: { [task]: metricsOf(all, filter, task) },
      group_subtasks: { [task]: scores.slice(1).map(({ name }) => name) },
    }),
    configs: {
      [task]: { task, dataset_path: config.data, output_type: "generate_until", num_fewshot: shots },
    },
    versions: each(() => version),
    "n-shot": each(() => shots),
    higher_is_better: each(({ metrics }) => ({
      ...Object.fromEntries(metrics.map(({ name }) => [name, true])),
      unended: false,
    })),
    "n-samples": each((score) => ({
      original: score.responses,
      effective: score.responses - score.ungraded,
    })),
    config: {
      model: "posttrain",
      model_args: `pretrained=${config.model_name_or_path}${config.dtype === "float32" ? "" : `,dtype=${config.dtype}`}`,
      model_sha256: evaluation.modelDigest,
      batch_size: "auto",
      device: "cpu",
      limit: config.limit ?? null,
      gen_kwargs: generationOf(config),
      random_seed: config.seed,
    },
    date: started.getTime() / 1000,
    model_source: "posttrain",
    model_name: config.model_name_or_path,
    model_name_sanitized: sanitized(config.model_name_or_path),
    task_hashes: {
      [task]: sha256(questions.map(({ doc }) => sha256(asPythonJson(doc, 2))).join("")),
    },
    start_time: started.getTime() / 1000,
    end_time: ended.getTime() / 1000,
    total_evaluation_time_seconds: String((ended.getTime() - started.getTime()) / 1000),
  };
}

function metricsOf(score: Score, filter: string, alias: string): Record<string, unknown> {
  const { exactMatch, metrics, unended } = score;
  const values = metrics.flatMap(({ name, value }): [string, unknown][] => [
    [`${name},${filter}`, value?.share ?? "N/A"],
    [`${name}_stderr,${filter}`, value?.stderr ?? "N/A"],
    [`${name}_interval,${filter}`, value === null ? "N/A" : [value.low, value.high]],
  ]);
  return {
    alias,
    ...Object.fromEntries(values),
    [`unended,${filter}`]: unended.share,
    [`unended_stderr,${filter}`]: unended.stderr ?? "N/A",
    correct: exactMatch?.correct ?? 0,
    responses: score.responses,
    without_answer: score.withoutAnswer,
    ungraded: score.ungraded,
  };
}

function generationOf(config: EvaluateConfig): Readonly<Record<string, unknown>> {
  const { temperature, max_new_tokens, seed, num_samples, stop, stop_ids } = config;
  return {
    ...{ temperature, max_new_tokens, seed },
    ...(num_samples > 1 && { num_samples }),
    ...(stop.length > 0 && { until: stop }),
    ...(stop_ids.length > 0 && { stop_ids }),
  };
}

/** One object for each question, in their order. */
function sampleLines({ config, questions, answered, summary, filter }: Evaluation): readonly object[] {
  const main = summary.all.metrics[0]?.name ?? "exact_match";
  return questions.map(({ doc, answer, group }, i) => {
    const { samples, majority } = answered[i]!;
    const { prompt, finish, verdict } = samples[0]!;
    const outcomes = samples.map((sample) => sample.verdict.outcome);
    const graded = outcomes.filter((outcome) => outcome !== "infrastructure-error").length;
    const passed = outcomes.filter((outcome) => outcome === "pass").length;
    return {
      doc_id: i,
      doc,
      target: answer,
      arguments: { gen_args_0: { arg_0: prompt, arg_1: generationOf(config) } },
      resps: [samples.map(({ text }) => text)],
      filtered_resps: samples.map((sample) => {
        const extracted = sample.verdict.details?.["extracted"];
        return typeof extracted === "string" ? extracted : "";
      }),
      filter,
      metrics: [main],
      doc_hash: sha256(asPythonJson(doc, 2)),
      prompt_hash: sha256(prompt),
      target_hash: sha256(answer),
      // Of what could be graded; null where nothing could.
      [main]: samples.length === 1 ? passed : graded === 0 ? null : passed / graded,
      reference: referenceAnswer(answer),
      finish_reason: finish,
      ...(group !== undefined && { group }),
      verdict,
      ...(samples.length > 1 && {
        finish_reasons: samples.map((sample) => sample.finish),
        verdicts: samples.map((sample) => sample.verdict),
        majority: majority ?? null,
      }),
    };
  });
}

/** Makes the folder of a model's results, before the long work. UserError `cannot_write`. */
export async function makeResultFolder({ output_dir, model_name_or_path }: EvaluateConfig): Promise<string> {
  const dir = join(output_dir!, sanitized(model_name_or_path));
  try {
    await mkdir(dir, { recursive: true });
    await access(dir, constants.W_OK);
  } catch (cause) {
    throw asCannotWrite(dir, cause);
  }
  return dir;
}

/** Writes both files into `dir`, each whole or not at all, and returns their paths. UserError `cannot_write`. */
export async function writeResults(
  dir: string,
  evaluation: Evaluation,
): Promise<{ readonly results: string; readonly samples: string }> {
  const { task, started } = evaluation;
  const date = started.toISOString().slice(0, -1).replaceAll(":", "-");
  const paths = {
    results: join(dir, `results_${date}.json`),
    samples: join(dir, `samples_${sanitized(task)}_${date}.jsonl`),
  };
  const lines = sampleLines(evaluation).map((line) => `${stringifyJson(line)}\n`);
  await writeDurably(paths.samples, lines.join(""));
  await writeDurably(paths.results, `${stringifyJson(resultsOf(evaluation), 2)}\n`);
  return paths;
}

/** As a file's name, the way lm-evaluation-harness does it. */
const sanitized = (name: string): string => name.replaceAll(/["<>:/\\|?*[\]]+/g, "__");

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
