"""Loads, runs, saves and reloads every built-in preset on every backend.

    python benchmarks/preset_table.py --output results --presets vatt_tiny_agnostic

A preset without weights first gets random weights. On each backend, a process loads the
preset, saves it, and runs one clip of the preset's size through the model. Then one
process per backend loads what the others saved. After each load, all tensors are
compared with the file bit by bit. So all backends have the same weights. The difference
of outputs is the maximum between a backend and the others, relative to the largest
value of the output. Failures are reported in the table and do not stop the benchmark.

The processes run one after another, and the folders of a preset are deleted after use.
The time of a forward pass is that of the first one, including compilation. The report
is updated after each preset. All presets take more than an hour on two CPU cores.
"""

import argparse
import gc
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from functools import partial

import keras
import numpy as np
import safetensors
from report import environment, progress, write

import keras_vatt
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetFolder, named_variables
from keras_vatt.storage._stored_tensors import weights_files

_BACKENDS = ("jax", "tensorflow", "torch")
_MAKER = "torch"  # The fastest backend for creating random weights.


def main():
    arguments = _arguments()
    steps = {"make": _make, "use": _use, "load": _load}
    if arguments.step:
        steps[arguments.step](arguments.presets[0], pathlib.Path(arguments.folder))
    else:
        _measure(arguments.presets, arguments.output)


def _measure(presets, output):
    facts = environment() | {"backend": "all"}
    report = {"environment": facts, "settings": {"presets": presets}, "results": []}
    for preset in presets:
        with tempfile.TemporaryDirectory() as folder:
            report["results"].append(_row(preset, pathlib.Path(folder)))
        report["left_out"] = [text for r in report["results"] for text in _errors(r)]
        write(output, "preset_table", report, _columns())


def _row(preset, folder):
    """Returns the results for a preset, a dict."""
    row = {"preset": preset, "made": {}, "backends": {}, "elsewhere": {}}
    if not describe_presets()[preset]["has_weights"]:
        row["made"][_MAKER] = _run(_MAKER, "make", preset, folder)
    for backend in _BACKENDS:
        row["backends"][backend] = _run(backend, "use", preset, folder)
    for backend in _BACKENDS:
        row["elsewhere"][backend] = _run(backend, "load", preset, folder)
    row["differences"] = {backend: _worst(folder, backend) for backend in _BACKENDS}
    return row


def _run(backend, step, preset, folder):
    """Returns what a process reports, and the error that ended it, if any."""
    command = [sys.executable, __file__, "--step", step]
    command += ["--presets", preset, "--folder", str(folder)]
    variables = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    facts = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        facts["error"] = f"{last[0]} (exit code {done.returncode})"
    progress(f"{preset}: {step} on {backend}: {facts}")
    return facts


def _make(preset, folder):
    """Creates random weights; the main function of a process."""
    keras.utils.set_random_seed(0)
    model = _class(preset).from_preset(preset, load_weights=False)
    model.save_to_preset(folder / "made")


def _use(preset, folder):
    """Loads a preset, saves it and runs a clip; the main function of a process."""
    has_weights = describe_presets()[preset]["has_weights"]
    source = preset if has_weights else folder / "made"
    target = folder / keras.config.backend()
    model = _timed("load", lambda: _class(preset).from_preset(source))
    _say(exact=_is_exact(model, PresetFolder(source).path))
    _timed("save", lambda: model.save_to_preset(target))
    _say(saved_exact=_is_exact(model, target))
    outputs = _timed("forward", lambda: _outputs(model))
    np.savez(target.with_suffix(".npz"), **outputs)


def _load(preset, folder):
    """Loads what the other backends saved; the main function of a process."""
    for backend in _BACKENDS:
        if backend == keras.config.backend():
            continue
        try:
            start = time.perf_counter()
            model = _class(preset).from_preset(folder / backend)
            seconds = time.perf_counter() - start
            exact = _is_exact(model, folder / backend)
            _say(**{backend: {"load": seconds, "exact": exact}})
        except Exception as error:  # The other backend's preset may still load.
            _say(**{backend: {"error": repr(error)}})
        model = None
        gc.collect()


