// A Qwen2.5 of about one million parameters, made on the spot: the architecture of the real ones with random weights, so that
// everything that reads a Hugging Face folder reads this one.
import type { Device } from "@posttrain/kernels";
import { initialiseModel, parseModelConfig, saveModel } from "@posttrain/model";
import { describeModel } from "../with-model.js";
import { tinyTokenizer } from "./tiny-tokenizer.js";

/** Writes a fresh model folder and says in a line what it is. The weights are a function of `seed`. */
export async function writeTinyModel(device: Device, dir: string, seed: number): Promise<string> {
  const tokenizer = tinyTokenizer();
  const config = parseModelConfig(
    {
      architectures: ["Qwen2ForCausalLM"],
      model_type: "qwen2",
      hidden_size: 192,
      num_hidden_layers: 3,
      num_attention_heads: 6,
      num_key_value_heads: 2,
      intermediate_size: 512,
      // Rows beyond the tokenizer, as Qwen2.5 has them.
      vocab_size: Math.ceil(tokenizer.size / 64) * 64,
      max_position_embeddings: 512,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      tie_word_embeddings: true,
      initializer_range: 0.04,
      eos_token_id: [tokenizer.endOfTurn, tokenizer.endOfText],
      pad_token_id: tokenizer.endOfText,
    },
    "the tiny model's config",
  );
  const model = initialiseModel(device, config, seed);
  try {
    await saveModel(model, dir, { extraFiles: tokenizer.files });
    return describeModel(model);
  } finally {
    model.scope.end();
  }
}
