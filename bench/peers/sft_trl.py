"""Optimizer steps of TRL's SFTTrainer on rows that are tokens already."""
import datasets
import torch
import transformers
import trl
from common import tokens_of
from trl_steps import options, steps, train

model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
rows = [{"input_ids": tokens_of(options.length, model.config.vocab_size, row)} for row in range(options.rows)]
train(trl.SFTTrainer, trl.SFTConfig, model, datasets.Dataset.from_list(rows * steps), options.rows, max_length=options.length)
