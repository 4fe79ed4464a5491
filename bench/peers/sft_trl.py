"""Optimizer steps of TRL's SFTTrainer on rows that are tokens already."""
import tempfile
import time

import datasets
import torch
import transformers
import trl
from common import Clock, arguments, cpu_seconds, tokens_of

options = arguments(checkpointing=False)
torch.set_num_threads(options.threads)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
rows = [tokens_of(options.length, model.config.vocab_size, row) for row in range(options.rows)]
steps = 1 + options.steps
data = datasets.Dataset.from_list([{"input_ids": row} for row in rows * steps])
clock = Clock()


class Watch(transformers.TrainerCallback):
    def on_step_begin(self, *_, **__):
        self.begun = (time.perf_counter(), cpu_seconds())

    def on_step_end(self, *_, **__):
        clock.spans.append((time.perf_counter() - self.begun[0], cpu_seconds() - self.begun[1]))


with tempfile.TemporaryDirectory() as folder:
    config = trl.SFTConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=options.rows,
        learning_rate=1e-5,
        max_length=options.length,
        bf16=options.dtype == "bf16",
        use_cpu=True,
        gradient_checkpointing=options.checkpointing,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_steps=1000,
    )
    trainer = trl.SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Watch()])
    trainer.train()
clock.tell(options.rows * options.length, f"trl {trl.__version__}, torch {torch.__version__}")
