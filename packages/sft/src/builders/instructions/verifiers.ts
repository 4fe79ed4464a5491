// AutoIF's verifiers: functions that say whether a response follows an instruction, and test cases, both written by a teacher, that bear each other out
// in the sandbox. Dong et al., arXiv 2406.13542; `repo` is what its published code does otherwise (QwenLM/AutoIF, d67b9ba).
import { isJsonObject } from "@posttrain/data";
import { type Journal, journalKey } from "@posttrain/run";
import { testChecker } from "@posttrain/sandbox";
import { type CrossRule, crossCheck } from "../cross-check.js";
import { drop, keep, type Outcome, unanswered } from "../outcome.js";
import { jsonIn } from "../said-json.js";

export interface AutoIfRule extends CrossRule {
  /** Of what a teacher wrote, before anything is dropped. */
  readonly fewestFunctions: number;
  readonly fewestCases: number;
  /** Characters of a query. */
  readonly queryLength: readonly [least: number, most: number];
  /** A response stays above this share of functions. */
  readonly accuracyAbove: number;
  readonly isScoreEnough: (score: number) => boolean;
}

export const autoIfRules: Readonly<Record<"paper" | "repo", AutoIfRule>> = {
  paper: {
    cases: { share: 0.5, itself: false },
    functions: { share: 0.5, itself: false },
    ...{ fewestFunctions: 1, fewestCases: 1, queryLength: [1, Number.POSITIVE_INFINITY] },
    ...{ accuracyAbove: 0.5, isScoreEnough: (score) => score >= 8 },
  },
  repo: {
    // Any function that agrees is enough for a case.
    cases: { share: 0, itself: false },
    functions: { share: 0.8, itself: true },
    ...{ fewestFunctions: 3, fewestCases: 10, queryLength: [20, 300] },
    ...{ accuracyAbove: 0, isScoreEnough: (score) => score > 8 },
  },
};

export interface VerifierCase {
  readonly input: string;
  readonly expected: boolean;
}

/** What a teacher wrote for an instruction, each function and case once. */
export interface Proposed {
  readonly functions: readonly string[];
  readonly cases: readonly VerifierCase[];
}

/** Functions that stay, the most accurate first, with the cases that they were held against. */
export interface Verifiers {
  readonly functions: readonly { readonly source: string; readonly accuracy: number }[];
  readonly cases: readonly VerifierCase[];
}

/** {"func", "cases": [{"input", "output"}]} in each reply; replies that have none add nothing. */
export function proposedIn(replies: readonly string[]): Proposed {
  const functions = new Set<string>();
  const cases = new Map<string, VerifierCase>();
  for (const reply of replies) {
    const said = jsonIn(reply);
    if (!isJsonObject(said) || typeof said["func"] !== "string" || !/\bdef\s+evaluate\b/.test(said["func"]))
      continue;
    functions.add(withoutNetwork(said["func"].replaceAll("\\n", "\n")));
    for (const one of Array.isArray(said["cases"]) ? said["cases"] : []) {
      const expected = isJsonObject(one) ? truth(one["output"]) : undefined;
      if (expected !== undefined && typeof one["input"] === "string")
        cases.set(JSON.stringify([one["input"], expected]), { input: one["input"], expected });
    }
  }
  return { functions: [...functions], cases: [...cases.values()] };
}

const truth = (said: unknown): boolean | undefined =>
  said === true || said === "True" || said === "true"
    ? true
    : said === false || said === "False" || said === "false"
      ? false
      : undefined;

/** As the published code does: the sandbox has no network to ask. */
const withoutNetwork = (source: string): string =>
  source
    .split("\n")
    .filter((line) => !/download|requests/.test(line))
    .join("\n");

/** Each function on each case, in the sandbox; verdicts are kept in the journal. */
export async function crossValidated(
  { functions, cases }: Proposed,
  rule: AutoIfRule,
  journal: Journal,
): Promise<Outcome<Verifiers>> {
  const agrees: (readonly boolean[])[] = [];
  for (const source of functions) {
    const answers = await answersOf(
      source,
      cases.map(({ input }) => input),
      journal,
    );
    if (!("kept" in answers)) return answers;
    agrees.push(cases.map(({ expected }, i) => answers.kept[0]![i] === expected));
  }
  const checked = crossCheck(agrees, rule);
  if (checked.functions.length === 0) return drop("not_borne_out", { functions, cases });
  return keep({
    functions: checked.functions
      .map(({ index, accuracy }) => ({ source: functions[index]!, accuracy }))
      .sort((a, b) => b.accuracy - a.accuracy),
    cases: checked.cases.map((c) => cases[c]!),
  });
}

/** What a function says of each text; null: nothing, because it does not load, raises or does not end. */
export async function answersOf(
  source: string,
  texts: readonly string[],
  journal: Journal,
): Promise<Outcome<readonly (boolean | null)[]>> {
  const key = journalKey("autoif", [source, texts]);
  const known = journal.get(key) as readonly (boolean | null)[] | undefined;
  if (known !== undefined) return keep(known);
  const checker = { language: "python", source, entryPoint: "evaluate" } as const;
  const { verdicts } = await testChecker(
    checker,
    texts.map((input) => ({ input, expected: true })),
  );
  const broken = verdicts.find(({ details }) => details?.["fault"] === "machine");
  if (broken !== undefined) return unanswered(broken.evidence);
  return keep(
    await journal.record(
      key,
      verdicts.map(({ outcome }) => (outcome === "pass" ? true : outcome === "fail" ? false : null)),
    ),
  );
}
