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
parser.add_argument("--only", choices=["sft", "generation"])
parser.add_argument("--dtypes", default="f32,bf16")
parser.add_argument("--sequences", default="1,8,64,128")
parser.add_argument("--rows", type=int, default=4)
parser.add_argument("--length", type=int, default=1024)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--skip", default="", help="of: ours, torch, compiled, checkpointing, trl, transformers, llama")
parser.add_argument("--timeout", type=int, default=600, help="seconds for one program")
options = parser.parse_args()
skipped = set(options.skip.split(","))
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
    tokens = options.rows * options.length if variant["kind"] == "sft" else 64 * variant["sequences"]
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
    config = json.loads((Path(options.model) / "config.json").read_text())
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or hidden // heads
    attention = hidden * size * (2 * heads + 2 * groups) + size * (heads + 2 * groups)
    layer = attention + 3 * hidden * config["intermediate_size"] + 2 * hidden
    embedding = config["vocab_size"] * hidden
    parameters = layers * layer + hidden + embedding * (1 if config["tie_word_embeddings"] else 2)
    return parameters, layers * heads * size


parameters, width = work_per_token()


def operations(kind, tokens):
    if kind == "sft":
        return tokens * (6 * parameters + 6 * width * options.length)
    return 2 * tokens * (2 * parameters + 2 * width * 128)  # As many prompt tokens as new ones.


def variants():
    for dtype in options.dtypes.split(","):
        if options.only != "generation":
            for checkpointing in (False, True):
                name = "checkpointing" if checkpointing else ""
                if checkpointing and "checkpointing" in skipped:
                    continue
                flags = ["--checkpointing"] if checkpointing else []
                variant = {"kind": "sft", "dtype": dtype, "checkpointing": checkpointing}
                yield "sft", dtype, name, "ours", True, lambda variant=variant: ours(variant)
                yield "sft", dtype, name, "torch", installed("torch", "transformers"), lambda dtype=dtype, flags=flags: peer("sft_torch.py", dtype, *flags)
                if not checkpointing:
                    yield "sft", dtype, name, "compiled", installed("torch", "transformers"), lambda dtype=dtype: peer("sft_torch.py", dtype, "--compile")
                yield "sft", dtype, name, "trl", installed("trl"), lambda dtype=dtype, flags=flags: peer("sft_trl.py", dtype, *flags)
        if options.only != "sft":
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


titles = {
    "ours": "posttrain",
    "torch": "PyTorch, eager",
    "compiled": "PyTorch, compiled",
    "trl": "TRL SFTTrainer",
    "transformers": "transformers generate()",
    "llama": "llama.cpp",
}


def processor():
    try:
        return next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


print(f"{datetime.date.today()}, {processor()}, {options.threads} threads, Python {platform.python_version()}; steps of {options.rows} x {options.length} tokens, generation of 64 tokens after 64.\n")
print("| work | dtype | program | tokens/s | resident MiB | share of fp32 peak | by CPU time | version |")
print("|---|---|---|---|---|---|---|---|", flush=True)
for kind, dtype, name, program, is_there, run in variants():
    if program in skipped:
        continue
    what = f"{'SFT step' if kind == 'sft' else 'generation'}{', ' if name else ''}{name}"
    head = f"| {what} | {dtype} | {titles[program]} |"
    if not is_there:
        print(f"{head} not installed | | | | |", flush=True)
        continue
    limit = peak()
    found = run()
    if "failed" in found:
        print(f"{head} {found['failed'].replace('|', '/')} | | | | |", flush=True)
        continue
    done = operations(kind, found["tokens"])
    share, cpu_share = done / found["seconds"] / limit["wall"], done / found["cpu_seconds"] / limit["cpu"]
    print(
        f"{head} {found['tokens'] / found['seconds']:.0f} | {found['resident_mb']:,.0f} | {share:.2f} | {cpu_share:.2f} | {found['version']} |",
        flush=True,
    )
