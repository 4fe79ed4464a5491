/**
 * Which verifier a row asks for: its own `verifier` field, else verl's `data_source`, else open-instruct's `dataset`, else the columns
 * that it has. A name says what is compared; whose conventions decide is a setting (own, unless told otherwise).
 */
import { isJsonObject, stringifyJson } from "@posttrain/data";
import { codeColumns } from "./code-rows.js";
import { dataOf, referenceValue } from "./references.js";
import type { Row } from "./verifier.js";

export interface Detection {
  readonly name: string;
  /** What told it. */
  readonly by: "verifier" | "data_source" | "dataset" | "columns";
  /** Beside the name in the row's `verifier` field. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export type Detected = Detection | { readonly problem: string };

/** verl/utils/reward_score: exact names, then beginnings of names. */
const dataSources: ReadonlyMap<string, string> = new Map([
  ["openai/gsm8k", "gsm8k"],
  ["gsm8k", "gsm8k"],
  ["lighteval/MATH", "math"],
  ["DigitalLearningGmbH/MATH-lighteval", "math"],
  ["HuggingFaceH4/MATH-500", "math"],
  ["math", "math"],
  ["math_dapo", "math"],
  ["math_dapo_reasoning", "math"],
  ["numina_aops_forum", "math"],
  ["numina_synthetic_math", "math"],
  ["numina_amc_aime", "math"],
  ["numina_synthetic_amc", "math"],
  ["numina_cn_k12", "math"],
  ["numina_olympiads", "math"],
  ["hiyouga/geometry3k", "math"],
  ["codecontests", "code"],
  ["apps", "code"],
  ["codeforces", "code"],
  ["taco", "code"],
  ["livecodebench", "code"],
]);
const dataSourcePrefixes: readonly (readonly [string, string])[] = [
  ["aime", "math"],
  ["amc", "math"],
  ["hiyouga/math", "math"],
  ["numina", "math"],
  ["searchR1_", "text"],
];

/** open-instruct/ground_truth_utils.py. */
const datasets: ReadonlyMap<string, string> = new Map([
  ["gsm8k", "gsm8k"],
  ["math", "math"],
  ["strict_math", "strict_math"],
  ["ifeval", "ifeval"],
  ["ifeval_old", "ifeval"],
  ["code", "code"],
  ["code_stdio", "code"],
  ["puzzle", "puzzle"],
  ["string_matcher", "string_matcher"],
  ["flan", "flan"],
  ["string_f1", "string_f1"],
  ["re_search", "re_search"],
  ["re_search_f1", "re_search_f1"],
]);

/** Why names that open-instruct knows are not graded here. */
const notHere: Readonly<Record<string, string>> = {
  max_length: "it counts the tokens of a response, which a row does not have",
  up_to_max_length: "it counts the tokens of a response, which a row does not have",
};

export function detectVerifier(row: Row, known: readonly string[]): Detected {
  return fromField(row, known) ?? fromDataSource(row) ?? fromDataset(row, known) ?? fromColumns(row, known);
}

const listed = (known: readonly string[]): string => `Known verifiers: ${known.join(", ")}.`;

function fromField(row: Row, known: readonly string[]): Detected | undefined {
  const field = row["verifier"];
  if (field === undefined || field === null) return undefined;
  const record = isJsonObject(field) ? field : { name: field };
  const { name, ...settings } = record;
  if (typeof name !== "string") {
    return {
      problem: `verifier: expected a name, or an object with name and settings, came ${stringifyJson(field).slice(0, 80)}. ${listed(known)}`,
    };
  }
  if (!known.includes(name)) {
    return { problem: `verifier: there is none called ${JSON.stringify(name)}. ${listed(known)}` };
  }
  return { name, by: "verifier", settings };
}

function fromDataSource(row: Row): Detected | undefined {
  const source = row["data_source"];
  if (typeof source !== "string") return undefined;
  const model = row["reward_model"];
  if (typeof model === "object" && model !== null && (model as Row)["style"] === "model") {
    return { problem: 'reward_model.style is "model": a reward model scores this row, no rule does' };
  }
  const name =
    dataSources.get(source) ?? dataSourcePrefixes.find(([prefix]) => source.startsWith(prefix))?.[1];
  return name === undefined ? undefined : { name, by: "data_source" };
}

function fromDataset(row: Row, known: readonly string[]): Detected | undefined {
  const field = row["dataset"];
  const names = Array.isArray(field) ? field : [field];
  if (names.length > 1) {
    return { problem: `dataset names ${names.length} verifiers: expected one; make a row of each` };
  }
  const [dataset] = names as readonly unknown[];
  if (typeof dataset !== "string" || referenceValue(row) === undefined) return undefined;
  const name = datasets.get(dataset.toLowerCase());
  if (name !== undefined) return { name, by: "dataset" };
  const reason =
    notHere[dataset] ?? (/^general-/.test(dataset) ? "a judge, a language model, grades it" : undefined);
  if (reason !== undefined) return { problem: `dataset ${dataset}: ${reason}. ${listed(known)}` };
  return undefined;
}

function fromColumns(row: Row, known: readonly string[]): Detected {
  const has = (name: string): boolean => row[name] !== undefined && row[name] !== null;
  const by = "columns" as const;
  if (has("instruction_id_list")) return { name: "ifeval", by };
  if (Array.isArray(row["instructions"])) return { name: "instructions", by };
  if (has("checker")) return { name: "checker", by };
  if (codeColumns.some(has)) return { name: "code", by };
  const reference = referenceValue(row);
  if (reference !== undefined) {
    const choices = row["choices"] ?? row["options"];
    if (Array.isArray(choices) || (typeof choices === "object" && choices !== null))
      return { name: "multiple_choice", by };
    const data = typeof reference.value === "string" ? dataOf(reference.value) : reference.value;
    if (isInstructionData(data)) return { name: "ifeval", by };
    if (isCases(data)) return { name: "code", by };
    if (typeof reference.value === "string" && reference.value.includes("####")) return { name: "gsm8k", by };
    if (!isJsonObject(reference.value)) return { name: "math", by };
  }
  const named = (["data_source", "dataset"] as const)
    .filter((name) => typeof row[name] === "string")
    .map((name) => `${name} ${JSON.stringify(row[name])} is none that is known, and `)
    .join("");
  return {
    problem: `${named}no verifier fits its columns, which are ${Object.keys(row).join(", ") || "none"}: give it a field verifier, or a reference answer, tests or instructions. ${listed(known)}`,
  };
}

function isInstructionData(data: unknown): boolean {
  const one = Array.isArray(data) && data.length === 1 ? dataOf(data[0]) : data;
  return typeof one === "object" && one !== null && ("instruction_id" in one || "func_name" in one);
}

function isCases(data: unknown): boolean {
  if (Array.isArray(data)) {
    const [first] = data as readonly unknown[];
    if (typeof first === "string") return /^\s*assert\b/.test(first);
    return typeof first === "object" && first !== null && "input" in first && "output" in first;
  }
  return typeof data === "object" && data !== null && "inputs" in data && "outputs" in data;
}
