// results_<date>.json and samples_<task>_<date>.jsonl as lm-evaluation-harness writes them, so that what reads its files reads these:
// the same keys, the same hashes (of a row as Python's json.dumps(doc, indent=2, ensure_ascii=False) writes it), which join two runs.
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { asCannotWrite, writeDurably } from "@posttrain/run";
import type { EvaluateConfig } from "./config.js";
import { referenceAnswer } from "./extract.js";
import type { Question } from "./questions.js";
import type { Graded } from "./respond.js";
import type { Score, Summary } from "./summary.js";

export interface Evaluation {
  readonly config: EvaluateConfig;
  readonly task: string;
  readonly version: number;
  readonly questions: readonly Question[];
  readonly graded: readonly Graded[];
  readonly summary: Summary;
  readonly started: Date;
  readonly ended: Date;
  /** SHA-256 of the model's config and weights. */
  readonly modelDigest: string;
}

export function resultsOf(evaluation: Evaluation): Readonly<Record<string, unknown>> {
  const { config, task, version, questions, summary, started, ended } = evaluation;
  const { extract, num_fewshot: shots } = config;
  const { all, groups } = summary;
  const scores = [all, ...groups.map((group) => ({ ...group, name: `${task}_${group.name}` }))];
  const each = <T>(of: (score: Score) => T): Record<string, T> =>
    Object.fromEntries(scores.map((score) => [score.name, of(score)]));
  return {
    results: Object.fromEntries(
      scores.map((score, i) => [
        score.name,
        metricsOf(score, extract, i > 0 ? ` - ${groups[i - 1]!.name}` : score.name),
      ]),
    ),
    ...(groups.length > 0 && {
      groups: { [task]: metricsOf(all, extract, task) },
      group_subtasks: { [task]: scores.slice(1).map(({ name }) => name) },
    }),
    configs: {
      [task]: { task, dataset_path: config.data, output_type: "generate_until", num_fewshot: shots },
    },
    versions: each(() => version),
    "n-shot": each(() => shots),
    higher_is_better: each(() => ({ exact_match: true, unended: false })),
    "n-samples": each((score) => ({
      original: score.responses,
      effective: score.responses - score.ungraded,
    })),
    config: {
      model: "posttrain",
      model_args: `pretrained=${config.model_name_or_path}`,
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
      [task]: sha256(questions.map(({ doc }) => sha256(JSON.stringify(doc, null, 2))).join("")),
    },
    start_time: started.getTime() / 1000,
    end_time: ended.getTime() / 1000,
    total_evaluation_time_seconds: String((ended.getTime() - started.getTime()) / 1000),
  };
}

function metricsOf(score: Score, filter: string, alias: string): Record<string, unknown> {
  const { exactMatch, unended } = score;
  return {
    alias,
    [`exact_match,${filter}`]: exactMatch?.share ?? "N/A",
    [`exact_match_stderr,${filter}`]: exactMatch?.stderr ?? "N/A",
    [`exact_match_interval,${filter}`]: exactMatch === null ? "N/A" : [exactMatch.low, exactMatch.high],
    [`unended,${filter}`]: unended.share,
    [`unended_stderr,${filter}`]: unended.stderr ?? "N/A",
    correct: exactMatch?.correct ?? 0,
    responses: score.responses,
    without_answer: score.withoutAnswer,
    ungraded: score.ungraded,
  };
}

function generationOf({
  temperature,
  max_new_tokens,
  seed,
}: EvaluateConfig): Readonly<Record<string, number>> {
  return { temperature, max_new_tokens, seed };
}

/** One object for each question, in their order. */
function sampleLines({ config, questions, graded }: Evaluation): readonly object[] {
  return questions.map(({ doc, answer, group }, i) => {
    const { prompt, text, finish, verdict } = graded[i]!;
    const extracted = verdict.details?.["extracted"];
    return {
      doc_id: i,
      doc,
      target: answer,
      arguments: { gen_args_0: { arg_0: prompt, arg_1: generationOf(config) } },
      resps: [[text]],
      filtered_resps: [typeof extracted === "string" ? extracted : ""],
      filter: config.extract,
      metrics: ["exact_match"],
      doc_hash: sha256(JSON.stringify(doc, null, 2)),
      prompt_hash: sha256(prompt),
      target_hash: sha256(answer),
      exact_match: verdict.outcome === "pass" ? 1 : 0,
      reference: referenceAnswer(answer),
      finish_reason: finish,
      ...(group !== undefined && { group }),
      verdict,
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
  const lines = sampleLines(evaluation).map((line) => `${JSON.stringify(line)}\n`);
  await writeDurably(paths.samples, lines.join(""));
  await writeDurably(paths.results, `${JSON.stringify(resultsOf(evaluation), null, 2)}\n`);
  return paths;
}

/** As a file's name, the way lm-evaluation-harness does it. */
const sanitized = (name: string): string => name.replaceAll(/["<>:/\\|?*[\]]+/g, "__");

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
