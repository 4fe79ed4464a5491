/**
 * A model folder's tokenizer.json, run by the official Rust library. Text in, token ids out, nothing added:
 * no BOS, no truncation, no padding, whatever the file asks for. Special tokens written in the text
 * (`<|im_end|>`) become their ids, because chat templates write them so. Encoding is asynchronous (the
 * library works on its own threads).
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { maxTokenizerBytes, refuseCostlyTokenizer } from "./bounded-tokenizer.js";
import { type LongTexts, longTexts, type TokenizerParts, togetherLength } from "./long-text.js";
import { refusePlaceholder } from "./placeholder.js";
import { readRegularFile } from "./regular-file.js";
import { type ConfigToken, readTokenizerConfig, type TokenizerConfig } from "./tokenizer-config.js";
import { UserError } from "./user-error.js";

export interface DecodeOptions {
  /**
   * Leave out tokens that tokenizer.json marks `special` (Qwen2.5's `<tool_call>` is an added token but not
   * special).
   */
  readonly skipSpecialTokens?: boolean;
}

/** Turns sampled ids into text piece by piece; the pieces put together are the decoded text of all ids. */
export interface DecodeStream {
  /** The text that became certain with this id: whole characters only, often empty inside an emoji. */
  push(id: number): string;
  /** What is still held back at the end, U+FFFD where the bytes make no character. */
  flush(): string;
}

/** The first tokens of a text, or all. */
export interface TextStart {
  readonly ids: number[];
  /** Whether they are all. */
  readonly whole: boolean;
  /** Tokens that the text has at least. */
  readonly atLeast: number;
  /** Why the text could not be read further, where that is the reason. */
  readonly refusal?: UserError;
}

/** A token that is one wherever it is written, such as `<|im_end|>`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Qwen2.5's `<tool_call>` is added but not special. */
  readonly special: boolean;
}

export interface Tokenizer {
  /** SHA-256, in hex, of tokenizer.json and the end token's name: what decides over ids. */
  readonly digest: string;
  /** The end token of a text (`eos_token` of tokenizer_config.json); undefined: none is named. */
  readonly eosToken: string | undefined;
  /** Special tokens that tokenizer_config.json names (`pad_token`, ...) and that are no tokens here: they are split like words. */
  readonly unknownTokens: readonly string[];
  /** Number of ids with added tokens: 151,665 for Qwen2.5, less than the rows of its embedding. */
  readonly size: number;
  encode(text: string): Promise<number[]>;
  encodeBatch(texts: readonly string[]): Promise<number[][]>;
  /** As much of each text as says whether it has more than `atMost` tokens, for texts of any length. */
  encodeStarts(texts: readonly string[], atMost: number): Promise<readonly TextStart[]>;
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** undefined: no such token. */
  idOf(token: string): number | undefined;
  /** The token as the vocabulary spells it (`Ġworld`), undefined for an id outside it. */
  tokenOf(id: number): string | undefined;
  readonly addedTokens: readonly AddedToken[];
  /** Whether tokenizer.json marks the token as special. */
  isSpecial(id: number): boolean;
  /** Whether it decodes to white space, or to nothing. */
  isBlank(id: number): boolean;
  createDecodeStream(options?: DecodeOptions): DecodeStream;
}

const PLAIN = { addSpecialTokens: false } as const;

/** A Unicode noncharacter, which no text has; behind the first character of a token it says that this is text. */
const TEXT_MARK = "\ufdd0";

/** An added token written so that encoding takes it for the text that it is spelled with. */
export function asText(token: string): string {
  const [first = "", ...rest] = token;
  return first + TEXT_MARK + rest.join("");
}

/**
 * The tokenizer of `modelDir`, for who can do without: undefined where it is not there or cannot be used. UserError `not_fetched`: a pointer in its
 * place would travel into every checkpoint.
 */
export async function findTokenizer(modelDir: string): Promise<Tokenizer | undefined> {
  try {
    return await loadTokenizer(modelDir);
  } catch (error) {
    if (error instanceof UserError && error.code !== "not_fetched") return undefined;
    throw error;
  }
}

