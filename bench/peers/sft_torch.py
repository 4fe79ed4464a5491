"""Optimizer steps in plain PyTorch."""
import contextlib

import torch
import transformers
from common import Clock, arguments, tokens_of

options = arguments(compile=False, checkpointing=False)
torch.set_num_threads(options.threads)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
model.config.use_cache = False
model.train()
if options.checkpointing:
    model.gradient_checkpointing_enable()
forward = torch.compile(model) if options.compile else model
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
rows = [tokens_of(options.length, model.config.vocab_size, row) for row in range(options.rows)]
ids = torch.tensor(rows)
autocast = torch.autocast("cpu", dtype=torch.bfloat16) if options.dtype == "bf16" else contextlib.nullcontext()


def step():
    with autocast:
        loss = forward(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


clock = Clock()
losses = [clock.measure(step) for _ in range(1 + options.steps)]
clock.tell(ids.numel(), "torch " + torch.__version__, losses=losses)
