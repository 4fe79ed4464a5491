/**
 * Agreement with the reference evaluators, verdict by verdict. docs/instruction-checks.md lists every
 * disagreement with its reason, and the counts; this test compares both with what it finds, so that neither the
 * code nor the list can change alone.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { readRows } from "@posttrain/data";
import { expect, test } from "vitest";
import { checkInstructions, type InstructionRequest, type Strictness } from "../src/index.js";
import { countSentences, splitSentences } from "../src/sentences.js";
import { countWords } from "../src/words.js";

interface Comparison {
  readonly suite: string;
  readonly strictness: Strictness;
  /** Which record of the file, and which instruction of the record. */
  readonly id: string;
  /** 0 or 1: every other record, so that a half not looked at estimates what unseen records would show. */
  readonly half: number;
  readonly reference: string;
  readonly ours: string;
}

async function records<T>(name: string): Promise<T[]> {
  const path = fileURLToPath(new URL(`./fixtures/${name}.jsonl`, import.meta.url));
  const values: T[] = [];
  for await (const { value } of readRows(path)) values.push(value as T);
  return values;
}

const word = (followed: boolean) => (followed ? "pass" : "fail");

/** Google's verdicts on GPT-4's responses to half of IFEval's prompts. */
async function gradedResponses(): Promise<Comparison[]> {
  const suite = "ifeval_gpt4_responses_graded";
  const comparisons: Comparison[] = [];
  const rows = await records<{
    key: number;
    instruction_id_list: string[];
    kwargs: unknown[];
    response: string;
    strict: boolean[];
    loose: boolean[];
  }>(suite);
  for (const [index, row] of rows.entries()) {
    const requests = row.instruction_id_list.map(
      (id, at): InstructionRequest => ({ id, kwargs: row.kwargs[at] }),
    );
    for (const strictness of ["strict", "loose"] as const) {
      const verdict = await checkInstructions(row.response, requests, strictness);
      for (const [at, { id, outcome }] of verdict.details.instructions.entries()) {
        const reference = word(row[strictness][at]!);
        comparisons.push({
          suite,
          strictness,
          id: `${row.key} ${id}`,
          half: index % 2,
          reference,
          ours: outcome,
        });
      }
    }
  }
  return comparisons;
}

/** The test file names these by their classes. */
const UNREGISTERED: Readonly<Record<string, string>> = {
  ConstrainedStartChecker: "multi-turn:constrained_start",
  KeySentenceChecker: "keywords:key_sentences",
  RephraseChecker: "detectable_format:rephrase",
  RephraseParagraph: "detectable_content:rephrase_paragraph",
};

/** Single checks: what Google's own unit tests assert, and its evaluator's verdicts on generated responses. */
async function singleChecks(suite: "ifeval_unit_tests" | "generated_verdicts"): Promise<Comparison[]> {
  const rows = await records<{
    id: number;
    instruction_id: string;
    kwargs: unknown;
    response: string;
    expected: boolean;
  }>(suite);
  return Promise.all(
    rows.map(async (row, index): Promise<Comparison> => {
      const id = UNREGISTERED[row.instruction_id] ?? row.instruction_id;
      const { outcome } = await checkInstructions(row.response, [{ id, kwargs: row.kwargs }], "strict");
      const place = { suite, strictness: "strict", id: `${row.id} ${id}`, half: index % 2 } as const;
      return { ...place, reference: word(row.expected), ours: outcome };
    }),
  );
}

async function utilTests(): Promise<Comparison[]> {
  const suite = "ifeval_util_tests";
  const functions: Readonly<Record<string, (text: string) => unknown>> = {
    count_words: countWords,
    count_sentences: countSentences,
    split_into_sentences: (text) => splitSentences(text).map((sentence) => sentence.replaceAll("\n", " ")),
  };
  const rows = await records<{ id: string; function: string; input: string; expected: unknown }>(suite);
  return rows.map((row, index) => ({
    suite,
    strictness: "strict",
    id: row.id,
    half: index % 2,
    reference: JSON.stringify(row.expected),
    ours: JSON.stringify(functions[row.function]!(row.input)),
  }));
}

async function openInstructTests(): Promise<Comparison[]> {
  const suite = "open_instruct_if_cases";
  const rows = await records<{ id: string; function: string; args: { text: string }; expected: boolean }>(
    suite,
  );
  return Promise.all(
    rows.map(async (row, index): Promise<Comparison> => {
      const { text, ...kwargs } = row.args;
      const { outcome } = await checkInstructions(text, [{ id: row.function, kwargs }], "strict");
      const place = { suite, strictness: "strict", id: row.id, half: index % 2 } as const;
      return { ...place, reference: word(row.expected), ours: outcome };
    }),
  );
}

/** The rows of the page's tables, cells trimmed, without headings. */
async function documentedRows(heading: string): Promise<string[][]> {
  const path = fileURLToPath(new URL("../../../docs/instruction-checks.md", import.meta.url));
  const section = (await readFile(path, "utf8")).split(`\n## ${heading}\n`)[1]!.split("\n## ")[0]!;
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test("at least 99 % of the verdicts of every suite agree, and the page says which do not", async () => {
  const comparisons = [
    ...(await gradedResponses()),
    ...(await singleChecks("ifeval_unit_tests")),
    ...(await singleChecks("generated_verdicts")),
    ...(await utilTests()),
    ...(await openInstructTests()),
  ];
  const names = [...new Set(comparisons.map(({ suite, strictness }) => `${suite} ${strictness}`))];
  const counts = names.map((name) => {
    const all = comparisons.filter(({ suite, strictness }) => name === `${suite} ${strictness}`);
    const agreeing = (some: readonly Comparison[]) =>
      `${some.filter(({ reference, ours }) => reference === ours).length} of ${some.length}`;
    const half = (number: number) => agreeing(all.filter((comparison) => comparison.half === number));
    const share = all.filter(({ reference, ours }) => reference === ours).length / all.length;
    expect(share, name).toBeGreaterThanOrEqual(0.99);
    return [...name.split(" "), agreeing(all), half(0), half(1)];
  });
  expect(await documentedRows("Agreement")).toEqual(counts);

  const disagreements = comparisons
    .filter(({ reference, ours }) => reference !== ours)
    .map(({ suite, strictness, id, reference, ours }) => [suite, strictness, id, reference, ours]);
  const documented = await documentedRows("Disagreements");
  expect(documented.map((row) => row.slice(0, 5))).toEqual(disagreements);
  for (const row of documented) expect(row[5], row.join(" ")).toMatch(/\w+ \w+ \w+/);
});
