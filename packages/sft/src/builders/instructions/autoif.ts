// AutoIF: instructions are grown from seeds, a teacher writes functions that verify them with test cases, what bears each other out in the sandbox stays,
// translated back it must not contradict the instruction; then queries of --seeds are answered under it, and answers that the functions refuse are dropped.
import { UserError } from "@posttrain/data";
import type { Making, Seed } from "../area.js";
import { drop, keep, type Outcome, unanswered } from "../outcome.js";
import type { Asked } from "../roles.js";
import { queryOf } from "../seed-text.js";
import { askForVerdict } from "../verdict.js";
import type { ToAnswer } from "./answered.js";
import { seedInstructions } from "./seed-instructions.js";
import {
  type AutoIfRule,
  answersOf,
  autoIfRules,
  crossValidated,
  type Proposed,
  proposedIn,
  type Verifiers,
} from "./verifiers.js";

/** Queries that an instruction is put to. */
const queriesEach = 16;
/** Functions that are translated back. */
const mostTranslated = 3;
const grownAtOnce = 20;

interface Instruction {
  readonly text: string;
  readonly parents: readonly string[];
  readonly asked: readonly Asked[];
  /** What a row of --seeds has of it. */
  readonly proposed?: Proposed;
  readonly translations?: readonly string[];
}

/** Each of the instructions that stay, with queries to answer under it. */
export async function* autoIf(making: Making): AsyncGenerator<ToAnswer, void, undefined> {
  const { step, roles, journal, config, draws } = making;
  const rule = autoIfRules[config.preset];
  const given = await readSeedRows(making, rule);
  if (given.queries.length === 0)
    throw new UserError(
      "bad_option",
      `AutoIF puts its instructions to queries, and no row of --seeds asks anything${rule.queryLength[0] > 1 ? ` of ${rule.queryLength.join(" to ")} characters` : ""}. Give a file of questions, such as {"prompt": "..."} rows.`,
    );
  const width = roles.width("generator");
  const written = step(
    "verifiers",
    instructionsOf(given.instructions, making),
    (one) => writeVerifiers(one, rule, making),
    width,
  );
  const valid = step("cross-validate", written, async ({ proposed, ...one }) => {
    const outcome = await crossValidated(proposed, rule, journal);
    return "kept" in outcome ? keep({ ...one, verifiers: outcome.kept[0]! }) : outcome;
  });
  const meant = step("back-translate", valid, (one) => translateBack(one, making), width);
  let index = 0;
  yield* step("queries", meant, ({ text, parents, asked, verifiers }) => {
    const best = verifiers.functions[0]!;
    const drawn = draws(index++).some(given.queries, Math.min(queriesEach, given.queries.length));
    return keep(
      ...drawn.map(
        ({ query, id }): ToAnswer => ({
          ...{ task: "autoif", query, instruction: text, asked },
          parents: [...parents, id],
          columns: { checker: { language: "python", source: best.source, entryPoint: "evaluate" } },
          isFollowed: (response) => executed(response, verifiers, rule, making),
          isScoreEnough: rule.isScoreEnough,
        }),
      ),
    );
  });
}

interface Query {
  readonly query: string;
  readonly id: string;
}

interface SeedRows {
  readonly instructions: readonly Instruction[];
  readonly queries: readonly Query[];
}

/** Rows with `constraint`, or with `instruction` and `verification_functions`, are instructions; all others are queries. */
async function readSeedRows(
  { step, seeds }: Making,
  { queryLength: [least, most] }: AutoIfRule,
): Promise<SeedRows> {
  const instructions: Instruction[] = [];
  const queries: Query[] = [];
  const read = step("read", seeds(), (seed): Outcome<{ instruction: Instruction } | Query> => {
    const instruction = instructionIn(seed);
    if (instruction !== undefined) return keep({ instruction });
    const asked = queryOf(seed);
    if (!("kept" in asked)) return asked;
    const [query] = asked.kept as [string];
    const { length } = [...query];
    return length < least || length > most ? drop("query_length", seed.place) : keep({ query, id: seed.id });
  });
  for await (const one of read) {
    if ("instruction" in one) instructions.push(one.instruction);
    else queries.push(one);
  }
  return { instructions, queries };
}

function instructionIn({ row, id }: Seed): Instruction | undefined {
  const { constraint, instruction, verification_functions: functions, cases, back_instruction: back } = row;
  if (typeof constraint === "string") return { text: constraint.trim(), parents: [id], asked: [] };
  if (typeof instruction !== "string" || !Array.isArray(functions)) return undefined;
  // Each as it stands, or with its accuracy behind it, as AutoIF's files have them.
  const sources = functions
    .map((one) => (Array.isArray(one) ? one[0] : one))
    .filter((one) => typeof one === "string");
  const tests = Array.isArray(cases)
    ? cases.map((one) => ({ input: one?.input, output: one?.expected ?? one?.output }))
    : [];
  return {
    ...{ text: instruction.trim(), parents: [id], asked: [] },
    proposed: proposedIn(sources.map((func) => JSON.stringify({ func, cases: tests }))),
    ...(Array.isArray(back) &&
      back.length > 0 && { translations: back.filter((one) => typeof one === "string") }),
  };
}

