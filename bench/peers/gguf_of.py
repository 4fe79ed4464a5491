"""Writes a Hugging Face folder of a dense Qwen2 as GGUF, without its tokenizer: gguf_of.py FOLDER OUT f32|bf16."""
import json
import sys
from pathlib import Path

import gguf
import numpy
import torch
from safetensors import safe_open

names = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    kind = name.rsplit(".", 1)[1]
    if name.startswith("model.embed_tokens"):
        return "token_embd.weight"
    if name.startswith("model.norm"):
        return "output_norm.weight"
    if name.startswith("lm_head"):
        return "output.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{names[rest.rsplit('.', 1)[0]]}.{kind}"


def write(folder, out, dtype):
    config = json.loads((Path(folder) / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "qwen2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base((config.get("rope_parameters") or config).get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16 if dtype == "bf16" else gguf.LlamaFileType.ALL_F32)
    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                tensor = tensors.get_tensor(name)
                # Vectors stay in fp32, as llama.cpp's own converter leaves them.
                if dtype == "bf16" and tensor.dim() > 1:
                    halves = tensor.to(torch.bfloat16).view(torch.uint16).numpy()
                    writer.add_tensor(gguf_name(name), halves.view(numpy.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
                else:
                    writer.add_tensor(gguf_name(name), tensor.to(torch.float32).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(*sys.argv[1:])
