"""Compares time and memory of a harmonized step with a plain step and other libraries.

Run once for each backend:

    KERAS_BACKEND=torch python benchmarks/step_cost.py --output results

On PyTorch it also measures TorchJD (part of the `test` extra) and LibMTL, which is not
a dependency: `pip install --no-deps LibMTL==1.1.5`. A library that cannot be imported
is named in the output and skipped.
"""

import argparse
import dataclasses
import importlib

import keras
import numpy as np
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

COLUMNS = {
    "case": lambda r: r["case"],
    "f": lambda r: f"{r['video_fraction']:.3f}",
    "1 + 2f/3": lambda r: f"{r['floor']:.3f}",
    "scheme": lambda r: r["scheme"],
    "ms": lambda r: milliseconds(r["seconds"][1]),
    "time / plain": lambda r: spread(r["time_ratio"]),
    "peak MiB": lambda r: mebibytes(r["peak_bytes"]),
    "planned MiB": lambda r: mebibytes(r["compiled_bytes"]),
    "gradient difference": lambda r: _optional(r["gradient_difference"]),
}


def main():
    arguments = _arguments()
    cases = QUICK_CASES if arguments.quick else CASES
    results, left_out = [], []
    facts = environment()
    for name in arguments.cases:
        results += measured_case(name, cases[name], arguments, left_out)
    report = {
        "environment": facts,
        "settings": vars(arguments),
        "results": results,
        "left_out": left_out,
    }
    write(arguments.output, "step_cost", report, COLUMNS)


def measured_case(name, case, arguments, left_out):
    """Returns the results of all schemes in one case, a list of dicts."""
    batch = random_batch(case)
    facts = {"case": name, "video_fraction": case.video_fraction, "floor": case.floor}
    results = []
    for group in _groups(case, batch):
        reference = None
        for scheme_name, make in group.items():
            progress(f"{name}: {scheme_name}")
            try:
                scheme = make()
            except ImportError as error:
                left_out.append(f"{scheme_name}: {error}")
                continue
            scheme.run()
            reference = reference or scheme
            measures = measured(reference, scheme, arguments)
            results.append({**facts, "scheme": scheme_name, **measures})
    return _compared(results)


def measured(reference, scheme, arguments):
    """Returns the time, memory and gradient of one scheme."""
    for warm_up in (reference, scheme):
        warm_up.run()
    pairs = paired_times(reference.run, scheme.run, arguments.pairs)
    ratios = [own / plain for plain, own in zip(*pairs, strict=True)]
    same = reference is scheme
    return {
        "seconds": quartiles(pairs[0] if same else pairs[1]),
        "time_ratio": (1.0, 1.0, 1.0) if same else quartiles(ratios),
        "peak_bytes": peak_memory(scheme.run),
        "compiled_bytes": scheme.compiled_bytes,
        "gradient": scheme.gradients and _flat(scheme.gradients()),
    }


def _groups(case, batch):
    """Returns functions that create the schemes, by name; `plain` comes first."""
    harmonizer = "realign"
    gradients_only = {
        "plain": lambda: schemes.train_step(vatt(case), batch),
        "harmonized": lambda: schemes.train_step(
            vatt(case, harmonizer=harmonizer), batch
        ),
        **schemes.rivals(vatt(case), batch),
    }
    whole = {
        f"{name} + Adam": lambda arguments=arguments: _without_gradients(
            schemes.train_step(vatt(case, optimizer="adam", **arguments), batch)
        )
        for name, arguments in (
            ("plain", {}),
            ("harmonized", {"harmonizer": harmonizer}),
        )
    }
    return gradients_only, whole


def _without_gradients(scheme):
    return dataclasses.replace(scheme, gradients=None)


def _flat(gradients):
    """Returns all gradients as one float64 vector; missing ones are left out."""
    return np.concatenate([np.ravel(g).astype("float64") for g in gradients])


def _compared(results):
    """Replaces each gradient with its difference from the harmonized one."""
    by_name = {result["scheme"]: result["gradient"] for result in results}
    expected = by_name["harmonized"]
    for result in results:
        gradient = result.pop("gradient")
        comparable = gradient is not None and result["scheme"] != "plain"
        difference = None
        if comparable:
            difference = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
        result["gradient_difference"] = difference
    return results


def _optional(difference):
    return "-" if difference is None else f"{difference:.1e}"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of timed steps")
    parser.add_argument("--quick", action="store_true", help="use tiny models")
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=list(CASES), help="video fractions"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
