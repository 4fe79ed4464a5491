// The published suites, each through the mode of its own grader: what it expects and what we say.
import { readFileSync } from "node:fs";
import {
  type AnswerOptions,
  gradeAnswer,
  openInstructScorers,
  stripString,
  tokenF1,
} from "../../src/index.js";

export interface SuiteCase {
  readonly id: string;
  readonly expected: unknown;
  readonly ours: unknown;
  /** Of a score, where the suite allows one. */
  readonly tolerance?: number;
}

export interface Suite {
  readonly name: string;
  readonly cases: readonly SuiteCase[];
}

type Row = Readonly<Record<string, unknown>>;

export function readSuite(name: string): Row[] {
  const path = new URL(`../fixtures/${name}.jsonl`, import.meta.url);
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line): Row => JSON.parse(line));
}

const text = (value: unknown): string => String(value);

function graded(name: string, optionsOf: (row: Row) => AnswerOptions): Suite {
  const cases = readSuite(name).map((row) => ({
    id: text(row["id"]),
    expected: row["expected"],
    ours: gradeAnswer(text(row["gold"]), text(row["prediction"]), optionsOf(row)).outcome === "pass",
  }));
  return { name, cases };
}

const KINDS: Readonly<Record<string, "latex" | "expr" | "letters">> = {
  latex: "latex",
  expr: "expr",
  NativeLetters: "letters",
};
const kinds = (value: unknown) => (value as string[]).map((kind) => KINDS[kind] ?? "latex");

/** Its metrics of choice letters take the best of k responses or their mean; its F1 the best of the references. */
function lightevalMetric(row: Row): SuiteCase {
  const doc = row["doc"] as { choices: readonly string[]; gold_index: number | readonly number[] };
  const golds = [doc.gold_index].flat().map((place) => text(doc.choices[place]));
  const responses = (row["model_response"] as { text: readonly string[] }).text;
  const expected = Object.values(row["expected_output"] as Readonly<Record<string, number>>)[0];
  const common = { id: text(row["id"]), expected, tolerance: Number(row["tolerance"]) };
  if (row["metric_class"] === "f1_score") {
    const scores = golds.flatMap((gold) => responses.map((one) => tokenF1(one, gold, "lighteval").f1));
    return { ...common, ours: Math.max(...scores) };
  }
  const mathVerify = { suite: "lighteval", kinds: ["letters"], lettersAnywhere: false } as const;
  const passed = responses.map(
    (one) => gradeAnswer(golds, one, { mode: "math-verify", mathVerify }).outcome === "pass",
  );
  const k = Number((row["metric_params"] as { k?: number }).k ?? 1);
  const share = passed.filter(Boolean).length / passed.length;
  return { ...common, ours: k === 1 ? share : Number(passed.some(Boolean)) };
}

const SCORERS: Readonly<Record<string, string>> = {
  PuzzleMatcherVerifier: "puzzle",
  F1Verifier: "string_f1",
  GSM8KVerifier: "gsm8k",
};

export function answerSuites(): Suite[] {
  return [
    graded("math_verify_cases", (row) => {
      const options = row["options"] as Row;
      return {
        mode: "math-verify",
        mathVerify: {
          kinds: kinds(options["extract"]),
          floatRounding: Number(options["float_rounding"]),
          strict: options["strict"] === true,
          allowSetRelation: options["allow_set_relation_comp"] === true,
        },
      };
    }),
    graded("lighteval_extractive_match_cases", (row) => ({
      mode: "math-verify",
      mathVerify: {
        suite: "lighteval",
        kinds: kinds(row["match_types"]),
        language: text(row["language"]),
        floatRounding: Number(row["precision"]),
      },
    })),
    { name: "lighteval_metric_cases", cases: readSuite("lighteval_metric_cases").map(lightevalMetric) },
    graded("hendrycks_is_equiv_cases", () => ({ mode: "hendrycks", extracted: true })),
    graded("qwen25_math_outputs_graded", () => ({ mode: "qwen2.5-math" })),
    graded("qwen25_math_grader_examples", () => ({ mode: "qwen2.5-math", extracted: true })),
    graded("gsm8k_model_solutions_graded", () => ({ mode: "gsm8k" })),
    {
      name: "open_instruct_strip_string",
      cases: readSuite("open_instruct_strip_string").map((row) => ({
        id: text(row["id"]),
        expected: row["expected"],
        ours: stripString(text(row["input"])),
      })),
    },
    {
      name: "open_instruct_verifier_cases",
      cases: readSuite("open_instruct_verifier_cases").map((row) => {
        const scorer = openInstructScorers[SCORERS[text(row["verifier"])] ?? ""];
        if (scorer === undefined) throw new Error(`no scorer for ${text(row["verifier"])}`);
        return {
          id: text(row["id"]),
          expected: row["expected_score"],
          ours: scorer(text(row["prediction"]), row["label"] as string | readonly string[]),
        };
      }),
    },
  ];
}

export const disagrees = ({ expected, ours, tolerance = 1e-9 }: SuiteCase): boolean =>
  typeof expected === "number" && typeof ours === "number"
    ? Math.abs(expected - ours) > tolerance
    : expected !== ours;