/** Reads `modelDir/tokenizer.json`. Throws UserError `missing_tokenizer` or `bad_tokenizer`. */
export async function loadTokenizer(modelDir: string): Promise<Tokenizer> {
  const path = join(modelDir, "tokenizer.json");
  const text = (
    await readRegularFile(path, maxTokenizerBytes).catch((error: unknown) => {
      throw new UserError(
        "missing_tokenizer",
        `${path} cannot be read (${error instanceof Error ? error.message : String(error)}). A model folder needs tokenizer.json: ` +
          "copy it from where the model came from; a folder with only vocab.json and merges.txt gets one when " +
          "transformers' AutoTokenizer loads and saves it.",
        { cause: error },
      );
    })
  ).toString("utf8");
  refusePlaceholder(path, text);
  const config = await readTokenizerConfig(modelDir);
  const eosToken = config.specialTokens.eos_token;
  try {
    let file: TokenizerFile = JSON.parse(text);
    refuseCostlyTokenizer(file);
    let rust = RustTokenizer.fromString(text);
    const changes = configChanges(rust, file, config);
    if (changes.length > 0) {
      file = { ...file, added_tokens: merged(file.added_tokens ?? [], changes) };
      rust = RustTokenizer.fromString(JSON.stringify(file));
    }
    rust.disableTruncation();
    rust.disablePadding();
    const hash = createHash("sha256")
      .update(text)
      .update(`\0${eosToken ?? ""}`);
    if (changes.length > 0) hash.update(`\0${JSON.stringify(changes)}`);
    const unknownTokens = [...new Set(Object.values(config.specialTokens))].filter(
      (token) => rust.tokenToId(token) === null,
    );
    return {
      digest: hash.digest("hex"),
      eosToken,
      unknownTokens,
      ...wrap(rust, file, addedTokens(rust, file)),
    };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      "bad_tokenizer",
      `${path} is no tokenizer that can be read: ${error instanceof Error ? error.message : String(error)}. ` +
        "Copy the file again from where the model came from.",
      { cause: error },
    );
  }
}

interface TokenizerFile extends Pick<TokenizerParts, "normalizer" | "pre_tokenizer" | "model"> {
  readonly added_tokens?: readonly FileToken[];
}

type FileToken = AddedToken & Partial<ConfigToken>;

/**
 * What tokenizer_config.json's added_tokens_decoder says beyond tokenizer.json, as transformers takes it on loading: tokens that are only
 * there are added, and flags that differ are those of the config. UserError where the two contradict each other about ids: transformers
 * would give the token another id without a word.
 */
function configChanges(
  rust: RustTokenizer,
  { added_tokens: own = [] }: TokenizerFile,
  { path, addedTokens: named }: TokenizerConfig,
): readonly ConfigToken[] {
  const refuse = (text: string): never => {
    throw new UserError(
      "bad_tokenizer",
      `${path}: added_tokens_decoder ${text}. The two files belong to different models, or one was edited: copy both from one model.`,
    );
  };
  let next = rust.getVocabSize(true);
  const changes: ConfigToken[] = [];
  for (const token of named) {
    const { id, content } = token;
    const known = own.find((one) => one.content === content);
    const there = rust.tokenToId(content) ?? undefined;
    const holder = rust.idToToken(id) ?? undefined;
    if (there !== undefined && there !== id) {
      refuse(`gives ${content} the id ${id}, but in tokenizer.json it is ${there}`);
    }
    if (there === undefined && holder !== undefined) {
      refuse(`gives ${content} the id ${id}, which is ${holder} in tokenizer.json`);
    }
    if (there === undefined && id !== next) {
      refuse(
        `gives ${content} the id ${id}, but tokenizer.json has ids up to ${next - 1}, so that the next token is ${next}`,
      );
    }
    if (there === undefined) next++;
    if (
      known === undefined ||
      flags.some((flag) => known[flag] !== undefined && known[flag] !== token[flag])
    ) {
      changes.push(token);
    }
  }
  return changes;
}

const flags = ["special", "lstrip", "rstrip", "single_word", "normalized"] as const;

function merged(own: readonly FileToken[], changes: readonly ConfigToken[]): readonly FileToken[] {
  const kept = own.filter(({ content }) => !changes.some((change) => change.content === content));
  return [...kept, ...changes].sort((a, b) => a.id - b.id);
}

/** The library numbers added tokens by their order, whatever their ids say: a gap would shift them silently. */
function addedTokens(rust: RustTokenizer, file: TokenizerFile): readonly AddedToken[] {
  const added = file.added_tokens ?? [];
  const moved = added.find(({ id, content }) => rust.tokenToId(content) !== id);
  if (moved) {
    throw new Error(
      `the added token ${moved.content} has the id ${moved.id} there, but comes out as ${rust.tokenToId(moved.content)} (added tokens must follow the vocabulary in the order of their ids)`,
    );
  }
  return added.map(({ id, content, special }) => ({ id, content, special }));
}

