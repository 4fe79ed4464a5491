// How a command ends when the world around it does: a reader of its output that leaves, an output that cannot be written, a signal. As a shell runs it.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { conversation, main, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const rows = Array.from({ length: 12 }, (_, i) => conversation(`What is ${i} + 1?`, `Answer: ${i + 1}`));
let model: string;
let data: string;

beforeAll(async () => {
  model = await makeModel(folder);
  data = writeRows(folder, "rows.jsonl", rows);
  writeRows(folder, "graded.jsonl", [{ answer: "1", response: "\\boxed{1}" }]);
  writeRows(folder, "many-graded.jsonl", Array(20_000).fill({ answer: "1", response: "\\boxed{1}" }));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A line of bash, in which "$@" is the command; the exit codes of its pipeline. */
function shell(
  line: string,
  args: readonly string[],
): { codes: readonly number[]; out: string; err: string } {
  const script = `${line}; codes="\${PIPESTATUS[*]}"; echo "codes $codes" >&3`;
  const { stdout, stderr, output } = spawnSync("bash", ["-c", script, "-", process.execPath, main, ...args], {
    encoding: "utf8",
    cwd: folder,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    input: "Hello\n".repeat(40),
  });
  const codes = /^codes (.*)$/m.exec(output[3] ?? "")?.[1];
  return { codes: (codes ?? "").split(" ").map(Number), out: stdout, err: stderr };
}

const sft = (run: string, steps = 3): readonly string[] => [
  ...["sft", "--model_name_or_path", model, "--data", data, "--output_dir", at(run)],
  ...["--max_steps", String(steps), "--save_steps", "100000"],
];
const score = (): readonly string[] => ["score", "--model_name_or_path", model, "--data", data];

describe("a reader that leaves", () => {
  it.each([
    ["standard output", '"$@" | head -n 1'],
    ["both", '"$@" 2>&1 | head -n 1'],
    ["at once", '"$@" | true'],
  ])("training goes on without it: %s", (name, line) => {
    const run = `left-${name.replaceAll(" ", "-")}`;
    const { codes, err } = shell(line, sft(run));
    expect([codes[0], err]).toEqual([0, ""]);
    expect(existsSync(at(run, "checkpoint-3", "manifest.json"))).toBe(true);
  });

  it("results in a file are written all the same", () => {
    const { codes } = shell('"$@" 2>&1 | true', [...score(), "--output", at("scores.jsonl")]);
    expect(codes[0]).toBe(0);
    expect(readFileSync(at("scores.jsonl"), "utf8").split("\n")).toHaveLength(rows.length + 1);
    const verified = ["verify", "--data", "graded.jsonl", "--output", "verdicts.jsonl"];
    expect(shell('"$@" 2>&1 | true', verified).codes[0]).toBe(0);
    expect(existsSync(at("verdicts.jsonl"))).toBe(true);
  });

  it("rows that were for it alone end the command, without an error", () => {
    const many = ["verify", "--data", "many-graded.jsonl"];
    const { codes, out, err } = shell('"$@" | head -n 1', many);
    expect([codes[0], out.split("\n").length]).toEqual([0, 2]);
    expect(err).not.toMatch(/in \d|error/); // it has not graded them all
    const chat = shell('"$@" | head -c 1', [
      "chat",
      "--quiet",
      "--model_name_or_path",
      model,
      "--max_new_tokens",
      "4",
    ]);
    expect([chat.codes[0], chat.err]).toEqual([0, ""]);
  });
});

describe("an output that cannot be written", () => {
  const paragraph = /^Standard output cannot be written \(ENOSPC: [^\n]*\n$/;

  it("training goes on, says it once, and the exit code says it too", () => {
    const { codes, err } = shell('"$@" > /dev/full', sft("full"));
    expect([codes, err]).toEqual([[1], expect.stringMatching(paragraph)]);
    expect(existsSync(at("full", "checkpoint-3", "manifest.json"))).toBe(true);
    expect(shell('"$@" > /dev/full 2> /dev/full', sft("full-both")).codes).toEqual([1]);
    expect(existsSync(at("full-both", "checkpoint-3", "manifest.json"))).toBe(true);
  });

  it.each<[string, () => readonly string[]]>([
    ["rows", () => [...score(), "--quiet"]],
    ["a table as JSON", () => ["inspect", "--model_name_or_path", model, "--json", "--quiet"]],
    ["help", () => ["sft", "--help"]],
    ["the version", () => ["--version"]],
  ])("%s: one paragraph and exit code 1", (_, args) => {
    const { codes, err } = shell('"$@" > /dev/full', args());
    expect([codes, err]).toEqual([[1], expect.stringMatching(paragraph)]);
  });

  it("what is wrong has its exit code where nobody can be told", () => {
    expect(shell('"$@" 2> /dev/full', ["sft", "--lerning_rate", "1"]).codes).toEqual([1]);
  });
});

/** `under` runs it; resolves when the file `until` is there. */
async function started(
  args: readonly string[],
  { under = [], until, env = {} }: { under?: readonly string[]; until?: string; env?: NodeJS.ProcessEnv },
): Promise<ChildProcess> {
  const [program = "", ...rest] = [...under, process.execPath, main, ...args];
  const child = spawn(program, rest, {
    cwd: folder,
    stdio: "ignore",
    env: { ...process.env, _: "", ...env },
  });
  while (until !== undefined && !existsSync(until) && child.exitCode === null) await sleep(5);
  return child;
}
const hasOpen = ({ pid }: ChildProcess, path: string): boolean =>
  readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === path;
    } catch {
      return false; // closed by now
    }
  });
