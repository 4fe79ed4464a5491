// What is not ours reaches a terminal with its control characters spelled out; JSON keeps its value.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { visible, visibleJson, visibleLine, visibleStream } from "../src/visible.js";
import { main, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
let model: string;
beforeAll(async () => {
  model = await makeModel(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const title = "\x1b]0;mine\x07";
/** A control character that is no line feed: what a terminal obeys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const steering = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;

test.each([
  ["a title", title, "\\x1b]0;mine\\x07"],
  ["colour", "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"],
  ["C1 and DEL", "\x9b2J\x7f\x85", "\\x9b2J\\x7f\\x85"],
  ["a carriage return and a backspace", "right\rwrong\b", "right\\x0dwrong\\x08"],
  ["lines and tabs stay", "a\n\tb", "a\n\tb"],
  ["an order turned round", "\u202eabc\u2066d\u2069\u200f\u061c", "\\u202eabc\\u2066d\\u2069\\u200f\\u061c"],
  ["zero width", "a\u200bb\u2060c\ufeffd\u00ade", "a\\u200bb\\u2060c\\ufeffd\\xade"],
  ["separators of lines", "a\u2028b\u2029", "a\\u2028b\\u2029"],
  ["tags", "a\u{e0041}", "a\\u{e0041}"],
  ["a joiner between letters of Latin", "a\u200db\u200c", "a\\u200db\\u200c"],
  ["emoji and scripts that join", "👩‍🚀 ❤️ می‌خواهم क्‍ष", "👩‍🚀 ❤️ می‌خواهم क्‍ष"],
  ["other scripts", "Ünï 答案 עברית", "Ünï 答案 עברית"],
])("%s", (_, text, shown) => {
  expect(visible(text)).toBe(shown);
  const show = visibleStream();
  expect([...text].map((character) => show(character)).join("")).toBe(shown);
  const json = visibleJson(JSON.stringify({ text }));
  expect(json).not.toMatch(steering);
  expect(JSON.parse(json)).toEqual({ text });
});

test("a cell of a table has no lines", () => {
  expect(visibleLine("a\n\tb\x1b")).toBe("a\\x0a\\x09b\\x1b");
});

describe("commands", () => {
  it("verify shows evidence, and keeps it as it is in JSON", async () => {
    const data = writeRows(folder, "hostile.jsonl", [
      { verifier: "exact", answer: "a", response: `${title}b` },
      { test_list: ["assert f(1) == 1"], response: `def f(x): raise ValueError("${title}")` },
    ]);
    const { out, err } = await posttrainHere(["verify", "--data", data]);
    expect(err).not.toMatch(steering);
    expect(err).toContain("\\x1b]0;mine\\x07");
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows[1].verdict.evidence).toContain(title);
  });

  it("verify shows the message at the end of a long traceback", async () => {
    const deep = "def g(n):\n    if n == 0: raise KeyError('the message that helps')\n    g(n - 1)\ng(40)";
    const data = writeRows(folder, "deep.jsonl", [
      { input_output: { inputs: ["1"], outputs: ["1"] }, response: `\`\`\`python\ninput()\n${deep}\n\`\`\`` },
    ]);
    const { err } = await posttrainHere(["verify", "--data", data]);
    expect(err).toContain("KeyError: 'the message that helps'");
    const verifier = join(folder, "grade.py");
    writeFileSync(verifier, `def grade_reward(completions, **columns):\n${deep.replace(/^/gm, "    ")}\n`);
    const own = await posttrainHere(["verify", "--data", data, "--verifier", verifier]);
    expect(own.err).toContain("KeyError: 'the message that helps'");
  });

  it("errors show names and rows", async () => {
    const missing = await posttrainHere(["verify", "--data", join(folder, `${title}.jsonl`)]);
    expect(missing.err).not.toMatch(steering);
    expect(missing.err).toContain("\\x1b]0;mine\\x07");
    const data = writeRows(folder, "name.jsonl", [{ verifier: `x\u009b2J${title}`, response: "a" }]);
    const unknown = await posttrainHere(["verify", "--data", data]);
    expect(unknown.err).not.toMatch(steering);
  });

  const sampling = ["--prompt", "Hello", "--temperature", "1", "--max_new_tokens", "200"];

  it("generate on a terminal; the same text in JSON", async () => {
    const args = ["generate", "--model_name_or_path", model, ...sampling];
    const command = [process.execPath, main, ...args].map((word) => `'${word}'`).join(" ");
    const onTerminal = spawnSync("script", ["-qec", `${command} 2>/dev/null`, "/dev/null"], {
      encoding: "utf8",
    });
    const plain = await posttrainHere(args);
    expect(JSON.parse(plain.out).text).toMatch(steering);
    // The terminal's own line ends.
    const shown = onTerminal.stdout.replaceAll("\r\n", "\n");
    expect(shown).not.toMatch(steering);
    expect(shown).toContain(visible(JSON.parse(plain.out).text));
  });

  it("special tokens are shown where that is asked for", async () => {
    const args = ["--model_name_or_path", model, ...sampling];
    const without = JSON.parse((await posttrainHere(["generate", ...args])).out);
    const shown = JSON.parse((await posttrainHere(["generate", ...args, "--show_special_tokens"])).out);
    expect(shown.ids).toEqual(without.ids);
    expect(shown.text).toMatch(/<\|im_(?:start|end)\|>|<\|endoftext\|>/);
    expect(without.text).toBe(shown.text.replaceAll(/<\|\w+\|>/g, ""));
    const chat = (...more: readonly string[]) =>
      posttrainHere(["chat", ...args.filter((word) => word !== "--prompt" && word !== "Hello"), ...more], {
        input: "Hello\n",
      });
    expect((await chat()).out).toBe(`${without.text}\n`);
    expect((await chat("--show_special_tokens")).out).toBe(`${shown.text}\n`);
  });

  it("num_samples and num_generations are one option, of generate and evaluate", async () => {
    const args = ["generate", "--model_name_or_path", model, ...sampling];
    const [one, other] = await Promise.all([
      posttrainHere([...args, "--num_samples", "2"]),
      posttrainHere([...args, "--num-generations", "2"]),
    ]);
    expect(one.out.trimEnd().split("\n")).toHaveLength(2);
    expect(other.out).toBe(one.out);
    const both = await posttrainHere([...args, "--num_samples", "2", "--num_generations", "3"]);
    expect([both.code, both.err]).toEqual([
      1,
      expect.stringMatching(/--num_samples and --num_generations are one option/),
    ]);
    const data = writeRows(folder, "questions.jsonl", [{ question: "1 + 1?", answer: "2" }]);
    const questions = ["evaluate", "--model_name_or_path", model, "--data", data, "--max_new_tokens", "4"];
    const evaluated = await posttrainHere([...questions, "--num_generations", "2", "--temperature", "1"]);
    expect(evaluated.out).toMatch(/num_samples=2/);
    const wrong = await posttrainHere([...questions, "--num_generations", "0"]);
    expect(wrong.err).toMatch(/--num_generations is "0", expected a whole number, at least 1/);
  });
});
