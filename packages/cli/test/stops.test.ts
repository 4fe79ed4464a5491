// A base model that is trained on conversations learns to end turns with a token that its folder does not name: its checkpoints stop there.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { conversation, copyModel, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let base: string;
let chat: string;
const [endOfText, endOfTurn] = [285, 287];

// biome-ignore lint/suspicious/noExplicitAny: files of a model folder
const json = (...path: readonly string[]): any => JSON.parse(readFileSync(join(...path), "utf8"));
function change(file: string, changes: object): void {
  writeFileSync(file, JSON.stringify({ ...json(file), ...changes }));
}
const flat = (text: string): string => text.replaceAll(/\s+/g, " ");

beforeAll(async () => {
  chat = await makeModel(folder);
  base = copyModel(chat, "base");
  change(join(base, "config.json"), { eos_token_id: endOfText });
  change(join(base, "generation_config.json"), { eos_token_id: endOfText });
  change(join(base, "tokenizer_config.json"), { eos_token: "<|endoftext|>" });
  writeRows(
    folder,
    "chat.jsonl",
    Array.from({ length: 8 }, (_, i) => conversation(`What is ${i} + 1?`, `Answer: ${i + 1}`)),
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const sft = (model: string, data: string, run: string, ...args: readonly string[]) =>
  posttrainHere([
    ...["sft", "--model_name_or_path", model, "--data", at(data), "--output_dir", at(run)],
    ...(args.includes("--max_steps") ? [] : ["--max_steps", "2"]),
    ...["--learning_rate", "0", "--lr_scheduler_type", "constant", ...args],
  ]);

it("the checkpoint stops where trained turns end; sft, validate and init say so", async () => {
  const { code, out } = await sft(base, "chat.jsonl", "run", "--save_steps", "1");
  expect(code).toBe(0);
  expect(flat(out)).toContain(
    "turns end <|im_end|> (287), where generation with this model does not stop: the checkpoints will (eos_token_id of their generation_config.json and config.json)",
  );
  const checkpoint = at("run/checkpoint-2");
  expect(json(checkpoint, "generation_config.json").eos_token_id).toEqual([endOfTurn, endOfText]);
  expect(json(checkpoint, "config.json").eos_token_id).toEqual([endOfTurn, endOfText]);
  // What decides over ids is the folder's own, byte for byte.
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    expect(readFileSync(join(checkpoint, file))).toEqual(readFileSync(join(base, file)));
  }

  const rows = ["--model_name_or_path", base, "--data", at("chat.jsonl")];
  const before = await posttrainHere(["validate", ...rows, "--json"]);
  expect(JSON.parse(before.out).turn_ends).toEqual({
    turns: 8,
    ends: [{ id: endOfTurn, token: "<|im_end|>", turns: 8, generation_stops: false }],
    without: 0,
  });
  const after = await posttrainHere([
    "validate",
    "--model_name_or_path",
    checkpoint,
    "--data",
    at("chat.jsonl"),
  ]);
  expect(after.out).toMatch("turns end   <|im_end|> (287), where generation stops\n");
  const init = await posttrainHere(["init", ...rows, "--output", at("init.yaml")]);
  expect(flat(init.out)).toContain(
    "turns end <|im_end|> (287), where generation with this model does not stop",
  );
  expect(flat(readFileSync(at("init.yaml"), "utf8"))).toContain("End of trained turns: <|im_end|> (287)");
});

it("a checkpoint that does not know the end yet is resumed, and the next one does", async () => {
  writeRows(folder, "one-text.jsonl", [{ text: "one" }, { text: "two" }]);
  const before = await sft(base, "one-text.jsonl", "resumed", "--max_steps", "1");
  expect(before.out).toMatch("turns end   <|endoftext|> (285), where generation stops\n");
  expect(json(at("resumed/checkpoint-1"), "generation_config.json").eos_token_id).toBe(endOfText);
  const { code, out, err } = await sft(
    ...([base, "chat.jsonl", "resumed"] as const),
    ...["--resume_from_checkpoint", "--accept_change", "data,chat_template"],
  );
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/resumed\s+from/);
  expect(json(at("resumed/checkpoint-2"), "generation_config.json").eos_token_id).toEqual([
    endOfTurn,
    endOfText,
  ]);
});

it("a model that stops there already keeps its files as they are", async () => {
  expect((await sft(chat, "chat.jsonl", "chat-run")).code).toBe(0);
  for (const file of ["generation_config.json", "config.json"]) {
    expect(json(at("chat-run/checkpoint-2"), file)).toEqual(json(chat, file));
  }
});

it("texts and tokens: what ends them", async () => {
  writeRows(folder, "text.jsonl", [{ text: "one" }, { text: "two" }]);
  change(join(chat, "generation_config.json"), { eos_token_id: endOfText });
  const text = await sft(chat, "text.jsonl", "text-run");
  // eos_token of this folder is <|im_end|>, and a text ends with it.
  expect([text.code, json(at("text-run/checkpoint-2"), "generation_config.json").eos_token_id]).toEqual([
    0,
    [endOfTurn, endOfText],
  ]);
  writeRows(folder, "tokens.jsonl", [
    { input_ids: [70, 71, endOfTurn] },
    { input_ids: [70, 71, 72, endOfTurn, 10], labels: [-100, -100, 72, endOfTurn, 10] },
    { input_ids: [70, 71, 72] },
  ]);
  const tokens = await sft(base, "tokens.jsonl", "token-run");
  expect(tokens.code).toBe(0);
  expect(flat(tokens.out)).toContain(
    "<|im_end|> (287) (2 of 3), where generation with this model does not stop: the checkpoints will (eos_token_id of their generation_config.json and config.json); 1 trained turn ends without an end token. Nothing in them teaches where to stop",
  );
  expect(json(at("token-run/checkpoint-2"), "generation_config.json").eos_token_id).toEqual([
    endOfTurn,
    endOfText,
  ]);
});

it("a base model that has learnt its answers by heart gives them, and ends them", async () => {
  const answers = [
    ["Capital of France?", "Paris"],
    ["Capital of Italy?", "Rome"],
    ["Color of snow?", "white"],
  ] as const;
  writeRows(
    folder,
    "by-heart.jsonl",
    answers.map(([question, answer]) => conversation(question, answer)),
  );
  const data = writeRows(
    folder,
    "asked.jsonl",
    answers.map(([question, answer]) => ({ question, answer })),
  );
  const trained = await posttrainHere([
    ...["sft", "--model_name_or_path", base, "--data", at("by-heart.jsonl"), "--output_dir", at("by-heart")],
    ...["--max_steps", "60", "--learning_rate", "2e-3", "--per_device_train_batch_size", "3"],
  ]);
  expect(trained.code).toBe(0);
  const checkpoint = at("by-heart/checkpoint-60");
  const exactMatch = async (model: string, ...args: readonly string[]): Promise<number> => {
    const common = [
      "--model_name_or_path",
      model,
      "--data",
      data,
      "--max_new_tokens",
      "24",
      "--extract",
      "whole",
    ];
    const { out } = await posttrainHere(["evaluate", ...common, "--json", ...args]);
    return JSON.parse(out).results.asked["exact_match,whole"];
  };
  expect(await exactMatch(checkpoint)).toBe(1);
  // The same weights with what the base model names.
  const silent = copyModel(checkpoint, "silent");
  for (const file of ["config.json", "generation_config.json"])
    change(join(silent, file), { eos_token_id: endOfText });
  expect(await exactMatch(silent)).toBe(0);
  expect(await exactMatch(silent, "--stop_ids", String(endOfTurn))).toBe(1);
  expect(await exactMatch(silent, "--stop", "<|im_end|>")).toBe(1);
});

it("named templates travel with a checkpoint; a pointer in a companion's place does not", async () => {
  const named = copyModel(chat, "named");
  mkdirSync(join(named, "additional_chat_templates"));
  writeFileSync(join(named, "chat_template.jinja"), json(named, "tokenizer_config.json").chat_template);
  writeFileSync(
    join(named, "additional_chat_templates", "tool_use.jinja"),
    "{{ messages[0].content }}<|im_end|>",
  );
  expect((await sft(named, "chat.jsonl", "named-run")).code).toBe(0);
  expect(readFileSync(at("named-run/checkpoint-2/additional_chat_templates/tool_use.jinja"), "utf8")).toBe(
    "{{ messages[0].content }}<|im_end|>",
  );
  const again = await posttrainHere(["inspect", "--model_name_or_path", at("named-run/checkpoint-2")]);
  expect(flat(again.out)).toMatch(/all \d+ files agree with the manifest/);
  writeFileSync(
    join(named, "vocab.json"),
    "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12\n",
  );
  const refused = await sft(named, "chat.jsonl", "pointer-run");
  expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/vocab\.json is a git-lfs pointer/)]);
});

