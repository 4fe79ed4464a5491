/**
 * What a tokenizer.json may ask of the machine. It comes with a download, like a chat template, and the library does what it says: a
 * pattern that tries forever ends the process, a few replacements in a row make gigabytes of a word. Everything that costs is
 * looked at before the library sees the file; tokenizers of published models are far inside these bounds.
 */
import { patternCost } from "./pattern-cost.js";
import { runsOf } from "./pattern-runs.js";

/** Bytes of the file: 33 MB are the most that we know of (262,144 tokens). */
export const maxTokenizerBytes = 128 * 1024 * 1024;
const maxVocabulary = 1 << 21;
const maxAddedTokens = 1 << 16;
const maxTokenLength = 4096;
const maxParts = 64;
/** Bytes that one byte may become. Llama's space is three; NFKC makes 33 of three, once. */
const maxGrowth = 16;
const maxCharsmap = 4 * 1024 * 1024;

type Json = Readonly<Record<string, unknown>>;

/** Throws Error that says which part of the file asks too much. */
export function refuseCostlyTokenizer(file: unknown): void {
  const { normalizer, pre_tokenizer, post_processor, decoder, model, added_tokens } = object(file);
  checkPatterns("normalizer", normalizer);
  checkPatterns("pre_tokenizer", pre_tokenizer);
  checkPatterns("decoder", decoder);
  checkGrowth("normalizer", normalizer);
  checkGrowth("decoder", decoder);
  checkPostProcessor(post_processor);
  checkVocabulary(object(model));
  checkAddedTokens(Array.isArray(added_tokens) ? added_tokens : []);
}

/** Every part of a kind: a sequence's own, and those of the sequences in it. */
function partsOf(name: string, part: unknown): readonly Json[] {
  const parts: Json[] = [];
  const add = (value: unknown, depth: number): void => {
    if (depth > maxParts || parts.length > maxParts)
      throw new Error(`its ${name} has more than ${maxParts} parts`);
    if (Array.isArray(value)) for (const one of value) add(one, depth + 1);
    else if (typeof value === "object" && value !== null) {
      const own = value as Json;
      parts.push(own);
      for (const key of ["normalizers", "pretokenizers", "processors", "decoders"])
        if (key in own) add(own[key], depth + 1);
    }
  };
  add(part, 0);
  return parts;
}

function checkPatterns(name: string, part: unknown): void {
  for (const { type, pattern } of partsOf(name, part)) {
    const { Regex } = object(pattern);
    if (typeof Regex !== "string") continue;
    try {
      patternCost(Regex);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(
        `the pattern ${shown(Regex)} of its ${name} (${String(type)}) might not end in a reasonable time on some text: ${reason}`,
        { cause: error },
      );
    }
  }
}

/** Characters of a run: the library walks over it within a second from each of its places. */
const maxRun = 8192;
/** Normalizers that leave runs of characters what they are. */
const FORMS: ReadonlySet<unknown> = new Set(["NFC", "NFD", "NFKC", "NFKD"]);

/**
 * UserError's text for a text on which one of the file's patterns would take the square of a long run, undefined for any other. Texts up to
 * `maxRun` are not looked at.
 */
