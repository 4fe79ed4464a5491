// Which token pads a batch of a reward model. transformers reads a score at the rightmost token that is not the pad id: where a sequence ends
// in that id itself (a base Qwen2.5 pads with <|endoftext|>, the end of every text), it reads another token than was trained. So the pad
// token is one that ends nothing; the tokenizer's files name it too, because whoever pads asks them.
import type { Tokenizer } from "@posttrain/data";
import type { Companions, Qwen2Config } from "@posttrain/model";

export interface Padding {
  /** `pad_token_id` of config.json. */
  readonly id: number;
  /** Undefined without a tokenizer. */
  readonly token: string | undefined;
  /** What was there before, where that could end a sequence. */
  readonly instead: string | undefined;
  /** The tokenizer's files that name another pad token, with this one. */
  readonly files: Companions;
}

/** Tokens at the end of a sequence among which the pad is not: the last, and a turn's end before a line feed. */
const tail = 2;

/** The folder's own pad token where it ends nothing, else a special token that does (one called a pad first), else the highest such id. */
export function choosePadding(
  config: Pick<Qwen2Config, "eosTokenIds" | "padTokenId" | "vocabSize">,
  tokenizer: Pick<Tokenizer, "eosToken" | "idOf" | "tokenOf" | "addedTokens"> | undefined,
  companions: Companions,
  sequences: Iterable<Int32Array>,
): Padding {
  const eos = tokenizer?.eosToken === undefined ? undefined : tokenizer.idOf(tokenizer.eosToken);
  const ending = new Set([...config.eosTokenIds, ...(eos === undefined ? [] : [eos])]);
  for (const sequence of sequences) for (const id of sequence.subarray(-tail)) ending.add(id);
  const pads = (id: number | undefined): id is number =>
    id !== undefined && id < config.vocabSize && !ending.has(id);

  const named = namedPads(companions);
  const [first] = named.values();
  const own = (first === undefined ? undefined : tokenizer?.idOf(first)) ?? config.padTokenId ?? undefined;
  const special = (tokenizer?.addedTokens ?? [])
    .filter((token) => token.special && pads(token.id))
    .sort((a, b) => Number(/pad/i.test(b.content)) - Number(/pad/i.test(a.content)) || a.id - b.id);
  let id = pads(own) ? own : special[0]?.id;
  for (let spare = config.vocabSize - 1; id === undefined && spare >= 0; spare--) if (pads(spare)) id = spare;
  if (id === undefined) throw new Error("every id of the vocabulary ends a sequence");

  const token = tokenizer?.tokenOf(id);
  const changed = [...named].filter(([, pad]) => token !== undefined && pad !== token);
  const missing = token !== undefined && named.size === 0 && "tokenizer_config.json" in companions;
  const rewritten = [...changed.map(([file]) => file), ...(missing ? ["tokenizer_config.json"] : [])];
  return {
    id,
    token,
    instead: own === undefined || own === id ? undefined : (tokenizer?.tokenOf(own) ?? `id ${own}`),
    files: Object.fromEntries(rewritten.map((file) => [file, withPad(companions[file]!, token!)])),
  };
}

const padFiles = ["tokenizer_config.json", "special_tokens_map.json"] as const;

/** Files that name a pad token, and what they name. */
function namedPads(companions: Companions): ReadonlyMap<string, string> {
  return new Map(
    padFiles.flatMap((file) => {
      const pad =
        companions[file] && (JSON.parse(String(Buffer.from(companions[file]))).pad_token as unknown);
      const token = typeof pad === "object" && pad !== null && "content" in pad ? pad.content : pad;
      return typeof token === "string" ? [[file, token] as const] : [];
    }),
  );
}

function withPad(bytes: Uint8Array, token: string): Uint8Array {
  const json = JSON.parse(String(Buffer.from(bytes))) as Record<string, unknown>;
  return Buffer.from(`${JSON.stringify({ ...json, pad_token: token }, null, 2)}\n`);
}
