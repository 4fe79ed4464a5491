// posttrain verify as a shell runs it: verdicts beside rows, exit codes, kill and resume, modules of one's own, every bad input.
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { main, type Outcome, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true }));

const verify = (...args: readonly string[]): Promise<Outcome> =>
  posttrainHere(["verify", ...args], { cwd: folder });
const linesOf = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const rows = [
  { question: "6 * 12?", answer: "6*12=72\n#### 72", response: "#### 72" },
  { problem: "?", answer: "1/2", responses: ["\\boxed{0.5}", "\\boxed{2}", "no idea"] },
  { prompt: "?", instruction_id_list: ["punctuation:no_comma"], kwargs: [{}], response: "a, b" },
  { test_list: ["assert add(1, 2) == 3"], response: "```python\ndef add(a, b):\n    return a + b\n```" },
];

it("grades rows of every kind: verdicts on standard output, a table and evidence beside it", async () => {
  const data = writeRows(folder, "mixed.jsonl", rows);
  const { code, out, err } = await verify("--data", data, "--route", "wasm");
  expect(code).toBe(0);
  const graded = linesOf(out);
  expect(
    graded.map(({ verdict, verdicts }) =>
      (verdicts ?? [verdict]).map((one: { outcome: string }) => one.outcome),
    ),
  ).toEqual([["pass"], ["pass", "fail", "unparseable"], ["fail"], ["pass"]]);
  expect(graded[0]).toMatchObject({
    ...rows[0],
    verdict: { verifier: "gsm8k", details: { extracted: "72" } },
  });
  expect(err).toMatch(/4 rows, 6 responses: gsm8k 1, math 3, ifeval 1, code 1/);
  expect(err).toMatch(/Programs run in WebAssembly, as asked/);
  expect(err).toMatch(/^math +3 +1 +1 +0 +0 +1 +0 +33\.3 %/m);
  expect(err).toMatch(/^all +6 +3 +2 +0 +0 +1 +0 +50\.0 %/m);
  expect(err).toMatch(/The first that did not pass\n {2}line 2, response 2: math, fail/);
  expect(err).toMatch(/line 3: ifeval, fail, .*\n {4}punctuation:no_comma: /);
});

it("--json has the table, --quiet leaves the talk out, a mode decides as its grader does", async () => {
  const data = writeRows(folder, "percent.jsonl", [{ answer: "0.5", response: "\\boxed{50}" }]);
  const own = await verify("--data", data, "--json");
  expect([own.code, linesOf(own.out)]).toEqual([
    0,
    [
      expect.objectContaining({
        rows: 1,
        responses: 1,
        outcomes: expect.objectContaining({ fail: 1 }),
        output: null,
      }),
    ],
  ]);
  const qwen = await verify("--data", data, "--mode", "qwen2.5-math", "--quiet");
  expect(linesOf(qwen.out)[0].verdict.outcome).toBe("pass");
  expect(qwen.err).not.toMatch(/row|slowest/);
});

const slow = `import { appendFileSync } from "node:fs";
export async function grade(response) {
  appendFileSync("asked.txt", response + "\\n");
  await new Promise((resolve) => setTimeout(resolve, 40));
  return Number(response) % 2 === 0;
}
`;

