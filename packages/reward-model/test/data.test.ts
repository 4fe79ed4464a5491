// Preferences from responses: verifier, judge and people, each label with its source; what a judge cannot do is counted, and nothing is asked twice.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import {
  type Answer,
  completion,
  json,
  openScriptedServer,
  type ScriptedServer,
} from "../../../tests/support/openai-server.js";
import { agreementOf } from "../src/data/agreement.js";
import { comparisonsOf, type Query, type Response } from "../src/data/candidates.js";
import { criteria } from "../src/data/criteria.js";
import { decide, type Label } from "../src/data/label.js";
import { readEvalSets } from "../src/eval/read.js";
import { makeRewardData, type RewardDataReport, rewardDataConfig } from "../src/index.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-reward-data-"));
const at = (name: string): string => join(folder, name);
let server: ScriptedServer;
beforeAll(async () => {
  server = await openScriptedServer();
});
afterEach(() => server.reset());
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

type Written = Readonly<Record<string, unknown>> & {
  readonly chosen: readonly { readonly content: string }[];
  readonly rejected: readonly { readonly content: string }[];
  readonly source: string;
  readonly criteria: Readonly<Record<string, string>>;
  readonly evidence: {
    readonly labels: readonly { readonly source: string; readonly preference: string }[];
    readonly chosen: { readonly origin: unknown; readonly verdict?: { readonly outcome: string } };
  };
};

const rows = (name: string): readonly Written[] =>
  readFileSync(at(name), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Written);

