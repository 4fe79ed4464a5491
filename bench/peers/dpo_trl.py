"""Optimizer steps of TRL's DPOTrainer on pairs that are tokens already, the reference's log-probabilities computed before."""
import datasets
import torch
import transformers
import trl
from trl_steps import options, sides, steps, train


class OnTokens(trl.DPOTrainer):
    """Takes the columns that the trainer itself makes of text."""

    def _prepare_dataset(self, dataset, *_, **__):
        return dataset


model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
names = ("prompt_ids", "chosen_ids", "rejected_ids")
pairs = [dict(zip(names, pair)) for pair in sides(model.config.vocab_size)]
data = datasets.Dataset.from_list(pairs * steps)
train(OnTokens, trl.DPOConfig, model, data, len(pairs), max_length=options.length, precompute_ref_log_probs=True)