export function createRunCheck(file: unknown): (text: string) => string | undefined {
  const { normalizer, pre_tokenizer } = object(file);
  const changed = partsOf("normalizer", normalizer).some(
    ({ type }) => type !== "Sequence" && !FORMS.has(type),
  );
  const checks = [...partsOf("normalizer", normalizer), ...partsOf("pre_tokenizer", pre_tokenizer)].flatMap(
    ({ pattern }) => {
      const { Regex } = object(pattern);
      if (typeof Regex !== "string") return [];
      return patternCost(Regex).inVain.map((repeated) => ({
        regex: Regex,
        repeated,
        // What a normalizer takes out may join runs.
        longest: changed ? (text: string) => text.length : runsOf(repeated, /\(\?[a-z]*i/.test(Regex)),
      }));
    },
  );
  return (text) => {
    if (text.length <= maxRun) return undefined;
    const found = checks.find(({ longest }) => longest(text) > maxRun);
    return (
      found &&
      `the tokenizer's pattern ${shown(found.regex)} takes the square of a text's run of ${found.repeated}, and one here has ` +
        `${found.longest(text).toLocaleString("en-US")} characters, more than ${maxRun.toLocaleString("en-US")}. Shorten it, or split the text.`
    );
  };
}

function checkGrowth(name: string, part: unknown): void {
  let growth = 1;
  for (const one of partsOf(name, part)) {
    growth *= growthOf(one);
    if (growth > maxGrowth) {
      throw new Error(
        `its ${name} can make more than ${maxGrowth} times as much of a text (${String(one.type)} is the part that passes this)`,
      );
    }
  }
}

/** Into how many bytes a part can make one byte, Unicode's own forms apart: what one of them has taken apart, the next finds so. */
function growthOf({ type, pattern, content, prepend, precompiled_charsmap }: Json): number {
  if (type === "Prepend") return 1 + bytesOf(prepend);
  if (type === "Precompiled") return charsmapGrowth(precompiled_charsmap);
  if (type !== "Replace") return 1;
  const { String: text, Regex: regex } = object(pattern);
  const shortest = typeof regex === "string" ? patternCost(regex).shortest : bytesOf(text);
  // What matches nothing stands between all characters.
  return shortest === 0 ? 1 + bytesOf(content) : Math.max(1, bytesOf(content) / shortest);
}

/** SentencePiece's map of characters: the length of a trie, the trie, then texts that each end in a zero. */
function charsmapGrowth(map: unknown): number {
  const text = typeof map === "string" ? map : "";
  if (text.length > maxCharsmap) throw new Error(`its precompiled_charsmap is longer than ${maxCharsmap}`);
  const bytes = Buffer.from(text, "base64");
  if (bytes.length < 4) return 1;
  const trie = bytes.readUInt32LE(0);
  if (trie % 4 !== 0 || trie < 1024 || trie > bytes.length - 4)
    throw new Error("its precompiled_charsmap is broken");
  const texts = bytes.subarray(4 + trie);
  let longest = 0;
  for (let start = 0; start < texts.length; ) {
    const end = texts.indexOf(0, start);
    const length = (end < 0 ? texts.length : end) - start;
    longest = Math.max(longest, length);
    start += length + 1;
  }
  // NFKC's longest is 33 bytes for three; that counts as Unicode's own.
  return longest <= 36 ? 1 : longest / 3;
}

/** A template could repeat the text that it is given. */
function checkPostProcessor(part: unknown): void {
  for (const { single } of partsOf("post_processor", part)) {
    const times = Array.isArray(single) ? single.filter((piece) => "Sequence" in object(piece)).length : 1;
    if (times > 1) throw new Error(`its post_processor writes a text ${times} times`);
  }
}

function checkVocabulary({ vocab, merges }: Json): void {
  for (const [what, list] of [
    ["tokens in its vocabulary", vocab],
    ["merges", merges],
  ] as const) {
    const entries = Array.isArray(list) ? list.length : Object.keys(object(list)).length;
    if (entries > maxVocabulary) throw new Error(`it has ${entries} ${what}, more than ${maxVocabulary}`);
  }
}

function checkAddedTokens(tokens: readonly unknown[]): void {
  if (tokens.length > maxAddedTokens)
    throw new Error(`it has ${tokens.length} added_tokens, more than ${maxAddedTokens}`);
  for (const token of tokens) {
    const { content, id } = object(token);
    if (typeof content !== "string" || content.length <= maxTokenLength) continue;
    throw new Error(
      `its added token ${String(id)} has ${content.length} characters, more than ${maxTokenLength}`,
    );
  }
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

function bytesOf(text: unknown): number {
  return typeof text === "string" ? Buffer.byteLength(text) : 0;
}

function shown(pattern: string): string {
  return pattern.length > 60 ? `${pattern.slice(0, 57)}...` : pattern;
}