function write(name: string, lines: readonly unknown[]): string {
  writeFileSync(at(name), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return at(name);
}

let outputs = 0;
const output = (): string => `out-${outputs++}.jsonl`;

function make(options: Readonly<Record<string, unknown>>): Promise<RewardDataReport> {
  const config = rewardDataConfig.parse({ num_concurrent: 1, max_retries: 1, ...options });
  return makeRewardData(config, { withModel: () => Promise.reject(new Error("no model here")) });
}

/** A judge of texts: the longer response wins, whatever place it has; `says` may be another rule. */
const judge =
  (says: (a: string, b: string) => string = (a, b) => (a.length > b.length ? "A" : "B")): Answer =>
  (body, response) => {
    const text = body.messages[1]!.content;
    const part = (title: string): string => new RegExp(`=+ ${title}\\n([\\s\\S]*?)\\n=+ end`).exec(text)![1]!;
    const verdict = says(part("response A"), part("response B"));
    const lines = [...criteria.map(({ name }) => name), "overall"].map((name) => `${name}: ${verdict}`);
    json(200, completion(lines.join("\n")))(body, response);
  };
const judges = (count: number, answer: Answer = judge()): Answer[] =>
  Array.from({ length: count }, () => answer);
const judged = () => ({ judge_base_url: server.baseUrl, judge_model: "judge" });

const sums = [
  {
    prompt: "What is 1 + 1?",
    answer: "2",
    responses: ["The answer is \\boxed{2}.", "\\boxed{3}", "I think that it must be \\boxed{11}."],
  },
  { prompt: "Say hello.", responses: ["Hello, and welcome!", "Hi."] },
];

it("what a verifier can tell it tells, with both verdicts; the rest is left unlabelled and counted", async () => {
  const name = output();
  const report = await make({
    responses: [write("sums.jsonl", sums)],
    output: at(name),
    verifier: undefined,
  });
  expect(report).toMatchObject({
    ...{ queries: 2, responses: 5, comparisons: 4, rows: 2, ties: 0, unlabelled: 2 },
    verdicts: { pass: 1, fail: 2, none: 2 },
    preferences: { human: 0, verifier: 2, judge: 0, merged: 0 },
  });
  for (const row of rows(name)) {
    expect(row.chosen[0]!.content).toBe("The answer is \\boxed{2}.");
    expect(row).toMatchObject({
      schema: "preference@1",
      source: "verifier",
      criteria: { truthfulness: "chosen" },
    });
    expect(row.evidence.chosen).toMatchObject({
      verdict: { outcome: "pass" },
      origin: { line: 1, entry: 0 },
    });
  }
  expect(readFileSync(report.unlabelled_file, "utf8").trim().split("\n")).toHaveLength(2);
});

it("a judge is asked in both orders over six criteria; verifiers come before it; agreement is told", async () => {
  server.answers = judges(8);
  const name = output();
  const report = await make({ responses: [write("sums.jsonl", sums)], output: at(name), ...judged() });
  expect(server.bodies).toHaveLength(8);
  expect(report).toMatchObject({ rows: 4, judge_consistency: 1, preferences: { verifier: 2, judge: 2 } });
  const hello = rows(name).find(({ prompt }) => JSON.stringify(prompt).includes("hello"))!;
  expect(hello.chosen[0]!.content).toBe("Hello, and welcome!");
  expect(Object.values(hello.criteria)).toEqual(Array(6).fill("chosen"));
  // Right is longer than one wrong response and shorter than the other.
  const overall = report.agreement.find(
    ({ between, on }) => between.join() === "verifier,judge" && on === "overall",
  );
  expect(overall).toMatchObject({ comparisons: 2, share: 0.5 });
  const [sample] = rows(name);
  expect(sample!.evidence.labels.map(({ source }) => source)).toEqual(["verifier", "judge"]);
  // What is written is what reward eval reads by criterion and source.
  const sets = await readEvalSets([at(name)]);
  expect([...sets.keys()]).toEqual(["pairs"]);
});

it("a judge that prefers a place says nothing: ties are kept apart", async () => {
  server.answers = judges(
    2,
    judge(() => "A"),
  );
  const name = output();
  const report = await make({ responses: [write("hello.jsonl", [sums[1]])], output: at(name), ...judged() });
  expect(report).toMatchObject({ rows: 0, ties: 1, unlabelled: 0, judge_consistency: 0 });
  const [tie] = readFileSync(report.ties_file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(tie).toMatchObject({
    schema: "tie@1",
    source: "tie",
    first: [{ role: "assistant" }],
    second: [{ role: "assistant" }],
  });
});

it("rubbish is asked again once, then counted with what was said; the others stand, and a second run asks for it alone", async () => {
  const data = write("two.jsonl", [
    { prompt: "Say hello.", responses: ["Hello, and welcome!", "Hi."] },
    { prompt: "Say goodbye.", responses: ["Goodbye, and come again!", "Bye."] },
  ]);
  const rubbish = json(200, completion("It is a matter of taste."));
  server.answers = [rubbish, rubbish, rubbish, rubbish, ...judges(2)];
  const name = output();
  const report = await make({ responses: [data], output: at(name), ...judged() });
  expect(report).toMatchObject({ rows: 1, unlabelled: 1, judge_failures: 1 });
  expect(report.reasons[0]).toMatch(/no verdict.*matter of taste/s);
  // Only what has a verdict is kept: the same command asks for the other one again, and has it now.
  server.reset();
  server.answers = judges(2);
  const again = await make({ responses: [data], output: at(name), ...judged() });
  expect(server.bodies).toHaveLength(2);
  expect(again).toMatchObject({ end: "complete", rows: 2, judge_failures: 0 });
  // Whole now: nothing is left to do, and another result is not written over it.
  server.reset();
  const done = await make({ responses: [data], output: at(name), ...judged() });
  expect([done.end, done.rows, server.bodies.length]).toEqual(["nothing", 2, 0]);
  await expect(
    make({ responses: [data], output: at(name), ...judged(), pairs_per_query: 1 }),
  ).rejects.toThrow(/made otherwise: pairs_per_query was 4, is now 1/);
});

it("a reply that needed a reminder is kept with it: a second run asks for nothing, and writes the same", async () => {
  const data = write("hello.jsonl", [sums[1]]);
  const rubbish = json(200, completion("It is a matter of taste."));
  const name = output();
  server.answers = [rubbish, rubbish, ...judges(1), json(500, {}), json(500, {})];
  const half = await make({ responses: [data], output: at(name), ...judged() });
  expect(half).toMatchObject({ judge_failures: 1 });
  expect(half.reasons[0]).toContain("500");
  server.reset();
  server.answers = [rubbish, ...judges(1)];
  await make({ responses: [data], output: at(name), ...judged() });
  // The order that had its verdict was paid for once.
  expect(server.bodies.map(({ messages }) => messages.length)).toEqual([2, 4]);
  const first = readFileSync(at(name), "utf8");
  rmSync(at(name));
  server.reset();
  await make({ responses: [data], output: at(name), ...judged() });
  expect(server.bodies).toHaveLength(0);
  expect(readFileSync(at(name), "utf8")).toBe(first);
});

it("a server is sampled from at every temperature; its replies are kept, and what it did not give is asked for again", async () => {
  const data = write("asked.jsonl", [
    { prompt: "What is 1 + 1?", answer: "2" },
    {
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "And 2 + 2?" },
      ],
      answer: "4",
    },
  ]);
  const says: Answer = (body, response) => {
    const sum = String(body.messages.at(-1)?.content).includes("1 + 1") ? 2 : 4;
    const right = Number(body["seed"]) % 2 === 0;
    const thought = right ? { reasoning_content: "hm" } : {};
    json(200, completion(`${body["temperature"]}: \\boxed{${right ? sum : 9}}`, thought))(body, response);
  };
  const sampled = { base_url: server.baseUrl, model: "policy", data, num_samples: 4, temperatures: [0.5, 1] };
  const refused = json(400, { error: { message: "no room" } });
  server.answers = [refused, ...Array.from({ length: 15 }, () => says)];
  const name = output();
  const report = await make({ ...sampled, output: at(name), max_new_tokens: 9 });
  expect(report).toMatchObject({ queries: 2, responses: 15, unanswered: 1 });
  expect(report.reasons).toEqual([expect.stringContaining("no room")]);
  expect(new Set(server.bodies.map(({ seed }) => seed)).size).toBe(16);
  expect(server.bodies.at(-1)).toEqual({
    ...{ model: "policy", temperature: 1, max_tokens: 9, seed: expect.any(Number) },
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "And 2 + 2?" },
    ],
  });
  server.reset();
  server.answers = [says];
  const again = await make({ ...sampled, output: at(name), max_new_tokens: 9 });
  expect(server.bodies).toHaveLength(1);
  expect(again).toMatchObject({ responses: 16, unanswered: 0 });
  const written = rows(name);
  expect(written.length).toBeGreaterThan(2);
  for (const row of written) {
    expect(row.chosen[0]).toMatchObject({ reasoning_content: "hm" });
    expect(row.evidence.chosen.origin).toMatchObject({ server: server.baseUrl, model: "policy" });
  }
  const tools = write("tools.jsonl", [{ prompt: "x", tools: [{ type: "function" }] }]);
  await expect(make({ ...sampled, data: tools, output: at(output()) })).rejects.toThrow(
    /tools\.jsonl, line 1: tools cannot be sent to a server/,
  );
});

