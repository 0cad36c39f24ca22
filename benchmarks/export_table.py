"""Compares exported towers in their runtimes with the model: difference and file size.

Run once for each backend:

    KERAS_BACKEND=tensorflow python benchmarks/export_table.py --output results

Presets without weights get random weights.
"""

import argparse
import pathlib
import tempfile

import keras
import numpy as np
from report import environment, mebibytes, progress, write

import keras_vatt
from keras_vatt.exporting import FORMATS, run_artifact

_SUFFIXES = {"litert": ".tflite", "onnx": ".onnx", "torch": ".pt2"}
COLUMNS = {
    "preset": lambda r: r["preset"],
    "tower": lambda r: r["tower"],
    "format": lambda r: r["format"],
    "max abs difference": lambda r: f"{r['absolute']:.1e}",
    "max relative difference": lambda r: f"{r['relative']:.1e}",
    "MiB": lambda r: mebibytes(r["bytes"]),
}


def main():
    arguments = _arguments()
    facts = environment()
    formats = [f for f, names in FORMATS.items() if keras.config.backend() in names]
    results = [
        result
        for preset in arguments.presets
        for result in _compared(preset, arguments.towers, formats)
    ]
    report = {"environment": facts, "settings": vars(arguments), "results": results}
    write(arguments.output, arguments.name, report, COLUMNS)


def _compared(preset, towers, formats):
    keras.utils.set_random_seed(0)
    model = keras_vatt.VATT.from_preset(preset, load_weights="tiny_agnostic" in preset)
    for modality in towers:
        tower = model.tower(modality)
        clips = _clips(tower, model.backbone)
        expected = {k: keras.ops.convert_to_numpy(v) for k, v in tower(clips).items()}
        for format in formats:
            progress(f"{preset} {modality} {format}")
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / f"tower{_SUFFIXES.get(format, '')}"
                tower.export(path, format)
                outputs = run_artifact(format, path, {modality: clips})
                size = _size(path)
            absolute, relative = _differences(outputs, expected)
            yield {
                "preset": preset,
                "tower": modality,
                "format": format,
                "absolute": absolute,
                "relative": relative,
                "bytes": size,
            }


def _differences(outputs, expected):
    """Returns the largest difference of each output, relative to its largest value."""
    absolute = {k: float(np.abs(outputs[k] - v).max()) for k, v in expected.items()}
    relative = {k: absolute[k] / float(np.abs(v).max()) for k, v in expected.items()}
    return max(absolute.values()), max(relative.values())


def _clips(tower, backbone, number=2):
    random = np.random.default_rng(0)
    shape = (number, *tower.clip_shape)
    if tower.modality == "video":
        return random.integers(0, 256, shape, dtype="uint8")
    if tower.modality == "text":
        return random.integers(1, backbone.vocabulary_size, shape, dtype="int32")
    return random.uniform(-1, 1, shape).astype("float32")


def _size(path):
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--name", default="export_table", help="name of the report")
    parser.add_argument(
        "--presets", nargs="+", default=["vatt_tiny_agnostic", "vatt_tiny_specific"]
    )
    parser.add_argument("--towers", nargs="+", default=["video", "audio", "text"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
