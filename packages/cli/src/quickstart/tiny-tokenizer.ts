// A byte-level BPE tokenizer made on the spot, in the form of Qwen2.5's tokenizer.json: 256 byte tokens, merges for a few words that
// every conversation holds, and the ChatML tokens. It encodes any text; digits are always single tokens, as in Qwen2.5.

/** Words that are one token, with the space before them where they have one. Each is built up from its left. */
const words = ["user", "assistant", "system", "Answer", "What", " is", " +", " -", " *"];
const specialTokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/** The character that stands for each byte in a byte-level vocabulary (GPT-2's table): printable ones for themselves. */
const byteCharacters: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
    return String.fromCodePoint(printable ? byte : next++);
  });
})();

const qwenPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const chatTemplate =
  "{% for message in messages %}" +
  "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}" +
  "{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export interface TinyTokenizer {
  /** Tokens, special ones included. */
  readonly size: number;
  readonly endOfText: number;
  readonly endOfTurn: number;
  /** Texts of tokenizer.json and tokenizer_config.json. */
  readonly files: Readonly<Record<string, string>>;
}

export function tinyTokenizer(): TinyTokenizer {
  const merges: [string, string][] = [];
  const vocab = new Map(byteCharacters.map((character, byte) => [character, byte]));
  for (const word of words) {
    const characters = [...Buffer.from(word)].map((byte) => byteCharacters[byte] as string);
    let left = characters[0] as string;
    for (const right of characters.slice(1)) {
      const merged = left + right;
      if (!vocab.has(merged)) {
        merges.push([left, right]);
        vocab.set(merged, vocab.size);
      }
      left = merged;
    }
  }
  const first = vocab.size;
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const added = specialTokens.map((content, i) => ({
    id: first + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: qwenPattern }, behavior: "Isolated", invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges,
    },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplate,
  };
  return {
    size: first + specialTokens.length,
    endOfText: first,
    endOfTurn: first + 2,
    files: {
      "tokenizer.json": `${JSON.stringify(tokenizer, null, 1)}\n`,
      "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
    },
  };
}