it("a judge that dies half-way is one error; what it had said is not asked again, and the file is that of a whole run", async () => {
  const data = write("two.jsonl", [
    { prompt: "Say hello.", responses: ["Hello, and welcome!", "Hi."] },
    { prompt: "Say goodbye.", responses: ["Goodbye, and come again!", "Bye."] },
  ]);
  const whole = output();
  server.answers = judges(4);
  await make({ responses: [data], output: at(whole), ...judged() });

  const name = output();
  server.reset();
  server.answers = [
    ...judges(2),
    json(401, { error: { message: "key expired" } }),
    json(401, { error: { message: "key expired" } }),
  ];
  await expect(make({ responses: [data], output: at(name), ...judged() })).rejects.toThrow(
    /refuses to answer as judge/,
  );
  expect(existsSync(at(name))).toBe(false);
  server.reset();
  server.answers = judges(2);
  await make({ responses: [data], output: at(name), ...judged() });
  expect(server.bodies).toHaveLength(2);
  const text = readFileSync(at(name), "utf8");
  expect(text).toBe(readFileSync(at(whole), "utf8"));
});

it("a server that is busy is asked again; one that never gets better fails that comparison alone", async () => {
  const data = write("two.jsonl", [
    { prompt: "Say hello.", responses: ["Hello, and welcome!", "Hi."] },
    { prompt: "Say goodbye.", responses: ["Goodbye, and come again!", "Bye."] },
  ]);
  const busy = json(429, { error: { message: "slow down" } });
  server.answers = [busy, judge(), judge(), busy, busy, busy, busy];
  const report = await make({ responses: [data], output: at(output()), ...judged() });
  expect(report).toMatchObject({ rows: 1, judge_failures: 1, unlabelled: 1 });
  expect(report.reasons[0]).toContain("slow down");
});

it("people take comparisons from --to_label and decide before all others; ids that are not here are an error", async () => {
  const data = write("sums.jsonl", sums);
  const asked = at("to-label.jsonl");
  await make({ responses: [data], output: at(output()), to_label: asked });
  const open = rows("to-label.jsonl") as unknown as readonly Record<string, unknown>[];
  expect(open).toHaveLength(4);
  expect(open[0]).toMatchObject({ preference: null, criteria: { truthfulness: null, debiasing: null } });
  // For the wrong response, against the verifier; a tie; and two left open.
  const wrong = (row: Record<string, unknown>) => (String(row["first"]).includes("{2}") ? "second" : "first");
  const labels = [
    { ...open[0], preference: wrong(open[0]!), criteria: { conciseness: "tie" }, by: "ada" },
    { ...open[0], preference: "tie", by: "grace" },
    open[1],
  ];
  const name = output();
  const report = await make({ responses: [data], output: at(name), labels: [write("labels.jsonl", labels)] });
  expect(report.preferences).toEqual({ human: 1, verifier: 1, judge: 0, merged: 0 });
  const [human] = rows(name).filter(({ source }) => source === "human");
  expect(human!.rejected[0]!.content).toBe("The answer is \\boxed{2}.");
  expect(human!.evidence.labels.map(({ source, preference }) => [source, preference])).toEqual([
    ["human", "chosen"],
    ["human", "tie"],
    ["verifier", "rejected"],
  ]);
  const overall = report.agreement.filter(({ on }) => on === "overall");
  expect(overall.map(({ between, share }) => [between.join(), share])).toEqual([
    ["human,human", 0],
    ["human,verifier", 0],
  ]);
  const foreign = write("foreign.jsonl", [{ id: "abc", preference: "first" }]);
  await expect(make({ responses: [data], output: at(output()), labels: [foreign] })).rejects.toThrow(
    /foreign\.jsonl, line 1: no comparison here has this id/,
  );
  const odd = write("odd.jsonl", [{ id: "abc", preference: "left" }]);
  await expect(make({ responses: [data], output: at(output()), labels: [odd] })).rejects.toThrow(
    /odd\.jsonl, line 1: preference: expected first, second or tie, came "left"/,
  );
});