function wrap(
  rust: RustTokenizer,
  file: TokenizerFile,
  added: readonly AddedToken[],
): Omit<Tokenizer, "digest" | "eosToken" | "unknownTokens"> {
  const special = new Set(added.filter((token) => token.special).map(({ id }) => id));
  const decoder = rust.getDecoder();
  const tokenOf = (id: number): string | undefined =>
    Number.isInteger(id) && id >= 0 && id < 2 ** 32 ? (rust.idToToken(id) ?? undefined) : undefined;
  // As the library's own decode, which is asynchronous: ids outside the vocabulary decode to nothing.
  const decode = (ids: readonly number[], options?: DecodeOptions): string => {
    const tokens: string[] = [];
    for (const id of ids) {
      const token = options?.skipSpecialTokens && special.has(id) ? undefined : tokenOf(id);
      if (token !== undefined) tokens.push(token);
    }
    return decoder ? decoder.decode(tokens) : tokens.join(" ");
  };
  const blank = new Map<number, boolean>();
  const encodeStarts = markedStarts(rust, file);
  const encodeBatch = async (texts: readonly string[]): Promise<number[][]> =>
    (await encodeStarts(texts, Number.POSITIVE_INFINITY)).map(({ ids, refusal }) => {
      if (refusal) throw refusal;
      return ids;
    });
  return {
    size: rust.getVocabSize(true),
    encode: async (text) => (await encodeBatch([text]))[0]!,
    encodeBatch,
    encodeStarts,
    decode,
    idOf: (token) => rust.tokenToId(token) ?? undefined,
    tokenOf,
    addedTokens: added,
    isSpecial: (id) => special.has(id),
    isBlank: (id) => {
      const known = blank.get(id) ?? decode([id]).trim() === "";
      blank.set(id, known);
      return known;
    },
    createDecodeStream: (options) => decodeStream((ids) => decode(ids, options)),
  };
}

/** Encodes, and takes for text what `asText` has marked: the text is cut at its other added tokens, as the library cuts it. */
function markedStarts(rust: RustTokenizer, file: TokenizerFile): Tokenizer["encodeStarts"] {
  const added = file.added_tokens ?? [];
  const long = longTexts(file);
  const whole = encoderOf(rust);
  const encode = long.separates ? betweenTokens(whole, added) : whole;
  let plain: EncodeTexts | undefined;
  const encodeMarked = async (text: string): Promise<TextStart> => {
    const greedy = added.find(({ lstrip, rstrip, single_word }) => lstrip || rstrip || single_word);
    if (greedy !== undefined) {
      throw new UserError(
        "unsupported_tokenizer",
        `special tokens cannot be read as text with this tokenizer: its token ${greedy.content} takes white space or borders of words with it (lstrip, rstrip, single_word). ` +
          "Choose special_tokens_in_content token or error.",
      );
    }
    plain ??= encoderOf(RustTokenizer.fromString(JSON.stringify({ ...file, added_tokens: [] })));
    const tokens = added.map(({ content }) => content);
    const marked = new Map(tokens.map((token) => [asText(token), token]));
    const pieces = text.split(oneOf(tokens));
    const ids: number[] = [];
    for (const [i, piece] of pieces.entries()) {
      // Every second piece is an added token.
      const isToken = i % 2 === 1;
      const literal = isToken ? piece : piece.replace(oneOf([...marked.keys()]), (mark) => marked.get(mark)!);
      const [own] = await startsOf(
        isToken || literal === piece ? encode : plain,
        long,
        [literal],
        Number.POSITIVE_INFINITY,
      );
      if (own!.refusal) return { ...own!, ids };
      for (const id of own!.ids) ids.push(id);
    }
    return { ids, whole: true, atLeast: ids.length };
  };
  return async (texts, atMost) => {
    const ordinary = texts.filter((text) => !text.includes(TEXT_MARK));
    const starts = await startsOf(encode, long, ordinary, atMost);
    if (ordinary.length === texts.length) return starts;
    const all: TextStart[] = [];
    let next = 0;
    for (const text of texts) all.push(text.includes(TEXT_MARK) ? await encodeMarked(text) : starts[next++]!);
    return all;
  };
}

/** Ids of texts, which go to the library's threads together. */
type EncodeTexts = (texts: readonly string[]) => Promise<number[][]>;

function encoderOf(rust: RustTokenizer): EncodeTexts {
  return async (texts) => (await rust.encodeBatch([...texts], PLAIN)).map((encoding) => encoding.getIds());
}

