"""Optimizer steps of TRL's RewardTrainer on pairs that are tokens already."""
import datasets
import torch
import transformers
import trl
from trl_steps import options, sides, steps, train

model = transformers.AutoModelForSequenceClassification.from_pretrained(options.model, dtype=torch.float32, num_labels=1)
pairs = [
    {"chosen_ids": prompt + chosen, "rejected_ids": prompt + rejected}
    for prompt, chosen, rejected in sides(model.config.vocab_size)
]
train(trl.RewardTrainer, trl.RewardConfig, model, datasets.Dataset.from_list(pairs * steps), len(pairs), max_length=options.length)
