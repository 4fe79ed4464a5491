// posttrain dpo pairs as a shell runs it: sampled from checkpoints and from a server, and every wrong word on its line.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  completion,
  json,
  openScriptedServer,
  type ScriptedServer,
} from "../../../tests/support/openai-server.js";
import {
  copyModel,
  makeModel,
  type Outcome,
  posttrain,
  temporaryFolder,
  writeRows,
} from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let model: string;
let server: ScriptedServer;
beforeAll(async () => {
  model = await makeModel(folder);
  server = await openScriptedServer();
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const pairs = (...args: readonly string[]): Promise<Outcome> =>
  posttrainHere(["dpo", "pairs", ...args], { cwd: folder });
const linesOf = (name: string) =>
  readFileSync(at(name), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** What a model without training writes half of the time. */
const queries = Array.from({ length: 24 }, (_, i) => ({
  prompt: `What is ${i} + ${i}?`,
  instruction_id_list: ["keywords:letter_frequency"],
  kwargs: [{ letter: "e", let_frequency: 1, let_relation: "less than" }],
}));

describe("from a checkpoint", () => {
  const args = (output: string): string[] => [
    ...["--model_name_or_path", model, "--data", writeRows(folder, "queries.jsonl", queries)],
    ...["--num_samples", "4", "--max_new_tokens", "24", "--threads", "1", "--output", output],
  ];

  it("with both verdicts and origins; done once", async () => {
    const whole = await pairs(...args("whole.jsonl"));
    expect(whole).toMatchObject({ code: 0 });
    const found = linesOf("whole.jsonl");
    expect(found.length).toBeGreaterThan(5);
    expect(found[0]).toMatchObject({
      prompt: [{ role: "user" }],
      evidence: {
        chosen: {
          verdict: { outcome: "pass", verifier: "ifeval" },
          origin: { model, weights: expect.stringMatching(/^[0-9a-f]{64}$/), temperature: 1, seed: 42 },
        },
        rejected: { verdict: { outcome: "fail" }, origin: { sample: expect.any(Number) } },
      },
    });
    expect(await posttrain(["dpo", "pairs", ...args("whole.jsonl")], { cwd: folder })).toMatchObject({
      code: 4,
      err: expect.stringMatching(/made before/),
    });
  });

  it("or several, which must differ", async () => {
    const other = copyModel(model, "same");
    const data = writeRows(folder, "few.jsonl", queries.slice(0, 2));
    const { code, err } = await pairs(
      "--model_name_or_path",
      `${model},${other}`,
      "--data",
      data,
      "--output",
      "two.jsonl",
    );
    expect([code, err]).toEqual([1, expect.stringMatching(/hold the same weights/)]);
  });
});

describe("from a server", () => {
  const questions = [2, 3, 4].map((n) => ({ prompt: `${n} + ${n}?`, answer: String(2 * n) }));
  const args = (output: string): string[] => [
    ...["--base_url", server.baseUrl, "--model", "m", "--num_concurrent", "1", "--max_retries", "1"],
    ...["--data", writeRows(folder, "questions.jsonl", questions), "--num_samples", "2", "--output", output],
  ];
  /** Right for even seeds. */
  const bySeed: Answer = (body, response) => {
    const n = Number.parseInt(body.messages[0]!.content, 10);
    const sum = Number(body["seed"]) % 2 === 0 ? 2 * n : 1;
    json(200, completion(`Let me see: it is \\boxed{${sum}}`, {}))(body, response);
  };
  const script = (count: number): void => {
    server.reset();
    server.answers = Array.from({ length: count }, () => bySeed);
  };

  beforeAll(async () => {
    script(6);
    expect(await pairs(...args("served.jsonl"), "--seed", "3")).toMatchObject({ code: 0 });
  });

  it("asks within the protocol, keeps replies, and goes on where it was when the server came back", async () => {
    expect(server.bodies).toHaveLength(6);
    expect(Object.keys(server.bodies[0]!).toSorted()).toEqual([
      "max_tokens",
      "messages",
      "model",
      "seed",
      "temperature",
    ]);
    const expected = readFileSync(at("served.jsonl"), "utf8");
    expect(linesOf("served.jsonl")[0].evidence.chosen).toMatchObject({
      verdict: { outcome: "pass", verifier: "math" },
      origin: { server: server.baseUrl, model: "m", temperature: 1, sample: expect.any(Number) },
    });

    script(3);
    server.answers.push(json(401, { error: { message: "key expired" } }));
    const died = await pairs(...args("again.jsonl"), "--seed", "3");
    expect([died.code, died.err]).toEqual([1, expect.stringMatching(/refuses to answer as m .*key expired/)]);
    expect(existsSync(at("again.jsonl"))).toBe(false);
    const asked = server.bodies.slice(0, 3).map(({ seed }) => seed);
    script(6);
    expect(await pairs(...args("again.jsonl"), "--seed", "3")).toMatchObject({ code: 0 });
    expect(server.bodies.map(({ seed }) => seed).filter((seed) => asked.includes(seed))).toEqual([]);
    expect(readFileSync(at("again.jsonl"), "utf8")).toBe(expected);
  });

  it("counts what got no reply, and asks for that alone the next time", async () => {
    script(5);
    server.answers.splice(2, 0, json(400, { error: { message: "too long" } }));
    const some = await pairs(...args("some.jsonl"), "--seed", "3");
    expect([some.code, some.err]).toEqual([
      5,
      expect.stringMatching(/1 request got no reply.*line 2.*too long/s),
    ]);
    script(1);
    expect(await pairs(...args("some.jsonl"), "--seed", "3")).toMatchObject({ code: 0 });
    expect(server.bodies).toHaveLength(1);
    expect(readFileSync(at("some.jsonl"), "utf8")).toBe(readFileSync(at("served.jsonl"), "utf8"));
  });
});

describe("what is wrong with it", () => {
  const some = (): string => writeRows(folder, "one.jsonl", [{ prompt: "2?", answer: "2", response: "2" }]);
  it.each<[name: string, args: () => string[], message: RegExp]>([
    ["nothing to take", () => ["--output", "o"], /Missing: --model_name_or_path .*--base_url .*--responses/],
    [
      "both ways",
      () => ["--responses", some(), "--model_name_or_path", model, "--data", some(), "--output", "o"],
      /leave out these/,
    ],
    ["no queries", () => ["--model_name_or_path", model, "--output", "o"], /Missing: --data/],
    [
      "half a server",
      () => ["--base_url", "http://127.0.0.1:9/v1", "--data", some(), "--output", "o"],
      /a server needs both/,
    ],
    ["a file that is not there", () => ["--responses", "none.jsonl", "--output", "o"], /none\.jsonl/],
    ["an output in no folder", () => ["--responses", some(), "--output", "no/o"], /cannot be written/],
    [
      "greedy sampling",
      () => ["--responses", some(), "--temperature", "0", "--output", "o"],
      /--temperature is "0", expected a number, above 0/,
    ],
    [
      "a share of nothing",
      () => ["--responses", some(), "--mix", "x=half", "--output", "o"],
      /expected a file, FILE=0\.5/,
    ],
    [
      "nothing that asks",
      () => ["--responses", writeRows(folder, "n.jsonl", [{ response: "x" }]), "--output", "o"],
      /it asks nothing/,
    ],
  ])("%s", async (_, args, message) => {
    const { code, err } = await pairs(...args());
    expect([code, err]).toEqual([1, expect.stringMatching(message)]);
    expect(existsSync(at("o"))).toBe(false);
  });
});
