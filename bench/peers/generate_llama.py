"""llama.cpp through its C interface: all sequences in one batch a step, sampling at temperature 1. --model: a GGUF file."""
import ctypes

import llama_cpp
from common import Clock, arguments, tokens_of

options = arguments(sequences=1, prompt=64, new=64)
log = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(log, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(options.model.encode(), llama_cpp.llama_model_default_params())
assert model, "the model could not be loaded"
vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
settings = llama_cpp.llama_context_default_params()
settings.n_ctx = options.sequences * (options.prompt + options.new)
settings.n_batch = max(512, options.sequences * options.prompt)
settings.n_ubatch = 512
settings.n_seq_max = options.sequences
settings.n_threads = settings.n_threads_batch = options.threads
context = llama_cpp.llama_init_from_model(model, settings)
assert context, "no context for so many sequences"
batch = llama_cpp.llama_batch_init(settings.n_batch, 0, 1)
sampler = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
llama_cpp.llama_sampler_chain_add(sampler, llama_cpp.llama_sampler_init_dist(1))


def decode(entries):
    """Entries: token, position, sequence, whether logits are wanted."""
    batch.n_tokens = len(entries)
    for i, (token, position, sequence, wanted) in enumerate(entries):
        batch.token[i] = token
        batch.pos[i] = position
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence
        batch.logits[i] = wanted
    status = llama_cpp.llama_decode(context, batch)
    assert status == 0, f"llama_decode: {status}"
    return [i for i, entry in enumerate(entries) if entry[3]]


def once():
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    entries = [
        (token, position, sequence, position == options.prompt - 1)
        for sequence in range(options.sequences)
        for position, token in enumerate(tokens_of(options.prompt, vocabulary, sequence))
    ]
    for step in range(options.new):
        drawn = [llama_cpp.llama_sampler_sample(sampler, context, index) for index in decode(entries)]
        entries = [(token, options.prompt + step, sequence, True) for sequence, token in enumerate(drawn)]


clock = Clock()
for _ in range(1 + options.steps):
    clock.measure(once)
clock.tell(options.sequences * options.new, "llama-cpp-python " + llama_cpp.__version__)
