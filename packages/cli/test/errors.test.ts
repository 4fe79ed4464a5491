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
import { posttrainHere } from "./support/in-process.js";

const long = process.env["POSTTRAIN_TEST_LONG"] === "1";
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
  const outcome = await posttrainHere([
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

  // Each damage by sft and, in turn, by one of the others, which open folders by one function; npm run test:long has all by all.
  const turns = damages.map((damage, i) => [...damage, i] as const);
  it.each(turns)("%s", async (_what, damage, says, turn) => {
    const dir = copyModel(model, "damaged");
    try {
      damage(dir);
      await sftRefuses(dir, rows, says);
      const others = [["generate", "--prompt", "Hello"], ["score", "--data", rows], ["chat"]];
      for (const args of long ? others : [others[turn % others.length]!]) {
        const output = args[0] === "chat" ? [] : ["--output", at("result.jsonl")];
        refused(await posttrainHere([...args, "--model_name_or_path", dir, ...output]), says);
      }
      expect(readdirSync(folder).filter((name) => name.startsWith("result"))).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("that is not there, for any command", async () => {
    await sftRefuses(at("nowhere"), rows, [/nowhere does not exist/, /config\.json/]);
    for (const command of ["init", "validate", "evaluate", "inspect"]) {
      const data = command === "inspect" ? [] : ["--data", rows];
      const output = command === "init" ? ["--output", at("result.yaml")] : [];
      refused(await posttrainHere([command, "--model_name_or_path", at("nowhere"), ...data, ...output]), [
        /nowhere does not exist/,
      ]);
    }
    refused(await posttrainHere(["inspect", "--model_name_or_path", model, "--compare_to", at("nowhere")]), [
      /nowhere does not exist/,
    ]);
    expect(readdirSync(folder).filter((name) => name.startsWith("result"))).toEqual([]);
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
    [
      "with roles out of order",
      [
        conversation("a", "b"),
        {
          messages: [
            { role: "assistant", content: "b" },
            { role: "assistant", content: "c" },
          ],
        },
      ],
      [/data\.jsonl, line 2: messages\[\d\]\.role: expected/],
    ],
    [
      "with an unknown role",
      [{ messages: [{ role: "robot", content: "b" }] }],
      [/data\.jsonl, line 1: messages\[0\]\.role: expected .*user.*, came .*robot/],
    ],
    [
      "with an empty assistant turn",
      [conversation("a", "b"), conversation("a", " ")],
      [/data\.jsonl, line 2: messages\[1\]\.content: expected/],
    ],
    [
      "that ends with a question",
      [
        {
          messages: [
            ...(conversation("a", "b") as { messages: object[] }).messages,
            { role: "user", content: "c" },
          ],
        },
      ],
      [/line 1: messages\[2\]\.role: expected the last turn to be the assistant's, came user/],
    ],
    ["with half a surrogate pair", ['{"text": "\\ud83d"}'], [/line 1 holds half of a surrogate pair/]],
    ["of another kind", [{ question: "?", answer: "!" }], [/line 1: .*columns question, answer/, /messages/]],
  ])("%s", async (_what, lines, says) => {
    await sftRefuses(model, writeRows(folder, "data.jsonl", lines), says);
  });

  it.each(["sft", "validate", "init", "generate", "score", "evaluate"])(
    "that is not UTF-8 on line 3, for %s",
    async (command) => {
      const line = JSON.stringify(
        command === "generate" || command === "evaluate"
          ? { prompt: "a", answer: "b" }
          : conversation("a", "b"),
      );
      const path = at("latin1.jsonl");
      writeFileSync(path, Buffer.from(`${line}\n${line}\n${line.replace("a", "\u00e9")}\n`, "latin1"));
      const targets: Record<string, readonly string[]> = {
        sft: ["--output_dir", at("result-run")],
        validate: ["--rejects", at("result.jsonl")],
        init: ["--output", at("result.yaml")],
        generate: ["--output", at("result.jsonl")],
        score: ["--output", at("result.jsonl")],
        evaluate: ["--output_dir", at("result-dir")],
      };
      const outcome = await posttrainHere([
        command,
        "--model_name_or_path",
        model,
        "--data",
        path,
        ...targets[command]!,
      ]);
      const made = readdirSync(folder).filter((name) => name.startsWith("result"));
      for (const name of made) rmSync(at(name));
      const says = /line 3:? .*is not UTF-8: byte \d+ of the line is 0x[0-9a-f]{2}\./s;
      if (command === "validate") {
        // It goes on to list them all.
        expect([outcome.code, outcome.out]).toEqual([
          1,
          expect.stringMatching(/bad_line: 1 row\n {4}line 3: is not UTF-8/),
        ]);
        expect(made).toEqual(["result.jsonl"]);
      } else if (command === "init") {
        expect([outcome.code, outcome.out]).toEqual([
          0,
          expect.stringMatching(/bad +1 row cannot be trained on/),
        ]);
        expect(made).toEqual(["result.yaml"]);
      } else {
        refused(outcome, [says, /iconv/]);
        expect(made).toEqual([]);
      }
    },
  );

  it("with a BOM, CRLF and blank lines is fine, and gives the same rows", async () => {
    const lines = [conversation("a", "b"), conversation("c", "d")].map((row) => JSON.stringify(row));
    writeFileSync(at("plain.jsonl"), `${lines.join("\n")}\n`);
    writeFileSync(at("windows.jsonl"), `\ufeff${lines.join("\r\n\r\n")}\r\n`);
    for (const args of [["score", "--loss_on", "assistant"], ["validate"]]) {
      const [plain, windows] = await Promise.all(
        ["plain.jsonl", "windows.jsonl"].map((name) =>
          posttrainHere([...args, "--json", "--model_name_or_path", model, "--data", at(name)]),
        ),
      );
      expect([windows!.code, plain!.code]).toEqual([0, 0]);
      const rows = (out: string): unknown => {
        const { digests: _, samples: __, ...rest } = JSON.parse(out);
        return rest;
      };
      expect(rows(windows!.out)).toEqual(rows(plain!.out));
    }
    const config = [`model_name_or_path: ${model}`, `data: ${at("windows.jsonl")}`, "seed: 7"];
    writeFileSync(at("windows.yaml"), `\ufeff${config.join("\r\n")}\r\n`);
    const { code, err } = await posttrainHere(["validate", "--config", at("windows.yaml"), "--quiet"]);
    expect([code, err]).toEqual([0, ""]);
  });

  it("that is a folder, or not there, or an array over many lines", async () => {
    mkdirSync(at("empty"));
    await sftRefuses(model, at("empty"), [/is a folder without a file of rows/]);
    await sftRefuses(model, at("nowhere.jsonl"), [/nowhere\.jsonl does not exist: check the path/]);
    await sftRefuses(model, writeRows(folder, "data.jsonl", ["[", "{}", "]"]), [
      /line 1 .*one JSON array/,
      /jq -c/,
    ]);
  });

  it("with a line that is longer than any row", async () => {
    const path = at("long-line.jsonl");
    writeFileSync(path, Buffer.alloc(100_000_000, "a"));
    await sftRefuses(model, path, [/long-line\.jsonl, line 1 is longer than 67108864 bytes/]);
    rmSync(path);
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
    refused(await posttrainHere(["sft", ...truncate]), [/none of its 2 rows/, /raise max_length/]);
    refused(await posttrainHere(["sft", ...args]), [
      /line 1: \d+ tokens, .*has 4/,
      /on_overlong drop or truncate/,
    ]);
    expect(existsSync(at("run"))).toBe(false);
  });

  it.each<[command: string, lines: readonly unknown[], says: readonly (string | RegExp)[]]>([
    ["generate", [{ prompt: 7 }], [/line 1: prompt: expected text or a list of messages, came a number 7/]],
    ["generate", [{ text: "a" }], [/line 1: .*columns are text, expected prompt, messages, .* or input_ids/]],
    ["generate", [conversation("a", "b")], [/line 1: messages: the last message is an assistant turn/]],
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
      await posttrainHere([command, "--model_name_or_path", model, "--data", data, "--output", output]),
      says,
    );
    expect(readdirSync(folder).filter((name) => name.startsWith("result"))).toEqual([]);
  });

  it("whose text has no answer for loss_on assistant", async () => {
    const data = writeRows(folder, "data.jsonl", [{ text: "abc" }]);
    const args = ["--model_name_or_path", model, "--data", data, "--loss_on", "assistant"];
    refused(await posttrainHere(["score", ...args]), [
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
    refused(await posttrainHere(["sft", ...args]), [
      /used is not empty: it holds note/,
      /Give a new or an empty folder/,
    ]);
    expect(readdirSync(at("used"))).toEqual(["note"]);
  });

  it("folder below a file", async () => {
    const args = ["--model_name_or_path", model, "--data", rows, "--output_dir", join(rows, "run")];
    refused(await posttrainHere(["sft", ...args]), [/output_dir .*rows\.jsonl.run is not a folder/]);
  });

  it.each(["generate", "score"])("file of %s that is there stays as it was", async (command) => {
    const output = at("there.jsonl");
    writeFileSync(output, "mine");
    const data = writeRows(folder, "data.jsonl", [{ input_ids: [1, 2] }]);
    refused(
      await posttrainHere([command, "--model_name_or_path", model, "--data", data, "--output", output]),
      [/there\.jsonl already exists/],
    );
    expect(readFileSync(output, "utf8")).toBe("mine");
  });

  it("file in a folder that is not there", async () => {
    const args = ["--model_name_or_path", model, "--prompt", "Hello", "--output", at("no", "where")];
    refused(await posttrainHere(["generate", ...args]), [/output .*where cannot be written/]);
  });
});

describe("a command line", () => {
  it.each<[args: string, says: readonly (string | RegExp)[]]>([
    ["stf", [/no command stf\. Did you mean sft\?/]],
    ["constructor", [/no command constructor/]],
    ["--threads 2 sft", [/a command comes first/]],
    [
      "sft --max_step 3 --lr 1 --batch_size 1",
      [
        /--max_step is not an option; did you mean --max_steps\?/,
        /--lr is not an option; did you mean --learning_rate\?/,
        /--batch_size is not an option; did you mean --per_device_train_batch_size\?/,
        /Missing: --model_name_or_path/,
      ],
    ],
    [
      "sft --learning_rate fast --max_steps 1.5 --gradient_checkpointing maybe --lr_scheduler_type cos --adam_beta2 1 --val_size -1 --seed 4294967296",
      [
        /--learning_rate is "fast", expected a number, at least 0\./,
        /--max_steps is "1\.5", expected a whole number, above 0\./,
        /--gradient_checkpointing is "maybe", expected true or false\./,
        /--lr_scheduler_type is "cos", expected one of linear, cosine, constant/,
        /--adam_beta2 is "1", expected a number, at least 0 and below 1\./,
        /--val_size is "-1", expected a number, at least 0\./,
        /--seed is "4294967296", expected a whole number, at least 0 and at most 4,294,967,295\./,
      ],
    ],
    [
      "validate --samples -1 --max_lenght 9",
      [
        /--samples is "-1", expected a whole number, at least 0\./,
        /--max_lenght is not an option; did you mean --max_length\?/,
      ],
    ],
    [
      "evaluate --extract box",
      [/--extract is "box", expected one of auto, boxed, hash, answer, last_number, whole/],
    ],
    [
      "evaluate --fewshot_data x --model_name_or_path m --data d",
      [/--fewshot_data is "x": it needs num_fewshot/],
    ],
    ["inspect --compare x", [/--compare is not an option; did you mean --compare_to\?/]],
    ["init --learning_rate 1", [/--learning_rate is an option of .*sft.*, not of init/]],
    ["env --data x", [/--data is an option of .*, not of env/]],
    ["sft --seed 1 --seed 2", [/--seed is given 2 times, expected once/]],
    ["sft rows.jsonl", [/"rows\.jsonl" belongs to no option/]],
    ["chat --model_name_or_path", [/--model_name_or_path is without a value, expected text/]],
    [
      "chat --threads 0 --cpu_path sse --model_name_or_path x",
      [
        /--threads is "0", expected a whole number, at least 1/,
        /--cpu_path is "sse", expected one of amx, avx512, avx2, plain/,
      ],
    ],
    ["generate --model_name_or_path x", [/give --prompt TEXT or --data FILE/]],
    ["generate --model_name_or_path x --prompt a --data b", [/give --prompt TEXT or --data FILE/]],
  ])("posttrain %s", async (args, says) => {
    refused(await posttrainHere(args.split(" ")), says);
  });

  it("asks for samples that would all be the same", async () => {
    const args = ["--model_name_or_path", model, "--prompt", "Hello", "--num_generations", "2"];
    refused(await posttrainHere(["generate", ...args]), [/2 times the same text/, /--temperature/]);
  });
});

describe("names and values that no option has", () => {
  it("as flags and in the environment", async () => {
    const args = [
      "--constructor",
      "x",
      "--__proto__",
      "x",
      "--toString",
      "--no-valueOf",
      "--hasOwnProperty=y",
    ];
    const env = { POSTTRAIN_CONSTRUCTOR: "x", POSTTRAIN___PROTO__: "y" };
    refused(await posttrainHere(["generate", "--prompt", "x", ...args], { env }), [
      /--constructor is not an option/,
      /--__proto__ is not an option/,
      /--hasOwnProperty is not an option/,
      /POSTTRAIN___PROTO__, which is an option of no/,
    ]);
  });

  it("that are empty", async () => {
    const args = ["--output", "", "--model_name_or_path="];
    refused(await posttrainHere(["generate", "--prompt", "x", ...args]), [
      /--output is "", expected text that is not empty/,
      /--model_name_or_path is "", expected text that is not empty/,
    ]);
  });

  it("in a config file", async () => {
    const config = at("strange.yaml");
    writeFileSync(config, '__proto__: 1\nconstructor: 2\ntoString: 3\noutput: ""\ndata: "a\\0b"\n');
    refused(await posttrainHere(["generate", "--config", config]), [
      /line 1: __proto__ is not an option/,
      /line 2: constructor is not an option/,
      /line 4: output is "", expected text that is not empty/,
      /line 5: data is .*, expected text that is not empty/,
    ]);
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
    ["with too many threads", { POSTTRAIN_THREADS: "99999999999" }, /expected a whole number from 1 to 1024/],
    [
      "with memory in no unit",
      { POSTTRAIN_MEMORY: "much" },
      /POSTTRAIN_MEMORY is "much", expected .* 2\.5GiB/,
    ],
    [
      "with too little memory for the model",
      { POSTTRAIN_MEMORY: "1MB" },
      /config\.json describes .*Tensors may take 1\.0 MB here: .*POSTTRAIN_MEMORY/,
    ],
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
