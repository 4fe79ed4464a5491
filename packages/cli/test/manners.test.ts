// How commands talk: what --quiet and --json leave on which stream, terminals of two widths, colour, and the examples of the help.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  conversation,
  main,
  makeModel,
  posttrain,
  temporaryFolder,
  writeRows,
} from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";
import { inShell } from "./support/shell.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const rows = Array.from({ length: 12 }, (_, i) => conversation(`What is ${i} + 1?`, `Answer: ${i + 1}`));
let model: readonly string[];
let data: readonly string[];

beforeAll(async () => {
  model = ["--model_name_or_path", await makeModel(folder)];
  data = ["--data", writeRows(folder, "rows.jsonl", rows)];
});
afterAll(() => rmSync(folder, { recursive: true }));

const sft = (run: string): readonly string[] => [
  "sft",
  ...model,
  ...data,
  "--output_dir",
  at(run),
  "--max_steps",
  "2",
];
const lines = (text: string): readonly unknown[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);

describe("--json", () => {
  it("sft: one object on standard output, the rest on standard error", async () => {
    const { code, out, err } = await posttrain([...sft("json"), "--json"]);
    expect(code).toBe(0);
    const [result, ...more] = lines(out);
    expect(more).toEqual([]);
    expect(result).toMatchObject({
      checkpoint: at("json", "checkpoint-2"),
      step: 2,
      loss: expect.any(Number),
    });
    expect(err).toMatch(/^config .*checkpoint/s);
  });

  it("score: the table as one object, the rows in the file", async () => {
    const { out, err } = await posttrainHere([
      "score",
      ...model,
      ...data,
      "--loss_on",
      "assistant",
      "--json",
      "--output",
      at("s.jsonl"),
    ]);
    const [result, ...more] = lines(out) as { counted: { tokens: number; loss: number } }[];
    expect(more).toEqual([]);
    expect(err).not.toMatch(/perplexity/);
    const plain = await posttrainHere(["score", ...model, ...data, "--loss_on", "assistant"]);
    const cells = /^assistant +([\d,]+) +([\d.]+)/m.exec(plain.err);
    expect([String(result!.counted.tokens), result!.counted.loss.toFixed(4)]).toEqual(cells!.slice(1));
    expect(readFileSync(at("s.jsonl"), "utf8")).toBe(plain.out);
  });

  it("chat: an object for each answer", async () => {
    const args = ["chat", ...model, "--max_new_tokens", "3"];
    const { out, err } = await posttrainHere([...args, "--json"], { input: "Hello\n/reset\nBye\n" });
    const texts = (await posttrainHere(args, { input: "Hello\n/reset\nBye\n" })).out.trimEnd().split("\n");
    expect(lines(out)).toEqual([
      { prompt: "Hello", text: texts[0], finish_reason: "length" },
      { prompt: "Bye", text: texts[1], finish_reason: "length" },
    ]);
    expect(err).toMatch(/parameters/);
  });
});

describe("--quiet", () => {
  it("sft: the checkpoint's path", async () => {
    const { code, out, err } = await posttrainHere([...sft("quiet"), "--quiet"]);
    expect([code, out, err]).toEqual([0, `${at("quiet", "checkpoint-2")}\n`, ""]);
  });

  it.each<[command: string, args: readonly string[], err: RegExp]>([
    ["generate", ["--prompt", "Hello", "--max_new_tokens", "3"], /^$/],
    ["score", [], /^ +tokens +loss.*\nevery token .*\n$/],
    ["chat", ["--max_new_tokens", "3"], /^$/],
  ])("%s: the same results and nothing beside them", async (command, args, err) => {
    const rest = [...model, ...(command === "score" ? data : args)];
    const loud = await posttrainHere([command, ...rest], { input: "Hello\n" });
    const quiet = await posttrainHere([command, ...rest], {
      input: "Hello\n",
      env: { POSTTRAIN_QUIET: "true" },
    });
    expect(quiet.err).toMatch(err);
    expect(loud.err).not.toMatch(err);
    expect(quiet.out).toBe(loud.out);
    expect(quiet.code).toBe(0);
  });

  it("says what is wrong, and that a chat's answer is missing", async () => {
    const wrong = await posttrainHere(["chat", "--quiet", "--model_name_or_path", at("nowhere")]);
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringMatching(/nowhere does not exist/)]);
    const long = await posttrainHere(["chat", ...model, "--quiet"], { input: `${"1".repeat(600)}\n` });
    expect(long.err).toMatch(/This conversation has 6\d\d tokens/);
  });
});

