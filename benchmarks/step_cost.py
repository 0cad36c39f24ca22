"""Compares time and memory of training steps with a step that is written by hand.

Run once for each backend:

    KERAS_BACKEND=torch python benchmarks/step_cost.py --output results

`hand-written` is the plain step that a user would write: a model, the losses and an
optimizer. It uses nothing of `keras_vatt.training`, and on PyTorch no Keras at all
(`plain_torch.py`). `plain` is the library's step without a harmonizer. On PyTorch,
TorchJD (part of the `test` extra) and LibMTL are measured, too; LibMTL is not a
dependency: `pip install --no-deps LibMTL==1.1.5`. A library that cannot be imported is
named in the output and skipped.

The rows without an optimizer compute and store a gradient, which is the work of
libraries that only combine gradients.
"""

import importlib
import statistics

import keras
import numpy as np
from cases import case_parser, chosen_cases, random_batch, vatt
from measurement import interleaved, peak_of_step, quartiles
from report import (
    environment,
    mebibytes,
    milliseconds,
    progress,
    spread,
    write,
)

schemes = importlib.import_module(f"schemes_{keras.config.backend()}")

PER_CLIP = {"compare": "features", "num_groups": "per_clip"}
# The arguments of `compile` of the library's steps.
LIBRARY = {
    "plain": {},
    "harmonized": {"harmonizer": "realign"},
    "harmonized, 8 groups": {"harmonizer": "realign", "num_groups": 8},
    "features per clip": {"harmonizer": "realign", **PER_CLIP},
    "features per clip, skips": {"harmonizer": "curriculum+realign", **PER_CLIP},
}
# The rows that a gradient must be equal to; other gradients differ by definition.
EQUAL = {
    "plain": "hand-written",
    "naive two passes": "harmonized",
    "hand-written harmonized": "harmonized",
    "TorchJD PCGrad": "harmonized",
    "TorchJD PCGrad, chunk 1": "harmonized",
    "LibMTL PCGrad": "harmonized",
}
# Others have one backward pass of the video branch per loss.
_ONE_BACKWARD_PASS = {"hand-written"} | {
    name
    for name, given in LIBRARY.items()
    if "harmonizer" not in given or given.get("compare") == "features"
}
COLUMNS = {
    "case": lambda r: r["case"],
    "f": lambda r: f"{r['video_fraction']:.3f}",
    "step": lambda r: r["scheme"],
    "ms": lambda r: milliseconds(r["seconds"][1]),
    "CPU ms": lambda r: milliseconds(r["cpu_seconds"]),
    "system ms": lambda r: milliseconds(r["system_seconds"]),
    "page faults": lambda r: f"{r['page_faults']:.0f}",
    "time / hand-written": lambda r: spread(r["time_ratios"]["hand-written"]),
    "time / plain": lambda r: spread(r["time_ratios"]["plain"]),
    "FLOP floor": lambda r: "-" if r["floor"] is None else f"{r['floor']:.3f}",
    "peak MiB": lambda r: mebibytes(r["peak_bytes"]),
    "peak / plain": lambda r: _optional(r["peak_ratio"], ".3f"),
    "planned MiB": lambda r: mebibytes(r["compiled_bytes"]),
    "norm difference": lambda r: _optional(r["norm_difference"], ".0e"),
}
NOTE = (
    "The FLOP floor is 1 + 2f/3, the FLOPs of one backward pass per loss through the "
    "video branch, relative to the plain step. A ratio below the floor of its row is "
    "no gain: it means that the step in the denominator is slow."
)


def main():
    arguments = _arguments()
    results, left_out = [], []
    facts = environment()
    for name, case in chosen_cases(arguments).items():
        results += measured_case(name, case, arguments, left_out)
    report = {
        "environment": facts,
        "settings": vars(arguments),
        "results": results,
        "left_out": left_out,
        "note": NOTE,
    }
    write(arguments.output, "step_cost", report, COLUMNS)