def _class(preset):
    return getattr(keras_vatt, describe_presets()[preset]["class"])


def _timed(step, run):
    start = time.perf_counter()
    value = run()
    _say(**{step: time.perf_counter() - start})
    return value


def _say(**facts):
    """Reports to the parent process at once, so that a later crash loses nothing."""
    print(json.dumps(facts), flush=True)


def _is_exact(model, folder):
    """Returns whether the tensors of a model are those of the files, bit by bit."""
    variables = named_variables(model)
    for path in weights_files(folder):
        with safetensors.safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118
                stored = file.get_tensor(name)
                own = keras.ops.convert_to_numpy(variables.pop(name).value)
                if (own.dtype, own.shape) != (stored.dtype, stored.shape):
                    return False
                if own.tobytes() != stored.tobytes():
                    return False
    return not variables


def _outputs(model):
    """Returns all outputs of a model for a clip: dict from name to array."""
    inputs = _random_clip(model)
    if getattr(model, "modality", None):
        return {"logits": model.predict_on_batch(inputs[model.modality])}
    return {
        f"{modality}_{name}": array
        for modality, outputs in model.predict_on_batch(inputs).items()
        for name, array in outputs.items()
    }


def _random_clip(model):
    """Returns one clip of the model's size, always the same."""
    random = np.random.default_rng(0)
    spec, backbone = model.preprocessor.clip_spec, model.backbone
    clip = {
        "video": random.integers(0, 256, (1, *spec.video_shape), "uint8"),
        "audio": random.uniform(-1, 1, (1, spec.audio_samples, 1)).astype("float32"),
    }
    if "text" in backbone.modalities:
        words = (1, model.preprocessor.tokenizer.sequence_length)
        clip["text"] = random.integers(1, backbone.vocabulary_size, words, "int32")
    return {modality: clip[modality] for modality in backbone.modalities}


def _worst(folder, backend):
    """Returns the largest output difference to other backends, or `None`."""
    paths = [folder / f"{name}.npz" for name in (backend, *_BACKENDS)]
    if not all(path.exists() for path in paths):
        return None
    own, *others = (dict(np.load(path)) for path in paths)
    if any(set(other) != set(own) for other in others):
        return None
    differences = [
        np.max(np.abs(own[name] - other[name])) / np.max(np.abs(own[name]))
        for other in others
        for name in own
    ]
    return float(np.max(differences))


def _columns():
    columns = {"preset": lambda r: r["preset"]}
    for backend in _BACKENDS:
        for step in ("load", "forward", "save"):
            columns[f"{backend}: {step}, s"] = partial(_seconds, backend, step)
        columns["exact elsewhere, output difference, " + backend] = partial(
            _elsewhere, backend
        )
    return columns


def _seconds(backend, step, row):
    facts = row["backends"][backend]
    if step not in facts:
        return "failed"
    exact = {"load": "exact", "save": "saved_exact"}.get(step)
    return f"{facts[step]:.1f}" + ("" if facts.get(exact, True) else ", not exact")


def _elsewhere(backend, row):
    """Returns whether other backends load a preset exactly, and the difference."""
    loaded = [row["elsewhere"][b].get(backend, {}) for b in _BACKENDS if b != backend]
    exact = "yes" if all(facts.get("exact") for facts in loaded) else "no"
    difference = row["differences"][backend]
    return f"{exact}, {'failed' if difference is None else f'{difference:.0e}'}"


def _errors(row):
    """Returns the failures in a row, a list of strings."""
    for step in ("made", "backends", "elsewhere"):
        for backend, facts in row[step].items():
            for where, found in {step: facts, **facts}.items():
                if isinstance(found, dict) and "error" in found:
                    yield f"{row['preset']}, {backend}, {where}: {found['error']}"


def _arguments():
    presets = list(describe_presets())
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument(
        "--presets", nargs="+", choices=presets, default=presets, metavar="PRESET"
    )
    # Options of the measured processes.
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