it("help is there at once", () => {
  // Processor time, which is what it takes on a quiet machine, as a multiple of an empty start's: others may use this one.
  const line = 'TIMEFORMAT="%U %S"; time "$@" > /dev/null';
  const seconds = (...args: readonly string[]): number => {
    const all = Array.from({ length: 3 }, () => {
      const { stderr } = spawnSync("bash", ["-c", line, "-", process.execPath, ...args], {
        encoding: "utf8",
      });
      return stderr
        .trim()
        .split(" ")
        .reduce((sum, part) => sum + Number(part), 0);
    });
    return Math.min(...all);
  };
  const empty = seconds("--eval", "0");
  expect(empty).toBeGreaterThan(0.01);
  expect(seconds(main, "--help") / empty).toBeLessThan(8);
});

describe("a config file", () => {
  it("is what sft runs with, and its lines are said", async () => {
    const path = at("sft.yaml");
    const values = [
      `model_name_or_path: ${model[1]}`,
      `data: ${data[1]}`,
      `output_dir: ${at("config")}`,
      "max_steps: 3",
      "seed: 1",
    ];
    writeFileSync(path, values.join("\n"));
    const env = { POSTTRAIN_MAX_STEPS: "2", POSTTRAIN_SEED: "2", POSTTRAIN_TEMPERATURE: "1" };
    const { code, out, err } = await posttrainHere(["sft", "--config", path, "--seed", "3"], { env });
    expect([code, err]).toEqual([0, ""]);
    expect(out.replaceAll(/\s+/g, " ")).toContain(
      `config ${path}: model_name_or_path ${model[1]} (line 1), data ${data[1]} (line 2), output_dir ${at("config")} (line 3) environment: max_steps 2 flags: seed 3 defaults`,
    );
    // The resolved config is a config: the run goes on from it.
    const resolved = at("config", "config.yaml");
    const again = await posttrainHere([
      "sft",
      "--config",
      resolved,
      "--resume_from_checkpoint",
      "--max_steps",
      "2",
      "--json",
    ]);
    expect(again.err).toMatch(/seed 3 \(line \d+\)/);
    expect(JSON.parse(again.out)).toMatchObject({ end: "nothing_to_do", step: 2 });
    expect(again.code).toBe(4);
  });

  it("with mistakes starts nothing", async () => {
    writeFileSync(at("bad.yaml"), "learning_rate: 1e-5\nlerning_rate: 1\nprompt: x\n");
    const env = { POSTTRAIN_LORA_RANK: "8" };
    const { code, err } = await posttrainHere(["sft", "--config", at("bad.yaml"), ...sft("bad").slice(1)], {
      env,
    });
    expect([code, existsSync(at("bad"))]).toEqual([1, false]);
    expect(err).toBe(
      `posttrain sft: 3 things are wrong (all options: posttrain sft --help)\n` +
        `  ${at("bad.yaml")}, line 2: lerning_rate is not an option; did you mean learning_rate?\n` +
        `  ${at("bad.yaml")}, line 3: prompt is an option of generate, not of sft.\n` +
        `  The environment has POSTTRAIN_LORA_RANK, which is an option of no command. Unset it.\n`,
    );
  });

  it.each<[args: readonly string[], says: RegExp]>([
    [
      ["--config", "nowhere.yaml"],
      /^The config file nowhere\.yaml does not exist\. Give its path with --config\.\n$/,
    ],
    [["--config", folder], /is a folder, expected a YAML file/],
    [["--config"], /--config is without a value, expected text/],
    [["--config", "a.yaml", "--config", "b.yaml"], /--config is given 2 times, expected once/],
  ])("that is none: %s", async (args, says) => {
    const { code, err } = await posttrainHere(["chat", ...model, ...args]);
    expect(err).toMatch(says);
    expect(code).toBe(1);
  });
});

