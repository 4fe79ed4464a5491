"""Steps of a trainer of TRL, measured one by one."""
import tempfile
import time

import torch
import transformers
import trl
from common import Clock, arguments, cpu_seconds, tokens_of

options = arguments(checkpointing=False)
torch.set_num_threads(options.threads)
# The first measures nothing.
steps = 1 + options.steps
clock = Clock()


def sides(vocabulary):
    """As bench/steps.mjs: two rows make a pair, the first quarter of them its prompt."""
    asked = options.length // 4
    rows = [tokens_of(options.length, vocabulary, row) for row in range(options.rows)]
    return [(better[:asked], better[asked:], worse[asked:]) for better, worse in zip(rows[::2], rows[1::2])]


class Watch(transformers.TrainerCallback):
    def on_step_begin(self, *_, **__):
        self.begun = (time.perf_counter(), cpu_seconds())

    def on_step_end(self, *_, **__):
        clock.spans.append((time.perf_counter() - self.begun[0], cpu_seconds() - self.begun[1]))


def train(trainer, config, model, data, batch, tokens=options.rows * options.length, beside={}, **more):
    """`trainer` and `config` are TRL's classes, `batch` the rows of `data` in a step of `tokens`, `beside` what the trainer takes besides, `more` options of the config."""
    with tempfile.TemporaryDirectory() as folder:
        args = config(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=1e-5,
            bf16=options.dtype == "bf16",
            use_cpu=True,
            gradient_checkpointing=options.checkpointing,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_steps=1000,
            **more,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
        own = {"processing_class": tokenizer, "callbacks": [Watch()], **beside}
        trainer(model=model, args=args, train_dataset=data, **own).train()
    clock.tell(tokens, f"trl {trl.__version__}, torch {torch.__version__}")