def measured_case(name, case, arguments, left_out):
    """Returns the results of all schemes in one case, a list of dicts."""
    batch = random_batch(case)
    facts = {"case": name, "video_fraction": case.video_fraction}
    results = []
    for suffix, makers in _groups(case, batch).items():
        references, own = {}, []
        makers = _chosen(makers, arguments.steps)
        for scheme_name, make in makers.items():
            progress(f"{name}: {scheme_name}{suffix}")
            try:
                scheme = make()
            except ImportError as error:
                left_out.append(f"{scheme_name}: {error}")
                continue
            if scheme_name in ("hand-written", "plain"):
                references[scheme_name] = scheme
            own.append((scheme_name, scheme))
        measures = [
            {**facts, "scheme": scheme_name, **measured(scheme, references, arguments)}
            for scheme_name, scheme in own
        ]
        if not suffix:
            for result, (_, scheme) in zip(measures, own, strict=True):
                result["norm"] = _norm(scheme.gradients())
        results += _completed(measures, case, suffix)
    return results


def measured(scheme, references, arguments):
    """Returns the time and the memory of one scheme."""
    runs = {"own": scheme.run}
    runs |= {name: r.run for name, r in references.items() if r is not scheme}
    for run in list(runs.values()) * 2:
        run()
    usages = interleaved(runs, arguments.rounds)
    own = usages["own"]
    return {
        "seconds": quartiles([usage.seconds for usage in own]),
        "cpu_seconds": _median(own, "cpu_seconds"),
        "system_seconds": _median(own, "system_seconds"),
        "page_faults": _median(own, "page_faults"),
        "time_ratios": {
            name: quartiles(
                [
                    usage.seconds / other.seconds
                    for usage, other in zip(own, usages.get(name, own), strict=True)
                ]
            )
            for name in references
        },
        "peak_bytes": peak_of_step(scheme.run),
        "compiled_bytes": scheme.compiled_bytes,
    }


def _groups(case, batch):
    """Returns functions that create the schemes, by optimizer and by name."""

    def library(optimizer):
        return {
            name: lambda given=given: schemes.train_step(
                vatt(case, optimizer=optimizer, **given), batch
            )
            for name, given in LIBRARY.items()
            if _fits(given.get("num_groups", 1), case)
        }

    def hand_written(adam):
        return {"hand-written": lambda: schemes.hand_written(vatt(case), batch, adam)}

    return {
        "": hand_written(False) | library(None) | schemes.rivals(vatt(case), batch),
        " + Adam": hand_written(True) | library("adam"),
    }


def _fits(num_groups, case):
    return num_groups == "per_clip" or case.batch_size % num_groups == 0


def _completed(results, case, suffix):
    """Adds the floors, the ratios of memory, and the differences of gradients."""
    by_name = {result["scheme"]: result for result in results}
    for name, result in by_name.items():
        result["floor"] = None if name in _ONE_BACKWARD_PASS else case.floor
        peak, of_plain = result["peak_bytes"], by_name["plain"]["peak_bytes"]
        result["peak_ratio"] = peak / of_plain if peak and of_plain else None
        result["norm_difference"] = None
        if name in EQUAL and "norm" in result:
            expected = by_name[EQUAL[name]]["norm"]
            result["norm_difference"] = abs(result["norm"] - expected) / expected
        result["scheme"] = name + suffix
    return results


def _chosen(makers, steps):
    """Leaves the steps that were asked for, and those that ratios refer to."""
    kept = {"hand-written", "plain", *(steps or makers)}
    return {name: make for name, make in makers.items() if name in kept}


def _median(usages, name):
    return statistics.median(getattr(usage, name) for usage in usages)


def _norm(gradients):
    """Returns the norm of a gradient, whatever the order of its parts."""
    squares = (np.square(g.astype("float64")).sum() for g in gradients)
    return float(np.sqrt(sum(squares)))


def _optional(number, form):
    return "-" if number is None else format(number, form)


def _arguments():
    parser = case_parser(__doc__)
    parser.add_argument(
        "--steps", nargs="+", help="names of steps, besides the two references"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
