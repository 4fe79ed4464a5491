/** Verifiers of the user's own: signatures, and everything that such a module can do wrong. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJson, stringifyJson } from "@posttrain/data";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromTrlReward, fromVerlScore, type OwnVerifier, openOwnVerifier, type Row } from "../src/index.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-own-"));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const javascript = write(
  "own.mjs",
  `import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
export function grade(response, row) {
  console.log("noise", response);
  if (response === "throw") throw new Error("no such thing");
  if (response === "loop") for (;;) {}
  if (response === "wait") { spawn("sleep", ["60"], { stdio: "inherit" }); return new Promise(() => {}); }
  if (response === "exit") { console.error("last words"); process.exit(0); }
  if (response === "nan") return 0 / 0;
  if (response === "nothing") return;
  if (response === "odd") return { outcome: "maybe" };
  if (response === "null") return null;
  if (response === "fd 3") writeSync(3, "mine\\n");
  if (response.startsWith("lines")) return { outcome: "pass", evidence: response };
  if (response === "verdict") return { outcome: "crash", evidence: "It fell.", details: { from: 3 } };
  if (response === "score") return 0.5;
  return response === row.answer;
}
export const accuracy_reward = (completions, { answer, prompts }) =>
  completions.map((text, i) => (text === answer[i] && prompts[i] === "?" ? 1 : 0.25));
export const chat_reward = async (completions) => completions.map(([{ role, content }]) => (role + content === "assistanta" ? 1 : null));
export const wrong_reward = () => [1, 1];
export const compute_score = (source, solution, truth, extra) => ({ score: solution === truth ? 1 : -1, source, split: extra.split });
`,
);

describe("grade", () => {
  let own: OwnVerifier;
  beforeAll(async () => {
    own = await openOwnVerifier(javascript, { timeoutSeconds: 1, concurrency: 2 });
  });
  afterAll(() => own.close());

  test.each([
    ["a", "pass", /returned true/],
    ["b", "fail", /returned false/],
    ["verdict", "crash", /^It fell\.$/],
    ["score", "fail", /scores 0\.5; 1 passes/],
    ["throw", "infrastructure-error", /the verifier failed: Error: no such thing/],
    ["loop", "infrastructure-error", /did not answer within 1 s, and was ended/],
    ["wait", "infrastructure-error", /did not answer within 1 s/],
    ["exit", "infrastructure-error", /process ended\. It had said: [\s\S]*last words/],
    ["nan", "infrastructure-error", /it returned NaN/],
    ["nothing", "infrastructure-error", /it returned undefined/],
    ["odd", "infrastructure-error", /\{"outcome":"maybe"\}, expected a verdict whose outcome is one of pass/],
    ["null", "infrastructure-error", /null, which says that it does not apply/],
    ["fd 3", "infrastructure-error", /process ended\. It had said: It answered what it was not asked: mine/],
    ["lines\u2028of\u2029text", "pass", /^lines\u2028of\u2029text$/],
    ["a", "pass", /returned true/],
  ])("%s: %s", async (response, outcome, evidence) => {
    const verdict = await own.grade(response, { answer: "a" });
    expect(verdict.outcome).toBe(outcome);
    expect(verdict.evidence).toMatch(evidence);
  });

  test("many at once, with some that die between", async () => {
    const responses = ["a", "exit", "b", "a", "exit", "a", "throw", "b", "a"];
    const verdicts = await Promise.all(responses.map((response) => own.grade(response, { answer: "a" })));
    expect(verdicts.map(({ outcome }) => outcome)).toEqual(
      responses.map((text) => (text === "a" ? "pass" : text === "b" ? "fail" : "infrastructure-error")),
    );
  });
});

const python = write(
  "rewards.py",
  `import os
def accuracy_reward(completions, answer, prompts, **kwargs):
    print("noise")
    return [1.0 if text == right and prompt == "?" else None if text == "skip" else 0.0 for text, right, prompt in zip(completions, answer, prompts)]
async def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    if solution_str == "nan":
        return float("nan")
    if solution_str == "die":
        os._exit(0)
    return {"score": 1 if solution_str == ground_truth else 0, "source": data_source}
`,
);

describe("other trainers' signatures", () => {
  const row = { prompt: "?", answer: "a", data_source: "mine", extra_info: { split: "test" } };
  test.each([
    [
      "TRL's in JavaScript",
      `${javascript}#accuracy_reward`,
      [
        ["a", "pass", 1],
        ["b", "fail", 0.25],
      ],
    ],
    [
      "verl's in JavaScript",
      `${javascript}#compute_score`,
      [
        ["a", "pass", 1],
        ["b", "fail", -1],
      ],
    ],
    [
      "TRL's in Python",
      `${python}#accuracy_reward`,
      [
        ["a", "pass", 1],
        ["b", "fail", 0],
        ["skip", "infrastructure-error", undefined],
      ],
    ],
    [
      "verl's in Python",
      python,
      [
        ["a", "pass", 1],
        ["b", "fail", 0],
        ["nan", "infrastructure-error", undefined],
        ["die", "infrastructure-error", undefined],
        ["a", "pass", 1],
      ],
    ],
    ["too many numbers", `${javascript}#wrong_reward`, [["a", "infrastructure-error", undefined]]],
  ] as const)("%s", async (_what, spec, cases) => {
    await using own = await openOwnVerifier(spec);
    for (const [response, outcome, score] of cases) {
      const verdict = await own.grade(response, row);
      expect(verdict.outcome, verdict.evidence).toBe(outcome);
      expect(verdict.details?.["score"]).toBe(score);
    }
  });

  test("messages come where the row has messages", async () => {
    await using own = await openOwnVerifier(`${javascript}#chat_reward`);
    const prompt = [{ role: "user", content: "?" }];
    expect((await own.grade("a", { prompt })).outcome).toBe("pass");
    expect((await own.grade("b", { prompt })).outcome).toBe("infrastructure-error");
  });

  test("as functions of this process", async () => {
    const trl = fromTrlReward((completions, { answer }) =>
      completions.map((text, i) => (text === answer?.[i] ? 1 : 0)),
    );
    expect((await trl("a", { answer: "a" })).outcome).toBe("pass");
    const verl = fromVerlScore((_source, solution, truth) => ({ score: solution === truth ? 0.9 : 0 }), {
      passScore: 0.5,
    });
    expect(await verl("a", { reward_model: { ground_truth: "a" } })).toMatchObject({
      outcome: "pass",
      details: { score: 0.9 },
    });
  });
});

test.each([
  ["JavaScript", write("forever.mjs", "export function grade() { for (;;) {} }\n")],
  ["Python", write("forever.py", "def grade(response, row):\n    while True: pass\n")],
])("a function of %s that never returns ends with the process that asked", async (_what, path) => {
  const source = new URL("../dist/own-verifier.js", import.meta.url).href;
  const script = `import { openOwnVerifier } from ${JSON.stringify(source)};
    const own = await openOwnVerifier(${JSON.stringify(path)}, { timeoutSeconds: 600 });
    own.grade("x", {});
    setTimeout(() => process.stdout.write("asked"), 500);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => parent.stdout.once("data", resolve));
  const running = (): number =>
    readdirSync("/proc").filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) &&
          readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(path) &&
          !readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("input-type")
        );
      } catch {
        return false;
      }
    }).length;
  expect(running()).toBe(1);
  parent.kill("SIGKILL");
  for (let wait = 0; running() > 0 && wait < 200; wait++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  expect(running()).toBe(0);
});

describe("a module that cannot be used is refused before anything is graded", () => {
  test.each([
    ["that is not there", join(folder, "none.mjs"), /is not there/],
    ["of another kind", write("own.rb", ""), /expected a \.mjs, \.js, \.cjs or \.py file/],
    ["with a mistake", write("broken.mjs", "export function grade( {"), /does not load: .*SyntaxError/s],
    ["with a mistake in Python", write("broken.py", "def grade(:\n"), /does not load: .*SyntaxError/s],
    [
      "without a function",
      write("empty.mjs", "export const one = 1;"),
      /no function that could be meant.*it has none/,
    ],
    [
      "with several",
      write("two.py", "def a_reward(): pass\ndef b_reward(): pass\n"),
      /it has a_reward, b_reward\. Name one/,
    ],
    ["without the named function", `${javascript}#none`, /has no function none; it has .*grade/],
    ["that ends", write("exit.mjs", "process.exit(0);"), /does not load: its process ended/],
  ])("%s", async (_what, spec, says) => {
    await expect(openOwnVerifier(spec)).rejects.toThrow(says);
  });
});

describe("numbers of a row reach a module as they are, and come back", () => {
  const row = parseJson(
    '{"id": 12345678901234567890, "n": [10000000000000000, 9007199254740993, -9007199254740993], "f": [1.0, 1e-06, 0.5, 1e400], "k": 7}',
  ) as Row;

  test("in Python: ints of any size, floats where the row writes one", async () => {
    const path = write(
      "numbers.py",
      `def grade(response, row):
    seen = repr((row["id"], row["n"], row["f"], row["k"]))
    return {"outcome": "pass", "evidence": seen, "details": {"id": row["id"], "score": 1.0}}

def accuracy_reward(completions, **kwargs):
    return [1.0]
`,
    );
    await using own = await openOwnVerifier(path);
    const verdict = await own.grade("x", row);
    expect(verdict.evidence).toBe(
      "(12345678901234567890, [10000000000000000, 9007199254740993, -9007199254740993], [1.0, 1e-06, 0.5, inf], 7)",
    );
    expect(stringifyJson(verdict.details)).toBe('{"id":12345678901234567890,"score":1.0}');
    await using reward = await openOwnVerifier(`${path}#accuracy_reward`);
    expect(await reward.grade("x", row)).toMatchObject({ outcome: "pass", details: { score: 1 } });
  });

  test("in JavaScript: a BigInt where no Number is the number", async () => {
    const path = write(
      "numbers.mjs",
      `export function grade(response, row) {
  const show = (value) => (Array.isArray(value) ? value.map(show).join(" ") : typeof value + value);
  return { outcome: "pass", evidence: Object.values(row).map(show).join(", "), details: { id: row.id, n: row.n } };
}
`,
    );
    await using own = await openOwnVerifier(path);
    const verdict = await own.grade("x", row);
    expect(verdict.evidence).toBe(
      "bigint12345678901234567890, number10000000000000000 bigint9007199254740993 bigint-9007199254740993, number1 number0.000001 number0.5 numberInfinity, number7",
    );
    expect(stringifyJson(verdict.details)).toBe(
      '{"id":12345678901234567890,"n":[10000000000000000,9007199254740993,-9007199254740993]}',
    );
  });
});
