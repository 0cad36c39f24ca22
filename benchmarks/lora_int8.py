"""Measures LoRA and int8 on every built-in preset: parameters, output changes, bytes.

    KERAS_BACKEND=jax python benchmarks/lora_int8.py --output results

Each preset gets random weights. LoRA of rank 4 is added to its query and value
projections, and one step of SGD is taken on the features of one short clip. A second
copy is quantized to int8. The columns are:

- trainable: the parameters of the backbone before LoRA, and those that LoRA trains;
- at once: the largest change of a feature by enabling LoRA, relative to the largest
  feature;
- a step: the same for one training step;
- int8: the largest change by int8, and the lowest cosine between a feature vector
  before and after;
- MB: the size of the backbone's weights in float32 and in int8.

Only the presets named in `--full` are built in full. The others get only the first
block of each encoder, so that all presets fit on a small machine. Their widths are
real, but errors do not accumulate over many blocks. Random weights say nothing about
the accuracy of a trained model in int8. Presets that differ only in their heads are
measured once.
"""

import argparse
import json
import re

import keras
import numpy as np
from report import environment, progress, write

import keras_vatt
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetFolder
from keras_vatt.storage import _preset_files as files

_RANK = 4
_RATE = 0.1


class PooledFeatures(keras.Model):
    """The pooled features of all modalities, one after another."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def call(self, inputs, training=None):
        features = [
            self.backbone.encode_modality(m, inputs[m], training, pooled_only=True)
            for m in self.backbone.modalities
        ]
        return keras.ops.concatenate([f["features_pooled"] for f in features], -1)


def main():
    presets = list(describe_presets())
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--presets", nargs="*", choices=presets, default=presets)
    parser.add_argument("--full", nargs="*", choices=presets, default=[])
    arguments = parser.parse_args()
    cases = [(preset, False) for preset in arguments.presets]
    cases += [(preset, True) for preset in arguments.full]
    report = {
        "environment": environment(),
        "settings": {"rank": _RANK, "learning_rate": _RATE, "full": arguments.full},
        "results": [],
    }
    measured = {}
    for preset, is_full in cases:
        backbone = (_backbone_config(preset), is_full)
        if backbone not in measured:
            measured[backbone] = _lora(preset, is_full) | _int8(preset, is_full)
        report["results"].append(
            {"preset": preset, "full": is_full, **measured[backbone]}
        )
        progress(str(report["results"][-1]))
        write(arguments.output, "lora_int8", report, _columns())


def _backbone_config(preset):
    folder = PresetFolder(preset, with_weights=False)
    config = dict(folder.read(files.BACKBONE)["config"])
    config.pop("name", None)
    return json.dumps(config, sort_keys=True)


def _lora(preset, is_full):
    model, inputs = _model_and_inputs(preset, is_full)
    before = _features(model, inputs)
    parameters = sum(np.prod(v.shape) for v in model.trainable_variables)
    model.backbone.enable_lora(_RANK)
    enabled = _features(model, inputs)
    model.compile(keras.optimizers.SGD(_RATE), "mse")
    targets = np.random.default_rng(1).normal(size=before.shape).astype("float32")
    model.train_on_batch(inputs, targets)
    return {
        "parameters": int(parameters),
        "lora_parameters": int(
            sum(np.prod(v.shape) for v in model.trainable_variables)
        ),
        "lora_at_once": _difference(before, enabled),
        "lora_step": _difference(enabled, _features(model, inputs)),
    }


def _int8(preset, is_full):
    model, inputs = _model_and_inputs(preset, is_full)
    before, size = _features(model, inputs), _num_bytes(model.backbone)
    model.backbone.quantize("int8")
    after = _features(model, inputs)
    dims = [model.backbone.feature_dims[m] for m in model.backbone.modalities]
    parts = zip(*(_parts(array, dims) for array in (before, after)), strict=True)
    return {
        "int8_difference": _difference(before, after),
        "int8_cosine": min(_cosine(a, b) for a, b in parts),
        "float_bytes": size,
        "int8_bytes": _num_bytes(model.backbone),
    }


def _model_and_inputs(preset, is_full):
    keras.utils.set_random_seed(0)
    overrides = {} if is_full else _one_block(preset)
    backbone = keras_vatt.models.VATTBackbone.from_preset(
        preset, load_weights=False, dropout=0.0, token_keep_rate=1.0, **overrides
    )
    random = np.random.default_rng(0)
    inputs = {
        "video": random.integers(0, 256, (1, 8, 64, 64, 3), "uint8"),
        "audio": random.uniform(-1, 1, (1, 12_800, 1)).astype("float32"),
        "text": random.integers(1, backbone.vocabulary_size, (1, 16), "int32"),
    }
    inputs = {modality: inputs[modality] for modality in backbone.modalities}
    return PooledFeatures(backbone), inputs


def _one_block(preset):
    """Returns the arguments that keep one block of each encoder of a preset."""
    config = PresetFolder(preset, with_weights=False).read(files.BACKBONE)["config"]
    if "num_layers" in config:
        return {"num_layers": 1}
    return {
        name: value | {"num_layers": 1}
        for name, value in config.items()
        if name.endswith("_encoder") and isinstance(value, dict)
    }


def _features(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False)).astype("float64")


def _difference(before, after):
    return float(np.max(np.abs(before - after)) / np.max(np.abs(before)))


def _parts(array, dims):
    return np.split(array[0], np.cumsum(dims)[:-1])


def _cosine(one, other):
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _num_bytes(backbone):
    bits = (
        int(re.sub(r"\D", "", v.dtype)) * np.prod(v.shape) for v in backbone.weights
    )
    return int(sum(bits)) // 8


def _columns():
    return {
        "preset": lambda r: r["preset"] + ("" if r["full"] else ", one block"),
        "trainable": lambda r: f"{r['parameters']:,}",
        "trainable with LoRA": lambda r: f"{r['lora_parameters']:,}",
        "LoRA at once": lambda r: f"{r['lora_at_once']:.0e}",
        "LoRA, a step": lambda r: f"{r['lora_step']:.1e}",
        "int8 difference": lambda r: f"{r['int8_difference']:.1%}",
        "int8 cosine": lambda r: f"{r['int8_cosine']:.5f}",
        "float MB": lambda r: f"{r['float_bytes'] / 1e6:.1f}",
        "int8 MB": lambda r: f"{r['int8_bytes'] / 1e6:.1f}",
    }


if __name__ == "__main__":
    main()
