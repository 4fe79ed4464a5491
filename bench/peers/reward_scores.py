"""Scores of a reward model's folder: transformers' beside those of `posttrain reward score`, of rows alone and of batches padded on the right
with the folder's own pad id. Exit code 1 where they differ by more than 1e-4."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from common import tokens_of

root = Path(__file__).resolve().parent.parent.parent
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="what posttrain reward wrote")
parser.add_argument("--rows", type=int, default=64)
parser.add_argument("--length", type=int, default=128, help="tokens of a row at most")
parser.add_argument("--batch", type=int, default=8)
options = parser.parse_args()

model = transformers.AutoModelForSequenceClassification.from_pretrained(options.model, dtype=torch.float32).eval()
pad = model.config.pad_token_id
ends = model.config.eos_token_id
ends = ends if isinstance(ends, list) else [ends]


def row_of(number):
    """Of any length; every second one ends as an answer does."""
    length = 1 + number * 37 % options.length
    ids = [token for token in tokens_of(length + 1, model.config.vocab_size, number) if token != pad][:length]
    return ids[:-1] + [ends[number // 2 % len(ends)]] if number % 2 else ids


rows = [row_of(number) for number in range(options.rows)]


def ours():
    with tempfile.TemporaryDirectory() as folder:
        data, scored = Path(folder) / "rows.jsonl", Path(folder) / "scored.jsonl"
        data.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
        command = ["node", "packages/cli/bin/posttrain.mjs", "reward", "score", "--model_name_or_path", str(Path(options.model).resolve())]
        subprocess.run([*command, "--data", data, "--output", scored, "--quiet"], cwd=root, check=True)
        return [json.loads(line)["reward_score"] for line in scored.read_text().splitlines()]


def theirs(batch):
    longest = max(map(len, batch))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in batch])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask).logits[:, 0].tolist()


wanted = ours()
alone = [score for row in rows for score in theirs([row])]
padded = [score for at in range(0, len(rows), options.batch) for score in theirs(rows[at : at + options.batch])]
found = {
    "rows": len(rows),
    "pad_token_id": pad,
    "eos_token_id": ends,
    "scores": [min(wanted), max(wanted)],
    "alone": max(abs(a - b) for a, b in zip(wanted, alone, strict=True)),
    "padded": max(abs(a - b) for a, b in zip(wanted, padded, strict=True)),
    "version": f"transformers {transformers.__version__}, torch {torch.__version__}",
}
print(json.dumps(found))
sys.exit(0 if max(found["alone"], found["padded"]) <= 1e-4 else 1)
