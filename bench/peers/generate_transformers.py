"""transformers' generate(): sampling at temperature 1, all sequences in one batch."""
import torch
import transformers
from common import Clock, arguments, tokens_of

options = arguments(sequences=1, prompt=64, new=64)
torch.set_num_threads(options.threads)
dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype).eval()
ids = torch.tensor([tokens_of(options.prompt, model.config.vocab_size, row) for row in range(options.sequences)])
torch.manual_seed(1)


def once():
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        min_new_tokens=options.new,
        max_new_tokens=options.new,
        pad_token_id=0,
    )
    assert made.shape[1] == options.prompt + options.new


clock = Clock()
for _ in range(1 + options.steps):
    clock.measure(once)
clock.tell(options.sequences * options.new, f"transformers {transformers.__version__}, torch {torch.__version__}")
