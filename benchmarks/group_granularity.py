"""Measures time and memory of a harmonized step against the number of groups.

Run once for each backend:

    KERAS_BACKEND=jax python benchmarks/group_granularity.py --output results

With one group per example, the gradients of each example are harmonized separately. The
forward pass still runs once, followed by one backward pass per group, branch and loss.
"""

import argparse
import importlib

import keras
from cases import CASES, QUICK_CASES, random_batch, vatt
from measurement import paired_times, peak_memory, quartiles
from report import (
    environment,
    mebibytes,
    milliseconds,
    progress,
    spread,
    write,
)

schemes = importlib.import_module(f"schemes_{keras.config.backend()}")

_CASE = "0.54"
COLUMNS = {
    "groups": lambda r: str(r["num_groups"]),
    "ms": lambda r: milliseconds(r["seconds"][1]),
    "time / one group": lambda r: spread(r["time_ratio"]),
    "peak MiB": lambda r: mebibytes(r["peak_bytes"]),
    "planned MiB": lambda r: mebibytes(r["compiled_bytes"]),
}


def main():
    arguments = _arguments()
    case = (QUICK_CASES if arguments.quick else CASES)[_CASE]
    batch = random_batch(case)
    facts = environment()
    whole = _scheme(case, batch, num_groups=1)
    counts = [n for n in (1, 2, 4, 8, 16) if case.batch_size % n == 0]
    report = {
        "environment": facts,
        "settings": vars(arguments),
        "results": [_measured(whole, case, batch, n, arguments) for n in counts],
    }
    write(arguments.output, "group_granularity", report, COLUMNS)


def _measured(whole, case, batch, num_groups, arguments):
    progress(f"{num_groups} groups")
    scheme = _scheme(case, batch, num_groups)
    pairs = paired_times(whole.run, scheme.run, arguments.pairs)
    ratios = [own / one for one, own in zip(*pairs, strict=True)]
    return {
        "num_groups": num_groups,
        "seconds": quartiles(pairs[1]),
        "time_ratio": quartiles(ratios),
        "peak_bytes": peak_memory(scheme.run),
        "compiled_bytes": scheme.compiled_bytes,
    }


def _scheme(case, batch, num_groups):
    model = vatt(case, harmonizer="realign", num_groups=num_groups)
    scheme = schemes.train_step(model, batch)
    scheme.run()
    return scheme


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of timed steps")
    parser.add_argument("--quick", action="store_true", help="use a tiny model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