it("killed at any moment, the same command grades only what has no verdict yet", async () => {
  writeFileSync(at("slow.mjs"), slow);
  const data = writeRows(
    folder,
    "many.jsonl",
    Array.from({ length: 60 }, (_, i) => ({ response: String(i) })),
  );
  const args = [
    "verify",
    "--data",
    data,
    "--verifier",
    "./slow.mjs",
    "--concurrency",
    "3",
    "--output",
    "many-graded.jsonl",
  ];
  const journal = at("many-graded.jsonl.progress", "journal.jsonl");
  const verdictsSoFar = (): number =>
    existsSync(journal) ? readFileSync(journal, "utf8").split("\n").length - 2 : 0;
  let kept = 0;
  for (const goal of [10, 30]) {
    const child = spawn(process.execPath, [main, ...args], { cwd: folder, stdio: "ignore" });
    const ended = new Promise((resolve) => child.on("close", resolve));
    while (verdictsSoFar() < goal && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGKILL");
    await ended;
    expect(existsSync(at("many-graded.jsonl"))).toBe(false);
    expect(verdictsSoFar()).toBeGreaterThanOrEqual(goal);
    kept = verdictsSoFar();
  }
  rmSync(at("asked.txt"));
  const { code, err } = await posttrainHere(args, { cwd: folder });
  expect([code, err]).toEqual([
    0,
    expect.stringMatching(new RegExp(`${kept} verdicts taken from the journal`)),
  ]);
  // What was under way when it was killed is asked for again, what has a verdict never.
  const asked = readFileSync(at("asked.txt"), "utf8").trim().split("\n");
  expect(asked).toHaveLength(60 - kept);
  expect(new Set(asked).size).toBe(asked.length);
  const graded = linesOf(readFileSync(at("many-graded.jsonl"), "utf8"));
  expect(graded.map(({ response }) => Number(response))).toEqual(Array.from({ length: 60 }, (_, i) => i));
  expect(
    graded.every(({ response, verdict }) => (verdict.outcome === "pass") === (Number(response) % 2 === 0)),
  ).toBe(true);
  const again = await posttrainHere(args, { cwd: folder });
  expect([again.code, again.err]).toEqual([
    4,
    expect.stringMatching(/All was graded before: many-graded\.jsonl/),
  ]);
});

it("Ctrl-C keeps the verdicts so far and says how to go on", async () => {
  writeFileSync(at("slow.mjs"), slow);
  const data = writeRows(
    folder,
    "stopped.jsonl",
    Array.from({ length: 200 }, (_, i) => ({ response: String(i) })),
  );
  const child = spawn(
    process.execPath,
    [
      main,
      "verify",
      "--data",
      data,
      "--verifier",
      "./slow.mjs",
      "--concurrency",
      "1",
      "--output",
      "stopped-graded.jsonl",
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let err = "";
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk;
  });
  const journal = at("stopped-graded.jsonl.progress", "journal.jsonl");
  while (!existsSync(journal) || readFileSync(journal, "utf8").split("\n").length < 5) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  child.kill("SIGINT");
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect([code, err]).toEqual([
    130,
    expect.stringMatching(/stopped-graded\.jsonl\.progress: the same command goes on/),
  ]);
  expect(existsSync(at("stopped-graded.jsonl"))).toBe(false);
});

it("rows that cannot be graded as they are: the others are, and the exit code is 1", async () => {
  const data = writeRows(folder, "unfit.jsonl", [
    { answer: "1", response: "\\boxed{1}" },
    { verifier: "maths", answer: "1", response: "\\boxed{1}" },
  ]);
  const { code, err } = await verify("--data", data, "--output", "unfit-graded.jsonl");
  expect(code).toBe(1);
  expect(err).toMatch(
    /line 2: verifier: there is none called "maths"\. Known verifiers: math, .* The others were graded: unfit-graded\.jsonl\n$/,
  );
  const outcomes = linesOf(readFileSync(at("unfit-graded.jsonl"), "utf8")).map(
    ({ verdict }) => verdict.outcome,
  );
  expect(outcomes).toEqual(["pass", "infrastructure-error"]);
});

it("rows that the grader could not grade: exit code 5, never a failure of the response", async () => {
  writeFileSync(at("broken.mjs"), 'export function grade() { throw new Error("no key"); }\n');
  const data = writeRows(folder, "lost.jsonl", [{ response: "a" }]);
  const { code, out, err } = await verify("--data", data, "--verifier", "./broken.mjs");
  expect([code, linesOf(out)[0].verdict.outcome]).toEqual([5, "infrastructure-error"]);
  expect(err).toMatch(/1 response could not be graded: counted here, and nobody's failure/);
});

it("without bubblewrap programs run in WebAssembly, and it says so and what would help", async () => {
  mkdirSync(at("bin"));
  symlinkSync(process.execPath, at("bin", "node"));
  const env = { PATH: at("bin") };
  const data = writeRows(folder, "programs.jsonl", [
    rows[3],
    { ...rows[3], response: "```python\nadd = lambda a, b: 4\n```" },
  ]);
  const { code, out, err } = await posttrain(["verify", "--data", data], { cwd: folder, env });
  expect([code, linesOf(out).map(({ verdict }) => verdict.outcome)]).toEqual([0, ["pass", "fail"]]);
  expect(err).toMatch(/Programs run in WebAssembly .*could not prove bwrap.*apt-get install bubblewrap/);
  const insisting = await posttrain(["verify", "--data", data, "--route", "native"], {
    cwd: folder,
    env,
  });
  expect([insisting.code, linesOf(insisting.out)[0].verdict.outcome]).toEqual([5, "infrastructure-error"]);
  expect(insisting.err).toMatch(/Programs will not run: .*apt-get install bubblewrap/);
});

it("--self_test tells what is proven; exit code 0", async () => {
  const { code, out } = await verify("--self_test", "--verifier", "math");
  expect([code, out]).toEqual([0, expect.stringMatching(/^math +own +proven +ok +ok +ok/m)]);
  expect(out).toMatch(/5 proven, 0 failed, 0 not available/);
});

it("a row without a response does not keep the others from their verdicts; exit code 1 names it", async () => {
  const rows = [
    { answer: "1", response: "\\boxed{1}" },
    { answer: "1" },
    { answer: "2", response: "\\boxed{3}" },
  ];
  const data = basename(writeRows(folder, "gap.jsonl", rows));
  const { code, out, err } = await verify("--data", data);
  expect(linesOf(out).map(({ verdict }) => verdict.outcome)).toEqual([
    "pass",
    "infrastructure-error",
    "fail",
  ]);
  expect(code).toBe(1);
  expect(err).toMatch(
    /gap\.jsonl, line 2: it has no response: expected responses, completions.* The others were graded\./,
  );
});

describe("what is wrong with a command or a file is said in one paragraph, with exit code 1", () => {
  const good = { answer: "1", response: "\\boxed{1}" };
  it.each<[string, readonly unknown[] | undefined, readonly string[], RegExp]>([
    ["no file", undefined, [], /Missing: --data .*or --self_test/],
    ["a file that is not there", undefined, ["--data", "none.jsonl"], /none\.jsonl/],
    ["a line that is no JSON", [good, "{"], [], /line 2/],
    ["a row that is no object", [good, [1]], [], /line 2: expected a JSON object, came \[1\]/],
    [
      "a response that is none",
      [{ answer: "1", response: { a: 1 } }],
      [],
      /line 1: response: expected text or messages/,
    ],
    ["no reference", [{ response: "x" }], [], /line 1: no verifier fits its columns.*Nothing was graded/],
    ["a mode that is none", [good], ["--mode", "mine"], /mode.*own, qwen2\.5-math, hendrycks/],
    [
      "an unknown verifier",
      [good],
      ["--verifier", "maths"],
      /no verifier "maths".*Known verifiers.*module of your own/,
    ],
    ["a module that is not there", [good], ["--verifier", "./none.mjs"], /none\.mjs is not there/],
    ["the data as output", [good], ["--output", "bad.jsonl"], /data file itself/],
    ["an output in no folder", [good], ["--output", "none/out.jsonl"], /none\/out\.jsonl.*cannot be written/],
    ["no concurrency", [good], ["--concurrency", "0"], /concurrency.*at least 1/],
    ["self-test of a file", [good], ["--self_test"], /self_test.*leave data and output out/],
  ])("%s", async (_what, file, args, says) => {
    const data = file === undefined ? [] : ["--data", basename(writeRows(folder, "bad.jsonl", file))];
    const { code, out, err } = await verify(...data, ...args);
    expect(err).toMatch(says);
    expect(err).not.toMatch(/^\s+at /m);
    expect([code, out]).toEqual([1, ""]);
  });
});

it("killed while the sandbox is proven, it leaves nothing that the next one does not sweep", async () => {
  const task = {
    verifier: "code",
    entry_point: "f",
    prompt: "def f():\n",
    test: "def check(f):\n    assert f() == 1",
  };
  const data = writeRows(folder, "program.jsonl", [{ ...task, completion: "    return 1" }]);
  const scratch = at("scratch");
  mkdirSync(scratch);
  const env = { ...process.env, TMPDIR: scratch };
  const child = spawn(process.execPath, [main, "verify", "--data", data], { env, stdio: "ignore" });
  while (readdirSync(scratch).length === 0 && child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill("SIGKILL");
  await posttrain(["verify", "--data", data], { env: { TMPDIR: scratch } });
  expect(readdirSync(scratch)).toEqual([]);
});