it("pairs of DPO are merged behind, repeats and contradictions left out and counted", async () => {
  const name = output();
  const data = write("sums.jsonl", sums);
  await make({ responses: [data], output: at(name) });
  const [own] = rows(name);
  const pairs = write("pairs.jsonl", [
    own,
    { ...own, chosen: own!.rejected, rejected: own!.chosen },
    { prompt: "x", chosen: "y", rejected: "z", evidence: { by: "dpo" } },
  ]);
  const report = await make({ responses: [data], output: at("merged.jsonl"), pairs: [pairs] });
  expect(report).toMatchObject({
    rows: 3,
    repeated_pairs: 1,
    contradicting_pairs: 1,
    preferences: { merged: 1 },
  });
  expect(rows("merged.jsonl").at(-1)).toEqual({
    source: "pairs",
    prompt: "x",
    chosen: "y",
    rejected: "z",
    evidence: { by: "dpo" },
  });
});

const query: Query = {
  number: 3,
  place: { path: "q", line: 1 },
  id: "q",
  prompt: [{ role: "user", content: "?" }],
  row: {},
};
const response = (text: string, outcome?: "pass" | "fail"): Response => ({
  ...{ text, finish: "stop", origin: {} },
  verdict: outcome && { outcome, evidence: "", verifier: "math" },
});

it("comparisons: what a verifier decides first, each response as seldom as can be, the same whatever the order", () => {
  const all = [
    response("a", "pass"),
    response("b", "fail"),
    response("c", "pass"),
    response("d"),
    response(" a "),
    response(""),
  ];
  const pairs = comparisonsOf(query, all, 3, 1);
  const texts = pairs.map(({ first, second }) => [first.text, second.text].sort().join(""));
  expect(texts.slice(0, 2).sort()).toEqual(["ab", "bc"]);
  expect(texts).toHaveLength(3);
  expect(texts[2]).toContain("d");
  expect(comparisonsOf(query, [...all].slice(0, 4).reverse(), 3, 1).map(({ id }) => id)).toEqual(
    pairs.map(({ id }) => id),
  );
  const places = Array.from(
    { length: 40 },
    (_, number) => comparisonsOf({ ...query, number }, [response("a"), response("b")], 1, 1)[0]!.first.text,
  );
  expect(new Set(places)).toEqual(new Set(["a", "b"]));
});

it("labels: people, then verifiers, then the judge; a tie decides nothing", () => {
  const label = (
    source: Label["source"],
    preference: Label["preference"],
    own: Label["criteria"] = {},
  ): Label => ({
    ...{ source, by: source, preference, criteria: own, evidence: null },
  });
  expect(decide([label("judge", "first"), label("verifier", "second")]).label?.source).toBe("verifier");
  expect(decide([label("human", "tie"), label("judge", "first")]).label?.source).toBe("judge");
  expect(decide([label("judge", "tie", { relevance: "tie" })])).toEqual({
    label: undefined,
    criteria: { relevance: "tie" },
  });
  expect(
    decide([
      label("judge", "first", { relevance: "first" }),
      label("human", "second", { relevance: "second" }),
    ]).criteria,
  ).toEqual({ relevance: "second" });
});

it("agreement: the share, and Cohen's kappa beyond chance", () => {
  const yes = (n: number) => Array(n).fill(["first", "first"]);
  const table = [
    ...yes(20),
    ...Array(5).fill(["first", "second"]),
    ...Array(10).fill(["second", "first"]),
    ...Array(15).fill(["second", "second"]),
  ];
  // Cohen's textbook table: 0.7 observed, 0.5 by chance.
  expect(agreementOf(table)).toEqual({ comparisons: 50, share: 0.7, kappa: expect.closeTo(0.4, 12) });
  expect(agreementOf(yes(3))).toEqual({ comparisons: 3, share: 1, kappa: null });
  expect(agreementOf([])).toBeUndefined();
});
