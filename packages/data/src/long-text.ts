/**
 * Long texts, tokenised a piece at a time: the library holds some 300 to 650 bytes for each character that it is given at once. A cut
 * changes no id where no token can reach across it. With byte-level pairs behind the patterns of GPT-2, Qwen2, Llama 3 and o200k that holds between a
 * letter or digit and the space or mark that follows it: every one of these patterns ends a match there, none looks behind itself or
 * ahead over a letter, and nothing composes with what follows (NFC). Letters and digits are those of Unicode's first versions, which all its tables agree on. Other
 * tokenizers get their texts whole.
 */
import { createRunCheck } from "./bounded-tokenizer.js";
import { UserError } from "./user-error.js";

/** Characters of a piece, to the next place for a cut; and of pieces that go to the library together. */
const pieceLength = 1 << 15;
export const togetherLength = 1 << 18;
/** A piece may have so many: some 650 MB, and few enough that no pattern gives up on it. */
const mostTogether = 1 << 20;

const patterns = [
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
];

// Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, kana, ideographs, Hangul; then what may follow.
const cut =
  /(?<=[0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01bf\u0391-\u03a1\u03a3-\u03c9\u0410-\u044f\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0905-\u0939\u0e01-\u0e30\u3041-\u3093\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3])(?=[ \t\r\n,.;:!?。，、！？：；])/gu;

/** Where texts may be cut, undefined where nowhere. */
export interface LongTexts {
  /** The end of the piece that begins at `start`. */
  pieceEnd(text: string, start: number): number;
  /** UserError for a piece that cannot be tokenised at once: it is too long, or takes too long. */
  refuse(piece: string): UserError | undefined;
  /** Fewest tokens that so many characters can be. */
  fewestTokens(characters: number): number;
  /** Whether texts are also cut at every added token, as the library cuts them: wherever one is written it is one. */
  readonly separates: boolean;
}

/** What of a tokenizer.json decides over cuts. */
export interface TokenizerParts {
  readonly added_tokens?: readonly {
    readonly content: string;
    readonly lstrip?: boolean;
    readonly rstrip?: boolean;
    readonly single_word?: boolean;
    readonly normalized?: boolean;
  }[];
  readonly normalizer?: { readonly type?: unknown } | null;
  readonly pre_tokenizer?: PreTokenizer | null;
  readonly model?: { readonly type?: unknown; readonly vocab?: unknown; readonly dropout?: unknown };
}

interface PreTokenizer {
  readonly type?: unknown;
  readonly pretokenizers?: readonly PreTokenizer[];
  readonly pattern?: { readonly Regex?: unknown };
  readonly behavior?: unknown;
  readonly invert?: unknown;
  readonly add_prefix_space?: unknown;
  readonly use_regex?: unknown;
}

export function longTexts(file: TokenizerParts): LongTexts {
  const cuts = takesCuts(file);
  const checkRuns = createRunCheck(file);
  const added = file.added_tokens ?? [];
  let longest = 1;
  for (const token of Object.keys(file.model?.vocab ?? {})) longest = Math.max(longest, token.length);
  for (const { content } of added) longest = Math.max(longest, content.length);
  return {
    // Tokens that are looked for in normalised text may be made there, or broken.
    separates: cuts && added.every(({ content, normalized }) => content !== "" && normalized === false),
    // Of the known patterns another alternative takes what one has walked over in vain.
    refuse: (piece) => refusePiece(piece, cuts ? () => undefined : checkRuns),
    pieceEnd: (text, start) => {
      if (!cuts || text.length - start <= pieceLength) return text.length;
      cut.lastIndex = start + pieceLength;
      return cut.exec(text)?.index ?? text.length;
    },
    // Composed, three characters may be one. Of other tokenizers nothing is known.
    fewestTokens: (characters) => (cuts ? Math.ceil(characters / (3 * longest)) : Math.min(characters, 1)),
  };
}

function takesCuts({
  added_tokens: added = [],
  normalizer,
  pre_tokenizer: pre,
  model,
}: TokenizerParts): boolean {
  const parts = pre?.type === "Sequence" ? (pre.pretokenizers ?? []) : pre ? [pre] : [];
  const plain = parts.every(
    ({ type, pattern, behavior, invert, add_prefix_space }) =>
      type === "Digits" ||
      (type === "ByteLevel" && add_prefix_space === false) ||
      (type === "Split" &&
        behavior === "Isolated" &&
        invert !== true &&
        patterns.includes(String(pattern?.Regex))),
  );
  const words = parts.some(
    ({ type, use_regex }) => type === "Split" || (type === "ByteLevel" && use_regex !== false),
  );
  return (
    plain &&
    words &&
    model?.type === "BPE" &&
    (normalizer == null || normalizer.type === "NFC") &&
    added.every(
      ({ content, lstrip, rstrip, single_word }) =>
        !(lstrip || rstrip || single_word) && content.search(cut) < 0,
    )
  );
}

/** UserError for a piece that cannot be tokenised at once: it is too long, or has a run that takes too long. */
function refusePiece(piece: string, checkRuns: (text: string) => string | undefined): UserError | undefined {
  const { length } = piece;
  if (length <= mostTogether) {
    const run = checkRuns(piece);
    return run === undefined ? undefined : new UserError("text_too_costly", run);
  }
  return new UserError(
    "text_too_long",
    `${length.toLocaleString("en-US")} characters of the text have no place where this tokenizer could begin again (between a word and the space or mark behind it), ` +
      `and more than ${mostTogether.toLocaleString("en-US")} at once take too much memory. Split the text, or remove what is not text from it.`,
  );
}