const codeOf = async (child: ChildProcess): Promise<number | null> => (await once(child, "exit"))[0];

describe("an output file", () => {
  it("of a command that was killed is written over, and two writers are told apart", async () => {
    const output = at("samples.jsonl");
    // What earlier versions, or a kill, leave.
    writeFileSync(`${output}.partial`, "half a line");
    const big = writeRows(folder, "big.jsonl", Array(30_000).fill(rows[0]));
    const args = ["score", "--model_name_or_path", model, "--data", big, "--output", output];
    const first = await started(args, {});
    while (readFileSync(`${output}.partial`, "utf8").startsWith("half") && first.exitCode === null)
      await sleep(5);
    const second = shell('"$@"', [...score(), "--output", output]);
    expect([second.codes, second.err]).toEqual([
      [1],
      expect.stringMatching(/samples\.jsonl is being written by another/),
    ]);
    first.kill("SIGKILL");
    expect(await codeOf(first)).toBeNull();
    expect(readdirSync(folder).filter((name) => name.startsWith("samples"))).toEqual([
      "samples.jsonl.partial",
    ]);
    const third = shell('"$@"', [...score(), "--output", output]);
    expect(third.codes, third.err).toEqual([0]);
    expect(readFileSync(output, "utf8").trim().split("\n")).toHaveLength(rows.length);
    expect(readdirSync(folder).filter((name) => name.startsWith("samples"))).toEqual(["samples.jsonl"]);
  });
});

describe("a signal", () => {
  it.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s: training saves, and the exit code %d says why it ended", async (signal, code) => {
    const run = `stopped-by-${signal}`;
    const child = await started(sft(run, 100_000), { until: at(run, "metrics.jsonl") });
    child.kill(signal);
    expect(await codeOf(child)).toBe(code);
    const checkpoint = readdirSync(at(run)).find((name) => /^checkpoint-\d+$/.test(name));
    expect(existsSync(at(run, String(checkpoint), "manifest.json"))).toBe(true);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s while rows are read ends it soon", async (signal) => {
    const many = writeRows(folder, "many.jsonl", Array(300_000).fill(rows[0]));
    const args = sft(`reading-${signal}`).map((arg) => (arg === data ? many : arg));
    const child = await started(args, {});
    while (!hasOpen(child, many) && child.exitCode === null) await sleep(5);
    expect(child.exitCode).toBeNull();
    const asked = performance.now();
    child.kill(signal);
    expect(await codeOf(child)).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
    expect(performance.now() - asked).toBeLessThan(5000);
    expect(existsSync(at(`reading-${signal}`))).toBe(false);
  });

  it.each<[string, Parameters<typeof started>[1]]>([
    ["as bash calls it", { under: ["bash", "-c", 'nohup "$@" & wait $!', "-"] }],
    ["in a shell that ignores it", { under: ["sh", "-c", 'trap "" HUP; "$@"; exit $?', "-"] }],
  ])("SIGHUP is ignored under nohup, %s", async (name, options) => {
    const run = `nohup-${name.replaceAll(" ", "-")}`;
    const child = await started(sft(run, 60), { ...options, until: at(run, "metrics.jsonl") });
    process.kill(Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8")), "SIGHUP");
    expect(await codeOf(child)).toBe(0);
    expect(existsSync(at(run, "checkpoint-60", "manifest.json"))).toBe(true);
  });
});
