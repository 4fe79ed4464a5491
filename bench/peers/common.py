"""What every peer does the same way: its tokens, its clock, what it prints."""
import argparse
import json
import resource
import statistics
import time


def arguments(**extra):
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=3)
    for name, default in extra.items():
        if default is False:
            parser.add_argument("--" + name, action="store_true")
        else:
            parser.add_argument("--" + name, type=type(default), default=default)
    return parser.parse_args()


def tokens_of(count, vocabulary, row):
    """As bench/model.mjs."""
    return [(i * 7919 + row * 104_729 + 13) % vocabulary for i in range(count)]


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Clock:
    """Spans by the clock and by processor time; the medians of all but the first."""

    def __init__(self):
        self.spans = []

    def measure(self, body):
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = body()
        self.spans.append((time.perf_counter() - wall, cpu_seconds() - cpu))
        return result

    def tell(self, tokens, version, **more):
        spans = self.spans[1:] or self.spans
        print(
            json.dumps(
                {
                    "tokens": tokens,
                    "seconds": statistics.median(wall for wall, _ in spans),
                    "cpu_seconds": statistics.median(cpu for _, cpu in spans),
                    "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    "version": version,
                    **more,
                }
            )
        )
