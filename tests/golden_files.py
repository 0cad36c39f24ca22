"""Reads the numbers of the original implementation in `tests/golden/`."""

import functools
import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "golden"


@functools.cache
def golden_arrays(path):
    """All arrays of an .npz file, by name."""
    with np.load(FOLDER / path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def golden_config(folder):
    """The `config.json` of a model folder."""
    return json.loads((FOLDER / folder / "config.json").read_text())
