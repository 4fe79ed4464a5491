"""Steps of TRL's GRPOTrainer: 8 responses of --length tokens to each of --rows prompts of 64, and one update on them. Rewards need no grading."""
import datasets
import torch
import transformers
import trl
from trl_steps import options, steps, train

asked, samples = 64, 8
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)


def prompt(row):
    """Digits until there are as many tokens as bench/model.mjs has in a prompt."""
    text = ""
    while len(tokenizer(text)["input_ids"]) < asked:
        text += f" {(len(text) * 7919 + row * 104_729) % 10}"
    return text


def reward(completions, **_):
    """Every group differs, and no time goes into saying so."""
    return [float(i % 2) for i in range(len(completions))]


model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
data = datasets.Dataset.from_list([{"prompt": prompt(row)} for row in range(options.rows)] * steps)
batch = options.rows * samples
train(
    trl.GRPOTrainer,
    trl.GRPOConfig,
    model,
    data,
    batch,
    tokens=batch * options.length,
    beside={"reward_funcs": reward},
    num_generations=samples,
    max_completion_length=options.length,
    temperature=1.0,
    beta=0.0,
    # No response ends before the others.
    generation_kwargs={"min_new_tokens": options.length},
)
