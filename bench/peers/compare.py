"""Runs ours and every peer that is installed on the same work, one process each, and prints one table in markdown."""
import argparse
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

here = Path(__file__).resolve().parent
root = here.parent.parent
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="a Hugging Face folder of a dense Qwen2")
parser.add_argument("--only", choices=["sft", "dpo", "reward", "grpo", "generation"], action="append", help="may be given again; default: sft and generation")
parser.add_argument("--dtypes", default="f32,bf16")
parser.add_argument("--sequences", default="1,8,64,128")
parser.add_argument("--rows", type=int, default=4, help="of a step; two make a pair; prompts of grpo")
parser.add_argument("--length", type=int, default=1024)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--skip", default="", help="of: ours, torch, compiled, checkpointing, trl, transformers, llama")
parser.add_argument("--timeout", type=int, default=600, help="seconds for one program")
options = parser.parse_args()
skipped = set(options.skip.split(","))
wanted = options.only or ["sft", "generation"]
# So that nothing of the libraries looks for a network.
environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": str(options.threads)}


def installed(*names):
    return all(importlib.util.find_spec(name) for name in names)


def last_line(command):
    """What a program printed last, as JSON; or why there is nothing."""
    try:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {options.timeout} s"}
    if done.returncode != 0:
        lines = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        return {"failed": "killed: no memory?" if done.returncode == -9 else lines[-1][:120]}
    return json.loads(done.stdout.strip().splitlines()[-1])


common = ["--rows", options.rows, "--length", options.length, "--steps", options.steps, "--threads", options.threads]
common = [str(part) for part in common]


def ours(variant):
    command = ["node", "bench/model.mjs", "--model", options.model, "--one", json.dumps(variant), *common]
    found = last_line(command)
    if "failed" in found:
        return found
    tokens = options.rows * options.length * (8 if variant["kind"] == "grpo" else 1)
    if variant["kind"] == "generation":
        tokens = 64 * variant["sequences"]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True).stdout.strip()
    return {
        "tokens": tokens,
        "seconds": found["milliseconds"] / 1000,
        "cpu_seconds": found["cpuSeconds"],
        "resident_mb": found["residentMb"],
        "version": "commit " + commit,
    }


def peer(script, dtype, *flags, model=options.model):
    return last_line([sys.executable, str(here / script), "--model", model, "--dtype", dtype, *common, *map(str, flags)])


def peak():
    """fp32 multiply-adds now, a second by the clock and of processor time."""
    return last_line(["node", "bench/model.mjs", "--peak", "--threads", str(options.threads)])


def work_per_token():
    """Parameters of the layers and of the head, that a token is multiplied with, and the width of attention."""
    config = json.loads((Path(options.model) / "config.json").read_text())
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or hidden // heads
    attention = hidden * size * (2 * heads + 2 * groups) + size * (heads + 2 * groups)
    layer = attention + 3 * hidden * config["intermediate_size"] + 2 * hidden
    return layers * layer + hidden, config["vocab_size"] * hidden, layers * heads * size


body, head, width = work_per_token()


def operations(kind, tokens):
    if kind == "generation":
        return 2 * tokens * (2 * (body + head) + 2 * width * 128)  # As many prompt tokens as new ones.
    if kind == "grpo":  # Sampled, with a prompt's keys and values shared by its 8 responses, then a forward and a backward pass.
        whole = tokens * (1 + 64 / options.length)
        return 4 * (2 * (whole * body + tokens * head) + 2 * width * whole * (64 + options.length) / 2) - 7 / 8 * (whole - tokens) * 2 * (body + width * 32)
    # Of a pair only answers need the head, and of a score none.
    share = {"sft": 1, "dpo": 1 - options.length // 4 / options.length, "reward": 0}[kind]
    return tokens * (6 * (body + share * head) + 6 * width * options.length)


def variants():
    for dtype in options.dtypes.split(","):
        for kind in wanted:
            if kind == "generation":
                continue
            for checkpointing in (False, True):
                name = "checkpointing" if checkpointing else ""
                if checkpointing and "checkpointing" in skipped:
                    continue
                flags = ["--checkpointing"] if checkpointing else []
                variant = {"kind": kind, "dtype": dtype, "checkpointing": checkpointing}
                yield kind, dtype, name, "ours", True, lambda variant=variant: ours(variant)
                if kind == "sft":
                    yield kind, dtype, name, "torch", installed("torch", "transformers"), lambda dtype=dtype, flags=flags: peer("sft_torch.py", dtype, *flags)
                    if not checkpointing:
                        yield kind, dtype, name, "compiled", installed("torch", "transformers"), lambda dtype=dtype: peer("sft_torch.py", dtype, "--compile")
                yield kind, dtype, name, "trl", installed("trl"), lambda dtype=dtype, flags=flags, kind=kind: peer(f"{kind}_trl.py", dtype, *flags)
        if "generation" in wanted:
            for sequences in map(int, options.sequences.split(",")):
                name = f"{sequences} sequence{'s' if sequences > 1 else ''}"
                variant = {"kind": "generation", "dtype": dtype, "sequences": sequences}
                yield "generation", dtype, name, "ours", True, lambda variant=variant: ours(variant)
                flags = ["--sequences", sequences]
                yield "generation", dtype, name, "transformers", installed("transformers"), lambda dtype=dtype, flags=flags: peer("generate_transformers.py", dtype, *flags)
                yield "generation", dtype, name, "llama", installed("llama_cpp", "gguf"), lambda dtype=dtype, flags=flags: peer("generate_llama.py", dtype, *flags, model=gguf(dtype))


files = {}
folder = tempfile.TemporaryDirectory()


def gguf(dtype):
    if dtype not in files:
        files[dtype] = str(Path(folder.name) / f"{dtype}.gguf")
        subprocess.run([sys.executable, str(here / "gguf_of.py"), options.model, files[dtype], dtype], check=True)
    return files[dtype]


works = {"sft": "SFT step", "dpo": "DPO step", "reward": "reward step", "grpo": "GRPO step", "generation": "generation"}
titles = {
    "ours": "posttrain",
    "torch": "PyTorch, eager",
    "compiled": "PyTorch, compiled",
    "trl": "TRL's trainer",
    "transformers": "transformers generate()",
    "llama": "llama.cpp",
}


def processor():
    try:
        return next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


print(f"{datetime.date.today()}, {processor()}, {options.threads} threads, Python {platform.python_version()}; steps of {options.rows} x {options.length} tokens, generation of 64 tokens after 64.\n")
print("| work | dtype | program | tokens/s | CPU seconds | resident MiB | share of fp32 peak | by CPU time | version |")
print("|---|---|---|---|---|---|---|---|---|", flush=True)
for kind, dtype, name, program, is_there, run in variants():
    if program in skipped:
        continue
    what = f"{works[kind]}{', ' if name else ''}{name}"
    begin = f"| {what} | {dtype} | {titles[program]} |"
    if not is_there:
        print(f"{begin} not installed | | | | | |", flush=True)
        continue
    limit = peak()
    found = run()
    if "failed" in found:
        print(f"{begin} {found['failed'].replace('|', '/')} | | | | | |", flush=True)
        continue
    done = operations(kind, found["tokens"])
    share, cpu_share = done / found["seconds"] / limit["wall"], done / found["cpu_seconds"] / limit["cpu"]
    print(
        f"{begin} {found['tokens'] / found['seconds']:.0f} | {found['cpu_seconds']:.2f} | {found['resident_mb']:,.0f} | {share:.2f} | {cpu_share:.2f} | {found['version']} |",
        flush=True,
    )
