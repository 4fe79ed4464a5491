// A base model that is trained on conversations learns to end turns with a token that its folder does not name: its checkpoints stop there.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  conversation,
  copyModel,
  makeModel,
  posttrain,
  temporaryFolder,
  writeRows,
} from "./support/command-line.js";

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
  posttrain([
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
  const before = await posttrain(["validate", ...rows, "--json"]);
  expect(JSON.parse(before.out).turn_ends).toEqual({
    turns: 8,
    ends: [{ id: endOfTurn, token: "<|im_end|>", turns: 8, generation_stops: false }],
    without: 0,
  });
  const after = await posttrain(["validate", "--model_name_or_path", checkpoint, "--data", at("chat.jsonl")]);
  expect(after.out).toMatch("turns end   <|im_end|> (287), where generation stops\n");
  const init = await posttrain(["init", ...rows, "--output", at("init.yaml")]);
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

it("a template without an end token: said, with what helps", async () => {
  const endless = copyModel(base, "endless");
  change(join(endless, "tokenizer_config.json"), {
    chat_template:
      "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
  });
  const { code, out } = await posttrain([
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