describe("a terminal", () => {
  it.each([80, 160])("of %d columns: no line is longer, and none is broken early", async (columns) => {
    const run = `tty-${columns}`;
    const commands = [
      sft(run),
      ["score", ...model, ...data],
      ["init", ...model, ...data, "--output", at(`init-${columns}.yaml`)],
      ["inspect", ...model, "--compare_to", model[1]!],
      ["validate", ...model, ...data, "--packing"],
      [
        "evaluate",
        ...model,
        "--data",
        writeRows(folder, "q.jsonl", [{ prompt: "?", answer: 1 }]),
        "--limit",
        "1",
      ],
      [
        "validate",
        ...model,
        "--data",
        writeRows(folder, "long.jsonl", [rows[0], conversation("词", "语".repeat(700))]),
      ],
      ["generate", ...model, "--prompt", "Hello", "--max_new_tokens", "3"],
      ["sft", "--lerning_rate", "1"],
      ["sft", "--help"],
    ];
    for (const args of commands) {
      const text = (await posttrainHere(args, { columns })).out;
      const widths = screen(text).map((line) => line.length);
      // Long paths of the temporary folder cannot be broken, but nothing else is that long.
      const long = screen(text).filter((line) => line.length > columns && !line.includes(folder));
      expect(long, args[0]).toEqual([]);
      if (args[0] === "sft")
        expect(Math.max(...widths), args.join(" ")).toBeGreaterThan(columns === 80 ? 70 : 85);
    }
    expect(existsSync(at(run, "checkpoint-2"))).toBe(true);
  });

  it("has one line of progress that is written again, and without a terminal there is none", async () => {
    const text = await onTerminal(sft("progress"), 80);
    expect(text).toMatch(/\rstep 1\/2 /);
    expect(text).toMatch(/\rstep 2\/2 +loss \d.*tokens\/s/);
    const { out, err } = await posttrainHere(sft("plain"));
    for (const control of ["\r", "\x1b"]) expect(out + err).not.toContain(control);
    expect(out).toMatch(/^step 2\/2 +loss \d.*tokens\/s$/m);
  });

  it("has colour, unless NO_COLOR is set or the output is piped", async () => {
    const bold = "\x1b[1m";
    const start = (run: string, env: Readonly<Record<string, string>>) =>
      onTerminal(["quickstart", "--output_dir", at(run)], 80, { env, until: "1  A Qwen2.5" });
    expect(await start("colour", { TERM: "xterm-256color" })).toContain(bold);
    expect(await start("plain-colour", { TERM: "xterm-256color", NO_COLOR: "1" })).not.toContain(bold);
  });
});