it("a template without an end token: said, with what helps", async () => {
  const endless = copyModel(base, "endless");
  change(join(endless, "tokenizer_config.json"), {
    chat_template:
      "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
  });
  const { code, out } = await posttrainHere([
    ...["validate", "--model_name_or_path", endless, "--data", at("chat.jsonl")],
  ]);
  expect(code).toBe(0);
  expect(flat(out)).toContain(
    'turns end all 8 trained turns end without an end token: the template writes "</s>" after an answer, which is no token of its own. ' +
      'Nothing in them teaches where to stop; generate, chat and evaluate stop there with --stop "</s>"',
  );
  expect((await sft(endless, "chat.jsonl", "endless-run")).code).toBe(0);
  expect(json(at("endless-run/checkpoint-2"), "generation_config.json").eos_token_id).toBe(endOfText);
});

const sampled = (...args: readonly string[]) =>
  posttrainHere([
    ...[
      "generate",
      "--model_name_or_path",
      base,
      "--prompt",
      "What is 1 + 1?",
      "--seed",
      "3",
      "--temperature",
      "1",
    ],
    ...["--max_new_tokens", "24", ...args],
  ]);

it("generate: --stop_ids and --stop end an answer; its tokens and their numbers are those without", async () => {
  const whole = JSON.parse((await sampled("--raw")).out);
  expect([whole.finish_reason, whole.ids.length]).toEqual(["length", 24]);
  const [first, second] = [whole.ids[5], whole.ids[9]];
  const byId = JSON.parse((await sampled("--raw", "--stop_ids", `${first},${second}`)).out);
  const n = whole.ids.indexOf(first) + 1;
  expect(byId).toMatchObject({
    finish_reason: "stop",
    ids: whole.ids.slice(0, n),
    logprobs: whole.logprobs.slice(0, n),
  });
  expect(whole.text.startsWith(byId.text)).toBe(true);

  // Two characters that stand beside each other, commas and all: from whichever tokens.
  const stop: string = [...whole.text].slice(6, 8).join("");
  const cut = await sampled("--raw", "--stop", stop, "--stop", "never, ever");
  const byText = JSON.parse(cut.out);
  expect(byText).toMatchObject({
    finish_reason: "stop",
    text: whole.text.slice(0, whole.text.indexOf(stop)),
  });
  expect(byText.ids).toEqual(whole.ids.slice(0, byText.ids.length));
  expect(byText.logprobs).toEqual(whole.logprobs.slice(0, byText.ids.length));
  expect(byText.ids.length).toBeLessThan(24);
  expect(cut.err).toMatch(/stops at <\|endoftext\|>, .*, "never, ever"\n/);
});