/** Those that are given, else ours; then what the generator grows from them, in --num_samples rounds. */
async function* instructionsOf(
  given: readonly Instruction[],
  { step, distinct, roles, draws, config }: Making,
): AsyncGenerator<Instruction, void, undefined> {
  const own: readonly Instruction[] = seedInstructions.map((text) => ({ text, parents: [], asked: [] }));
  const seeds = given.length > 0 ? given : own;
  const rounds = step(
    "grow",
    Array.from({ length: config.num_samples }, (_, round) => round),
    async (round) => {
      const shown = draws(round).some(seeds, Math.min(seeds.length, 12));
      const said = await roles.ask("generator", {
        prompt: "instructions-grow",
        values: { examples: shown.map(({ text }) => text).join("\n"), count: String(grownAtOnce) },
        sample: round,
      });
      if (!("kept" in said)) return said;
      const { text, asked } = said.kept[0]!;
      const lines = instructionLines(text);
      return lines.length === 0
        ? drop("no_instructions", { said: text })
        : keep(...lines.map((line): Instruction => ({ text: line, parents: [], asked: [asked] })));
    },
    roles.width("generator"),
  );
  async function* all(): AsyncGenerator<Instruction, void, undefined> {
    yield* seeds;
    yield* rounds;
  }
  yield* distinct(all(), ({ text }) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}]+/gu, " ")
      .trim(),
  );
}

/** Of a reply, one a line, without numbers and bullets. */
function instructionLines(said: string): readonly string[] {
  return said
    .split("\n")
    .map((line) => line.replace(/^\s*(?:[-*•]|\d+[.)])\s+/, "").trim())
    .filter((line) => line.length >= 10 && line.length <= 200 && !line.endsWith(":"));
}

type Written = Instruction & { readonly proposed: Proposed };

/** --num_samples replies, each a function and its cases. */
async function writeVerifiers(
  one: Instruction,
  rule: AutoIfRule,
  { roles, config }: Making,
): Promise<Outcome<Written>> {
  if (one.proposed !== undefined) return keep({ ...one, proposed: one.proposed });
  const replies = await Promise.all(
    Array.from({ length: config.num_samples }, (_, sample) =>
      roles.ask("generator", { prompt: "instructions-verifier", values: { instruction: one.text }, sample }),
    ),
  );
  const silent = replies.find((reply) => "unanswered" in reply);
  if (silent !== undefined) return silent as Outcome<never>;
  const said = replies.flatMap((reply) => ("kept" in reply ? reply.kept : []));
  const proposed = proposedIn(said.map(({ text }) => text));
  if (proposed.functions.length === 0)
    return drop("no_function", { instruction: one.text, said: said[0]?.text });
  if (proposed.functions.length < rule.fewestFunctions)
    return drop("too_few_functions", { instruction: one.text });
  if (proposed.cases.length < rule.fewestCases) return drop("too_few_cases", { instruction: one.text });
  return keep({ ...one, proposed, asked: [...one.asked, ...said.slice(0, 1).map(({ asked }) => asked)] });
}

type Valid = Instruction & { readonly verifiers: Verifiers };

/** What the functions check, as an instruction again, must not contradict the one that they were written for: the critic says whether it does. */
async function translateBack(one: Valid, { roles }: Making): Promise<Outcome<Valid>> {
  const asked: Asked[] = [];
  const translations: string[] = [...(one.translations ?? [])];
  if (translations.length === 0) {
    for (const { source } of one.verifiers.functions.slice(0, mostTranslated)) {
      const said = await roles.ask("generator", {
        prompt: "instructions-back-translate",
        values: { function: source },
      });
      if ("unanswered" in said) return said;
      if (!("kept" in said)) continue;
      translations.push(said.kept[0]!.text);
      asked.push(said.kept[0]!.asked);
    }
  }
  if (translations.length === 0) return drop("no_back_translation", { instruction: one.text });
  for (const translation of translations.slice(0, mostTranslated)) {
    const judged = await askForVerdict(
      roles,
      "critic",
      {
        prompt: "instructions-contradiction",
        values: { instruction: one.text, back_translation: translation },
        temperature: 0,
      },
      labelIn,
    );
    if (!("kept" in judged)) return judged;
    const [{ verdict, said }] = judged.kept as [(typeof judged.kept)[number]];
    if (verdict === "contradiction")
      return drop("contradiction", { instruction: one.text, back_translation: translation });
    asked.push(said.asked);
  }
  return keep({ ...one, asked: [...one.asked, ...asked] });
}

/** The one label that is named; several are none. */
function labelIn(said: string): string | undefined {
  const named = new Set(said.toLowerCase().match(/\b(?:entailment|neutral|contradiction)\b/g));
  return named.size === 1 ? [...named][0] : undefined;
}

async function executed(
  response: string,
  { functions }: Verifiers,
  { accuracyAbove }: AutoIfRule,
  { journal }: Making,
): Promise<Outcome<object>> {
  let passed = 0;
  for (const { source } of functions) {
    const answers = await answersOf(source, [response], journal);
    if ("unanswered" in answers) return unanswered(answers.unanswered);
    if ("kept" in answers && answers.kept[0]![0] === true) passed++;
  }
  const accuracy = passed / functions.length;
  return accuracy > accuracyAbove ? keep({ accuracy, functions: functions.length }) : drop("not_followed");
}