/**
 * What stands between added tokens is tokenised by itself, so it is done once however often it comes: the prompt of an answer is most of the
 * conversation's text, and every conversation has the template's own turns.
 */
function betweenTokens(encode: EncodeTexts, added: readonly AddedToken[]): EncodeTexts {
  const pattern = oneOf(added.map(({ content }) => content));
  const idOf = new Map(added.map(({ content, id }) => [content, id]));
  return async (texts) => {
    const places = new Map<string, number>();
    const split = texts.map((text) => text.split(pattern));
    for (const parts of split) {
      // Every second one is a token.
      for (let i = 0; i < parts.length; i += 2)
        if (parts[i] !== "" && !places.has(parts[i]!)) places.set(parts[i]!, places.size);
    }
    const encoded = await encode([...places.keys()]);
    return split.map((parts) => {
      const ids: number[] = [];
      for (const [i, part] of parts.entries()) {
        if (i % 2 === 1) ids.push(idOf.get(part)!);
        else if (part !== "") for (const id of encoded[places.get(part)!]!) ids.push(id);
      }
      return ids;
    });
  };
}

/** A text on its way, a piece at a time. */
interface Reading {
  readonly text: string;
  ids: number[];
  /** Characters that went to the library. */
  taken: number;
  /** Of these, the ones whose ids have come. */
  read: number;
  refusal?: UserError;
  done: boolean;
}

/**
 * Pieces of all texts go to the library together, as many as keep its threads busy. Whether a text goes on is decided after each of its pieces,
 * by the text alone: two texts with the same start are left at the same place.
 */
async function startsOf(
  encode: EncodeTexts,
  long: LongTexts,
  texts: readonly string[],
  atMost: number,
): Promise<TextStart[]> {
  const readings = texts.map((text): Reading => ({ text, ids: [], taken: 0, read: 0, done: text === "" }));
  let first = 0;
  for (;;) {
    const pieces: { readonly reading: Reading; readonly length: number }[] = [];
    const together: string[] = [];
    let characters = 0;
    while (readings[first]?.done) first++;
    for (let i = first; i < readings.length && characters < togetherLength; i++) {
      const reading = readings[i]!;
      while (!reading.done && reading.taken < reading.text.length && characters < togetherLength) {
        const end = long.pieceEnd(reading.text, reading.taken);
        const length = end - reading.taken;
        const piece = reading.text.slice(reading.taken, end);
        const refusal = long.refuse(piece);
        if (refusal) {
          // What came before it may be enough.
          if (reading.taken === reading.read) Object.assign(reading, { refusal, done: true });
          break;
        }
        together.push(piece);
        pieces.push({ reading, length });
        reading.taken = end;
        characters += length;
      }
    }
    if (pieces.length === 0) {
      if (readings.every(({ done }) => done)) break;
      continue;
    }
    const encoded = await encode(together);
    for (const [i, { reading, length }] of pieces.entries()) {
      if (reading.done) continue;
      const ids = encoded[i]!;
      if (reading.ids.length === 0) reading.ids = ids;
      else for (const id of ids) reading.ids.push(id);
      reading.read += length;
      const enough = reading.read >= togetherLength && reading.ids.length > atMost;
      reading.done = enough || reading.read === reading.text.length;
    }
  }
  return readings.map(({ text, ids, read, refusal }) => ({
    ids,
    whole: read === text.length,
    atLeast: ids.length + long.fewestTokens(text.length - read),
    ...(refusal && { refusal }),
  }));
}

/** Any of these, the longest first, as a group. */
export function oneOf(texts: readonly string[]): RegExp {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(
    `(${sorted.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|") || "(?!)"})`,
    "gu",
  );
}

/**
 * The method of Hugging Face's DecodeStream: decode a window, compare it with the part already given out,
 * hold while it ends in U+FFFD. The window keeps the ids of the last piece, since some decoders treat the
 * first token apart.
 */
function decodeStream(decode: (ids: readonly number[]) => string): DecodeStream {
  let ids: number[] = [];
  let given = 0;
  let prefix = "";
  const take = (text: string): string => {
    const piece = text.slice(prefix.length);
    ids = ids.slice(given);
    given = ids.length;
    prefix = decode(ids);
    return piece;
  };
  return {
    push: (id) => {
      ids.push(id);
      const text = decode(ids);
      return text.length > prefix.length && !text.endsWith("\ufffd") ? take(text) : "";
    },
    flush: () => take(decode(ids)),
  };
}