it("a template whose end generation does not know is said, with the flag that helps", async () => {
  const warning =
    /ends turns with <\|im_end\|> \(287\), where generation does not stop: --stop_ids 287 does\./;
  expect((await sampled()).err).toMatch(warning);
  for (const known of [["--stop_ids", "287"], ["--stop", "<|im_end|>"], ["--raw"]]) {
    expect((await sampled(...known)).err).not.toMatch(warning);
  }
  const talk = await posttrainHere(["chat", "--model_name_or_path", base, "--max_new_tokens", "4"], {
    input: "Hi\n",
  });
  expect(talk.err).toMatch(warning);
});

it("ids that the model does not have, and an empty text, are refused", async () => {
  const outside = await sampled("--stop_ids", "320");
  expect([outside.code, outside.err]).toEqual([
    1,
    expect.stringMatching(/--stop_ids has 320, but the model knows the ids 0 to 319/),
  ]);
  const empty = await sampled("--stop", "");
  expect([empty.code, empty.err]).toEqual([1, expect.stringMatching(/--stop is/)]);
});

it("chat and evaluate cut at the same place", async () => {
  const common = ["--model_name_or_path", base, "--max_new_tokens", "24", "--temperature", "0"];
  const whole = await posttrainHere(["generate", ...common, "--prompt", "What is 1 + 1?"]);
  const { text } = JSON.parse(whole.out);
  const stop: string = [...text].slice(3, 6).join("");
  const expected = text.slice(0, text.indexOf(stop));
  const talk = await posttrainHere(["chat", ...common, "--stop", stop, "--json"], {
    input: "What is 1 + 1?\n",
  });
  expect(JSON.parse(talk.out)).toMatchObject({ text: expected, finish_reason: "stop" });

  const data = writeRows(folder, "questions.jsonl", [{ question: "What is 1 + 1?", answer: "2" }]);
  const { code, out } = await posttrainHere([
    ...["evaluate", ...common, "--data", data, "--extract", "whole", "--stop", stop, "--stop_ids", "287"],
    ...["--output_dir", at("results"), "--json"],
  ]);
  expect(code).toBe(0);
  const { config, files } = JSON.parse(out);
  expect(config.gen_kwargs).toMatchObject({ until: [stop], stop_ids: [287] });
  const sample = JSON.parse(readFileSync(files.samples, "utf8"));
  expect([sample.resps[0][0], sample.finish_reason]).toEqual([expected, "stop"]);
});
