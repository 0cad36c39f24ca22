"""Compares the time of `VATT.encode` with plain code of the backend.

Run once for each backend:

    KERAS_BACKEND=torch python benchmarks/encode_cost.py --output results

`hand-written` exists on PyTorch: a module of `plain_torch.py`, which uses no Keras.
"""

import keras
import numpy as np
from cases import case_parser, chosen_cases, random_batch, vatt
from measurement import interleaved, quartiles
from report import environment, milliseconds, progress, spread, write

COLUMNS = {
    "case": lambda r: r["case"],
    "code": lambda r: r["code"],
    "ms": lambda r: milliseconds(r["seconds"][1]),
    "CPU ms": lambda r: milliseconds(r["cpu_seconds"][1]),
    "page faults": lambda r: f"{r['page_faults'][1]:.0f}",
    "time / encode": lambda r: spread(r["time_ratio"]),
    "CPU / encode": lambda r: spread(r["cpu_ratio"]),
}


def main():
    arguments = case_parser(__doc__).parse_args()
    facts = environment()
    results = []
    for name, case in chosen_cases(arguments).items():
        progress(name)
        results += measured_case(name, case, arguments.rounds)
    report = {"environment": facts, "settings": vars(arguments), "results": results}
    write(arguments.output, "encode_cost", report, COLUMNS)


def measured_case(name, case, num_rounds):
    """Returns the results of all ways to encode one batch, a list of dicts."""
    model, batch = vatt(case), random_batch(case)
    runs = {
        "encode": lambda: model.encode(**batch, batch_size=case.batch_size),
        "encode, all tokens": lambda: model.encode(
            **batch, batch_size=case.batch_size, all_tokens=True
        ),
    }
    if keras.config.backend() == "torch":
        runs["hand-written"] = _hand_written(model, batch)
    _check_equal(runs)
    usages = interleaved(runs, num_rounds)
    return [
        {"case": name, "code": code} | _measures(own, usages["encode"])
        for code, own in usages.items()
    ]


def _measures(own, reference):
    pairs = list(zip(own, reference, strict=True))
    return {
        "seconds": quartiles([usage.seconds for usage in own]),
        "cpu_seconds": quartiles([usage.cpu_seconds for usage in own]),
        "page_faults": quartiles([usage.page_faults for usage in own]),
        "time_ratio": quartiles([a.seconds / b.seconds for a, b in pairs]),
        "cpu_ratio": quartiles([a.cpu_seconds / b.cpu_seconds for a, b in pairs]),
    }


def _hand_written(model, batch):
    import torch
    from plain_torch import PlainVATT

    plain = PlainVATT(model).eval()

    def run():
        with torch.no_grad():
            tensors = {name: torch.as_tensor(value) for name, value in batch.items()}
            pooled = plain(tensors)
            pairs = plain.embeddings(pooled)
        (to_audio, audio), (to_text, text) = pairs
        outputs = {
            "video": {"to_audio": to_audio, "to_text": to_text},
            "audio": {"to_video": audio},
            "text": {"to_video": text},
        }
        for name, rows in pooled.items():
            outputs[name]["features_pooled"] = rows
        return keras.tree.map_structure(lambda rows: rows.numpy(), outputs)

    return run


def _check_equal(runs):
    """Runs everything twice; the first run compiles."""
    expected = runs["encode"]()
    for run in list(runs.values()) * 2:
        outputs = run()
        for modality, rows_by_name in expected.items():
            for name, rows in rows_by_name.items():
                actual = outputs[modality][name]
                np.testing.assert_allclose(actual, rows, rtol=1e-3, atol=1e-4)


if __name__ == "__main__":
    main()
