// A language model of 15,000 parameters with a tokenizer of bytes: for what samples, and for nothing that should make sense.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "@posttrain/kernels";
import { initialiseModel, parseModelConfig, saveModel } from "@posttrain/model";

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
const special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/** GPT-2's characters for bytes: printable ones for themselves. */
function byteVocabulary(): Record<string, number> {
  let next = 256;
  const character = (byte: number): string => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
    return String.fromCodePoint(printable ? byte : next++);
  };
  return Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [character(byte), byte]));
}

export async function writeTinyPolicy(device: Device, dir: string, seed = 1): Promise<string> {
  const tokenizer = {
    version: "1.0",
    added_tokens: special.map((content, i) => ({
      ...{ id: 256 + i, content, special: true },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
    })),
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    model: { type: "BPE", vocab: byteVocabulary(), merges: [] },
  };
  const config = parseModelConfig(
    {
      ...{ architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", vocab_size: 320 },
      ...{ hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1 },
      ...{ intermediate_size: 64, max_position_embeddings: 128, rms_norm_eps: 1e-6, rope_theta: 10_000 },
      ...{ tie_word_embeddings: true, initializer_range: 0.1, eos_token_id: 258 },
    },
    "config.json",
  );
  const model = initialiseModel(device, config, seed);
  try {
    mkdirSync(dir, { recursive: true });
    await saveModel(model, join(dir, "model"), {
      extraFiles: {
        "tokenizer.json": JSON.stringify(tokenizer),
        "tokenizer_config.json": JSON.stringify({
          eos_token: "<|im_end|>",
          chat_template: "{% for m in messages %}{{ m.content }}{% endfor %}>",
        }),
      },
    });
  } finally {
    model.scope.end();
  }
  return join(dir, "model");
}
