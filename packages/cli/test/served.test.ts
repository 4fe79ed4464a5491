// posttrain generate --base_url: rows of a model behind a server, what is missing of them, and where the key never appears.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import {
  completion,
  echo,
  json,
  openScriptedServer,
  type ScriptedServer,
} from "../../../tests/support/openai-server.js";
import { type Outcome, posttrain, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-cli-served-"));
const key = "sk-none-of-your-business";
let server: ScriptedServer;
let data: string;
beforeAll(async () => {
  server = await openScriptedServer();
  data = writeRows(folder, "prompts.jsonl", [
    { prompt: "a" },
    {
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "b" },
      ],
    },
  ]);
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => server.reset());

const asked = (...args: readonly string[]): Parameters<typeof posttrain> => [
  ["generate", "--base_url", server.baseUrl, "--model", "teacher", ...args],
  { env: { OPENAI_API_KEY: key } },
];
const generate = (...args: readonly string[]): Promise<Outcome> => posttrainHere(...asked(...args));
const rowsOf = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

it("writes the rows that a folder's samples have, but for what a server does not say", async () => {
  server.answers = [json(200, completion("x", { reasoning_content: "hm" }, "length"))];
  const args = ["--data", data, "--num_samples", "2", "--num_concurrent", "1", "--temperature", "0.5"];
  const { code, out, err } = await posttrain(...asked(...args, "--max_new_tokens", "9", "--stop", "\n"));
  expect({ code, err }).toEqual({
    code: 0,
    err: expect.stringMatching(/teacher at http.*4 samples: 20 tokens.*3 stopped, 1 ended otherwise/s),
  });
  const sample = (line: number, sample: number, text: string) => ({
    id: expect.stringMatching(/^[0-9a-f]{64}$/),
    line,
    sample,
    text,
    finish_reason: "stop",
  });
  expect(rowsOf(out)).toEqual([
    { ...sample(1, 0, "x"), reasoning_content: "hm", finish_reason: "length" },
    sample(1, 1, "said: a"),
    sample(2, 0, "said: b"),
    sample(2, 1, "said: b"),
  ]);
  expect(server.bodies.at(-1)).toEqual({
    model: "teacher",
    messages: [
      { role: "system", content: "s" },
      { role: "user", content: "b" },
    ],
    ...{ max_tokens: 9, temperature: 0.5, stop: ["\n"] },
    seed: expect.any(Number),
  });
  expect(server.headers[0]?.authorization).toBe(`Bearer ${key}`);
});

it("lists what the server did not give, and asks again for that alone; the key is in no file", async () => {
  const at = (name: string): string => join(folder, name);
  const args = ["--data", data, "--num_concurrent", "1", "--reply_cache", at("replies.jsonl")];
  server.answers = [echo, json(400, { error: { message: `no room, ${key}` } })];
  const first = await generate(...args, "--output", at("first.jsonl"));
  expect({ code: first.code, err: first.err }).toEqual({
    code: 5,
    err: expect.stringMatching(
      /1 sample missing, without a reply:\n {2}line 2, sample 0: .*no room.*asks for these alone/s,
    ),
  });
  expect(rowsOf(readFileSync(at("first.jsonl"), "utf8"))).toMatchObject([{ line: 1, text: "said: a" }]);
  server.reset();
  const second = await generate(...args, "--output", at("second.jsonl"));
  expect({ code: second.code, err: second.err }).toEqual({
    code: 0,
    err: expect.stringContaining("1 from "),
  });
  expect(server.bodies).toHaveLength(1);
  expect(rowsOf(readFileSync(at("second.jsonl"), "utf8"))).toHaveLength(2);
  const kept = readdirSync(folder).map((name) => readFileSync(at(name), "utf8"));
  expect([first.err, second.err, ...kept].join("")).not.toContain(key);
});

it.each<[args: readonly string[], says: RegExp]>([
  [["--prompt", "a"], /Missing: --model_name_or_path .* or --base_url and --model/],
  [["--prompt", "a", "--base_url", "http://x/v1"], /--base_url is .*: it needs model/],
  [["--prompt", "a", "--model", "m"], /--model is "m": it needs base_url/],
  [["--prompt", "a", "--base_url", "x"], /--base_url is "x": expected an address/],
  [
    ["--prompt", "a", "--base_url", "http://x/v1", "--model", "m", "--model_name_or_path", "d"],
    /leave model_name_or_path out/,
  ],
  [["--prompt", "a", "--base_url", "http://x/v1", "--model", "m", "--raw"], /raw is about a model folder/],
  [
    ["--prompt", "a", "--model_name_or_path", "d", "--num_concurrent", "2"],
    /num_concurrent is about a server/,
  ],
  [
    [
      "--prompt",
      "a",
      "--base_url",
      "http://x/v1",
      "--model",
      "m",
      "--temperature",
      "0",
      "--num_samples",
      "2",
    ],
    /2 times the same text/,
  ],
  [
    ["--prompt", "a", "--base_url", "http://127.0.0.1:9/v1", "--model", "m", "--max_retries", "0"],
    /127\.0\.0\.1:9\/v1 cannot be reached .*Start the server/,
  ],
])("generate %j is refused", async (args, says) => {
  const { code, err } = await posttrainHere(["generate", ...args]);
  expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(says) });
});
