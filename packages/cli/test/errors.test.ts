// Every mistake that a user can make with a model folder, a data file or a path: one paragraph, exit code 1, nothing half-written.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  conversation,
  copyModel,
  makeModel,
  type Outcome,
  posttrain,
  temporaryFolder,
  writeRows,
} from "./support/command-line.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
let model: string;
let rows: string;

beforeAll(async () => {
  model = await makeModel(folder);
  rows = writeRows(folder, "rows.jsonl", [
    conversation("What is 1 + 1?", "2"),
    conversation("What is 1 + 2?", "3"),
  ]);
});
afterAll(() => rmSync(folder, { recursive: true }));

function refused({ code, out, err }: Outcome, says: readonly (string | RegExp)[]): void {
  // Talk before the mistake stands on lines of its own; the mistake is the last line, with indented ones where it has several parts.
  const paragraph = /[^\n]*(\n +[^\n]*)*$/.exec(err.trimEnd())![0];
  for (const part of says) expect(paragraph).toMatch(part);
  expect(err).not.toMatch(/^\s+at /m);
  expect(out).not.toMatch(/^\{/m);
  expect(code).toBe(1);
}

/** sft with this folder and file fails, says this, and leaves no output folder behind. */
async function sftRefuses(dir: string, data: string, says: readonly (string | RegExp)[]): Promise<void> {
  const run = at("run");
  const outcome = await posttrain([
    "sft",
    "--model_name_or_path",
    dir,
    "--data",
    data,
    "--output_dir",
    run,
    "--max_steps",
    "1",
  ]);
  refused(outcome, says);
  expect(existsSync(run)).toBe(false);
}

describe("a model folder", () => {
  const damages: readonly [
    what: string,
    damage: (dir: string) => void,
    says: readonly (string | RegExp)[],
  ][] = [
    [
      "without weights",
      (dir) => rmSync(join(dir, "model.safetensors")),
      [/no weights/, /model\.safetensors/],
    ],
    [
      "with truncated weights",
      (dir) => truncateSync(join(dir, "model.safetensors"), 100_000),
      [/model\.safetensors/, /bytes/],
    ],
    [
      "whose header lies about offsets",
      (dir) =>
        editHeader(dir, (header) => {
          header["model.norm.weight"]!.data_offsets[1] += 4;
        }),
      [/model\.safetensors/, /model\.norm\.weight/],
    ],
    [
      "whose shapes disagree with config.json",
      (dir) => editJson(join(dir, "config.json"), { intermediate_size: 500 }),
      [/do not fit config\.json/, /\[512, 192\], expected \[500, 192\]/],
    ],
    [
      "of an unknown architecture",
      (dir) =>
        editJson(join(dir, "config.json"), { architectures: ["MambaForCausalLM"], model_type: "mamba" }),
      [/config\.json/, /Mamba/, /Qwen2ForCausalLM/],
    ],
    [
      "without a chat template",
      (dir) => editJson(join(dir, "tokenizer_config.json"), { chat_template: undefined }),
      [/no chat template/, /chat_template\.jinja/],
    ],
    ["without a tokenizer", (dir) => rmSync(join(dir, "tokenizer.json")), [/tokenizer\.json cannot be read/]],
    ["with NaN in the weights", poison, [/1 of 38 weight tensors hold NaN/, /model\.norm\.weight/]],
  ];

  it.each(damages)("%s", async (_what, damage, says) => {
    const dir = copyModel(model, "damaged");
    try {
      damage(dir);
      await sftRefuses(dir, rows, says);
      for (const args of [["generate", "--prompt", "Hello"], ["score", "--data", rows], ["chat"]]) {
        const output = args[0] === "chat" ? [] : ["--output", at("result.jsonl")];
        refused(await posttrain([...args, "--model_name_or_path", dir, ...output]), says);
      }
      expect(readdirSync(folder).filter((name) => name.startsWith("result"))).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("that is not there", async () => {
    await sftRefuses(at("nowhere"), rows, [/nowhere does not exist/, /config\.json/]);
  });
});

describe("a data file", () => {
  it.each<[what: string, lines: readonly unknown[], says: readonly (string | RegExp)[]]>([
    ["that is empty", [], [/data\.jsonl holds no rows/]],
    [
      "with a wrong type on line 2",
      [conversation("a", "b"), { messages: [{ role: "user", content: 7 }] }],
      [/data\.jsonl, line 2: messages\[0\]\.content/, /came a number 7/],
    ],
    ["that is not JSON on line 2", [conversation("a", "b"), "{oops"], [/data\.jsonl, line 2 .*is not JSON/]],
    [
      "with a row that has nothing to train",
      [conversation("a", "b"), { input_ids: [1, 2, 3], labels: [-100, -100, -100] }],
      [/data\.jsonl, line 2: no token of this row is trained/],
    ],
    ["with ids beyond the vocabulary", [{ input_ids: [1, 2, 99_999] }], [/line 1: input_ids\[2\] is 99999/]],
    ["of another kind", [{ question: "?", answer: "!" }], [/line 1: .*columns question, answer/, /messages/]],
  ])("%s", async (_what, lines, says) => {
    await sftRefuses(model, writeRows(folder, "data.jsonl", lines), says);
  });

  it("whose rows are cut to nothing", async () => {
    const args = [
      "--model_name_or_path",
      model,
      "--data",
      rows,
      "--output_dir",
      at("run"),
      "--max_length",
      "4",
    ];
    const truncate = [...args, "--on_overlong", "truncate"];
    refused(await posttrain(["sft", ...truncate]), [/none of its 2 rows/, /raise max_length/]);
    refused(await posttrain(["sft", ...args]), [
      /line 1: \d+ tokens, .*has 4/,
      /on_overlong drop or truncate/,
    ]);
    expect(existsSync(at("run"))).toBe(false);
  });

  it.each<[command: string, lines: readonly unknown[], says: readonly (string | RegExp)[]]>([
    ["generate", [{ prompt: 7 }], [/line 1: prompt: expected text, came 7/]],
    ["generate", [{ text: "a" }], [/line 1: .*columns are text, expected prompt, messages or input_ids/]],
    ["generate", [conversation("a", "b")], [/line 1: the last message is an assistant turn/]],
    [
      "generate",
      [{ input_ids: Array(512).fill(1) }],
      [/line 1 has 512 tokens and fills the model's context of 512/],
    ],
    ["score", [{ text: "ab" }, { text: "" }], [/line 2: text: expected text, came ""/]],
    ["score", [{ text: "a" }], [/line 1: a row of 1 token: nothing comes before it/]],
    ["score", [{ input_ids: [1, 2], labels: [1, -100] }], [/line 1: every label is -100/]],
    ["score", [{ input_ids: [1, 320] }], [/line 1: token 1 is 320, but the model knows the ids 0 to 319/]],
    ["score", [{ input_ids: Array(513).fill(1) }], [/line 1: 513 tokens, the model's context holds 512/]],
    ["score", [], [/holds no rows/]],
  ])("for %s, case %#", async (command, lines, says) => {
    const data = writeRows(folder, "data.jsonl", lines);
    const output = at("result.jsonl");
    refused(
      await posttrain([command, "--model_name_or_path", model, "--data", data, "--output", output]),
      says,
    );
    expect(readdirSync(folder).filter((name) => name.startsWith("result"))).toEqual([]);
  });

  it("whose text has no answer for loss_on assistant", async () => {
    const data = writeRows(folder, "data.jsonl", [{ text: "abc" }]);
    const args = ["--model_name_or_path", model, "--data", data, "--loss_on", "assistant"];
    refused(await posttrain(["score", ...args]), [
      /line 1: a text row has no answer/,
      /--loss_on everything/,
    ]);
  });
});

describe("an output", () => {
  it("folder that is in use stays as it was", async () => {
    mkdirSync(at("used"));
    writeFileSync(at("used", "note"), "mine");
    const args = ["--model_name_or_path", model, "--data", rows, "--output_dir", at("used")];
    refused(await posttrain(["sft", ...args]), [
      /used is not empty: it holds note/,
      /Give a new or an empty folder/,
    ]);
    expect(readdirSync(at("used"))).toEqual(["note"]);
  });

  it("folder below a file", async () => {
    const args = ["--model_name_or_path", model, "--data", rows, "--output_dir", join(rows, "run")];
    refused(await posttrain(["sft", ...args]), [/output_dir .*rows\.jsonl.run is not a folder/]);
  });

  it.each(["generate", "score"])("file of %s that is there stays as it was", async (command) => {
    const output = at("there.jsonl");
    writeFileSync(output, "mine");
    const data = writeRows(folder, "data.jsonl", [{ input_ids: [1, 2] }]);
    refused(await posttrain([command, "--model_name_or_path", model, "--data", data, "--output", output]), [
      /there\.jsonl already exists/,
    ]);
    expect(readFileSync(output, "utf8")).toBe("mine");
  });

  it("file in a folder that is not there", async () => {
    const args = ["--model_name_or_path", model, "--prompt", "Hello", "--output", at("no", "where")];
    refused(await posttrain(["generate", ...args]), [/output .*where cannot be written/]);
  });
});

describe("a command line", () => {
  it.each<[args: string, says: readonly (string | RegExp)[]]>([
    ["stf", [/no command stf\. Did you mean sft\?/]],
    ["constructor", [/no command constructor/]],
    ["--threads 2 sft", [/a command comes first/]],
    [
      "sft --max_step 3",
      [/--max_step is not an option; did you mean --max_steps\?/, /Missing: --model_name_or_path/],
    ],
    ["sft --lr 1", [/--lr is not an option; did you mean --learning_rate\?/]],
    ["sft --batch_size 1", [/--batch_size is not an option; did you mean --per_device_train_batch_size\?/]],
    ["sft --learning_rate fast", [/--learning_rate is "fast", expected a number, at least 0\./]],
    ["sft --max_steps 1.5", [/--max_steps is "1\.5", expected a whole number, above 0\./]],
    ["sft --gradient_checkpointing maybe", [/--gradient_checkpointing is "maybe", expected true or false\./]],
    [
      "sft --lr_scheduler_type cos",
      [/--lr_scheduler_type is "cos", expected one of linear, cosine, constant/],
    ],
    ["sft --seed 1 --seed 2", [/--seed is given 2 times, expected once/]],
    ["sft rows.jsonl", [/"rows\.jsonl" belongs to no option/]],
    ["chat --model_name_or_path", [/--model_name_or_path is without a value, expected text/]],
    ["chat --threads 0 --model_name_or_path x", [/--threads is "0", expected a whole number, at least 1/]],
    [
      "chat --cpu_path sse --model_name_or_path x",
      [/--cpu_path is "sse", expected one of avx512, avx2, plain/],
    ],
    ["generate --model_name_or_path x", [/give --prompt TEXT or --data FILE/]],
    ["generate --model_name_or_path x --prompt a --data b", [/give --prompt TEXT or --data FILE/]],
  ])("posttrain %s", async (args, says) => {
    refused(await posttrain(args.split(" ")), says);
  });

  it("asks for samples that would all be the same", async () => {
    const args = ["--model_name_or_path", model, "--prompt", "Hello", "--num_generations", "2"];
    refused(await posttrain(["generate", ...args]), [/2 times the same text/, /--temperature/]);
  });
});

describe("the machine", () => {
  it.each<[what: string, env: Record<string, string>, says: RegExp]>([
    [
      "without built kernels",
      { POSTTRAIN_NATIVE_VARIANT: "none" },
      /not built .* make -C packages\/kernels\/native/,
    ],
    ["without the cpu path", { POSTTRAIN_CPU: "neon2" }, /"neon2" is not available here/],
    ["with a bad number of threads", { POSTTRAIN_THREADS: "many" }, /POSTTRAIN_THREADS is "many"/],
  ])("%s: exit code 2", async (_what, env, says) => {
    const { code, err } = await posttrain(["generate", "--model_name_or_path", model, "--prompt", "Hello"], {
      env,
    });
    expect(err).toMatch(says);
    expect(err).not.toMatch(/^\s+at /m);
    expect(code).toBe(2);
  });
});

function editJson(path: string, changes: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...changes }));
}

function editHeader(
  dir: string,
  edit: (header: Record<string, { data_offsets: [number, number] }>) => void,
): void {
  const path = join(dir, "model.safetensors");
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  edit(header);
  bytes.write(JSON.stringify(header).padEnd(length).slice(0, length), 8);
  writeFileSync(path, bytes);
}

/** The last value of the last tensor becomes NaN. */
function poison(dir: string): void {
  const path = join(dir, "model.safetensors");
  const bytes = readFileSync(path);
  bytes.writeFloatLE(Number.NaN, bytes.length - 4);
  writeFileSync(path, bytes);
}