describe("examples", () => {
  const names = [
    "quickstart",
    "init",
    "validate",
    "sft",
    "generate",
    "chat",
    "score",
    "verify",
    "evaluate",
    "inspect",
    "env",
  ];
  let home: string;
  let bin: string;

  beforeAll(() => {
    // What they take for granted: npm start has run, a model lies in ~/models, the user has rows.
    home = at("home");
    const tiny = model[1]!;
    for (const dir of [
      "runs/quickstart-1/model",
      "runs/quickstart-1/sft/checkpoint-800",
      "models/Qwen2.5-0.5B",
      "models/Qwen2.5-0.5B-Instruct",
    ]) {
      cpSync(tiny, join(home, dir), { recursive: true });
    }
    cpSync(data[1]!, join(home, "runs/quickstart-1/training.jsonl"));
    writeRows(home, "rows.jsonl", rows);
    const config = [
      "model_name_or_path: runs/quickstart-1/model",
      "data: rows.jsonl",
      "output_dir: runs/config",
    ];
    writeFileSync(join(home, "run.yaml"), config.join("\n"));
    writeRows(home, "text.jsonl", [{ text: "Some text." }, { text: "More of it." }]);
    const questions = [1, 2, 3].map((i) => ({ question: `What is ${i} + 1?`, answer: i + 1 }));
    for (const name of ["questions", "solved", "runs/quickstart-1/evaluation"]) {
      writeRows(home, `${name}.jsonl`, questions);
    }
    writeRows(home, "prompts.jsonl", [{ prompt: "Hello" }]);
    const problem = {
      task_id: "A/0",
      prompt: "def f():\n",
      entry_point: "f",
      test: "def check(f):\n    assert f() == 1",
    };
    writeRows(home, "HumanEval.jsonl", [problem]);
    writeRows(home, "evalplus_samples.jsonl", [{ task_id: "A/0", solution: "def f():\n    return 1" }]);
    writeRows(home, "responses.jsonl", [{ answer: "1", response: "\\boxed{1}" }]);
    writeRows(home, "samples_math.jsonl", [{ doc: { problem: "?", answer: "1" }, resps: [["\\boxed{1}"]] }]);
    bin = at("bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${main}" "$@"\n`);
    chmodSync(join(bin, "npx"), 0o755);
  });

  it.each(names)("of %s work as pasted", async (name) => {
    const { out } = await posttrainHere([name, "--help"]);
    const block = /\nExamples:\n(.*?)\n\n/s.exec(out)![1]!;
    const pasted = block.split(/^ {2}# .*\n/m).filter((text) => text.trim() !== "");
    expect(pasted.length).toBeGreaterThan(0);
    const env = { HOME: home };
    for (const command of pasted) {
      // Asks a server, which served.test.ts has.
      if (command.includes("--base_url")) continue;
      if (name === "quickstart") {
        // Minutes long, and what npm start runs: here only that it starts.
        const started = await untilSeen(
          "sh",
          ["-c", command],
          { cwd: home, env: { ...process.env, ...env, PATH: `${bin}:${process.env["PATH"]}` } },
          "1  A Qwen2.5",
        );
        expect(started).toMatch(/run folder runs\/quickstart-2, seed 1/);
        continue;
      }
      const { code, err } = await inShell(command, { cwd: home, env, input: "Hello\n" });
      expect([command, code, err]).toEqual([command, 0, err]);
    }
  });
});

/** Lines as they stand in the end: what a carriage return overwrites is gone. */
function screen(text: string): readonly string[] {
  const last = (line: string): string => line.split("\r").at(-1) ?? "";
  return text.split(/\r*\n/).map((line) => stripVTControlCharacters(last(line)));
}

/** What a pseudo-terminal of so many columns gets; `script` of util-linux makes one. */
async function onTerminal(
  args: readonly string[],
  columns: number,
  { env = {}, until }: { readonly env?: Readonly<Record<string, string>>; readonly until?: string } = {},
): Promise<string> {
  const quoted = [process.execPath, main, ...args].map((arg) => `'${arg}'`).join(" ");
  const command = ["-qec", `stty cols ${columns} rows 40; exec ${quoted}`, "/dev/null"];
  // A person's terminal is no build server's, where Node sees no colours.
  return untilSeen("script", command, { env: { ...process.env, CI: "", ...env } }, until);
}

/** Runs a program and ends it as soon as it has printed `wanted`. */
function untilSeen(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env: NodeJS.ProcessEnv },
  wanted?: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    const hear = (chunk: Buffer): void => {
      text += chunk;
      if (wanted !== undefined && text.includes(wanted)) process.kill(-child.pid!, "SIGKILL");
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("error", reject).on("close", () => resolve(text));
  });
}
