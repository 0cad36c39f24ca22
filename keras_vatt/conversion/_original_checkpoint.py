"""Reads checkpoints of the original VATT code into models."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_vatt.conversion._errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
)
from keras_vatt.conversion._original_keys import Layout, is_model_key, original_key
from keras_vatt.conversion._tensor_bundle import TensorBundle
from keras_vatt.storage._tensor_names import named_variables

__all__ = [
    "CheckpointMismatchError",
    "DamagedCheckpointError",
    "OriginalCheckpoint",
    "TensorSpec",
    "checkpoint_tensors",
    "load_original_checkpoint",
    "match_variables",
    "read_key_listing",
]


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """The shape and dtype of a tensor in a checkpoint."""

    shape: tuple[int, ...]
    dtype: str


class OriginalCheckpoint:
    """A TensorFlow 2 object checkpoint of the original VATT code.

    Reading it doesn't require TensorFlow; see `TensorBundle`.

    Args:
        prefix: string or path. The checkpoint's files without `.index` and
            `.data-00000-of-00001`; or a folder with one checkpoint.

    Attributes:
        prefix: `pathlib.Path`, the checkpoint's files without their endings.
        specs: dict from key to `TensorSpec`.

    Raises:
        FileNotFoundError: if the checkpoint doesn't exist.
        DamagedCheckpointError: if its files are damaged or incomplete.
    """

    def __init__(self, prefix: str | os.PathLike) -> None:
        self.prefix = _existing_prefix(pathlib.Path(prefix))
        self._bundle = TensorBundle(self.prefix)
        self.specs = {
            key: TensorSpec(tensor.shape, tensor.dtype)
            for key, tensor in self._bundle.tensors.items()
        }

    def read(self, key: str) -> np.ndarray:
        """Reads the tensor of a key.

        Args:
            key: string, a key of `specs`.

        Returns:
            NumPy array.

        Raises:
            DamagedCheckpointError: see `TensorBundle.read`.
        """
        return self._bundle.read(key)


def _existing_prefix(prefix):
    # `os.path.exists` returns `False` for invalid paths, where `pathlib` may raise.
    if os.path.exists(f"{prefix}.index"):
        return prefix
    paths = prefix.glob("*.index") if os.path.isdir(prefix) else []
    names = sorted(path.stem for path in paths)
    if len(names) == 1:
        return prefix / names[0]
    if names:
        raise FileNotFoundError(
            f"The folder '{prefix}' has several checkpoints. Pass the path of one: "
            f"{', '.join(names)}."
        )
    raise FileNotFoundError(
        f"The checkpoint '{prefix}' does not exist: the file '{prefix}.index' is "
        "missing. Pass the path without '.index' or '.data-00000-of-00001'."
    )


def read_key_listing(path: str | os.PathLike) -> dict[str, TensorSpec]:
    """Reads the tensor specs of a checkpoint from a key listing.

    A key listing is a text file with one tensor per line: key, shape and dtype,
    separated by tabs. Lines that begin with `#` are comments.

    Args:
        path: string or path of the file.

    Returns:
        Dict from key to `TensorSpec`.
    """
    specs = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            key, shape, dtype = line.rstrip("\n").split("\t")[:3]
            sizes = [int(size) for size in shape.strip("[]").split(",") if size.strip()]
            specs[key] = TensorSpec(tuple(sizes), dtype)
    return specs


def match_variables(
    model: Any, layout: Layout, specs: dict[str, TensorSpec]
) -> dict[str, keras.Variable]:
    """Finds the checkpoint key of each weight of a model.

    Args:
        model: a `keras_vatt.VATT` or a classifier.
        layout: its layout; see `layout_of`.
        specs: dict from key to `TensorSpec`, the tensors of the checkpoint.

    Returns:
        Dict from key to `keras.Variable`.

    Raises:
        CheckpointMismatchError: if a weight has no tensor in the checkpoint, or one
            with another shape or without a float dtype; or if the checkpoint has a
            model tensor that belongs to no weight.
    """
    wanted = {
        original_key(name, layout): variable
        for name, variable in named_variables(model).items()
    }
    present = {key: spec for key, spec in specs.items() if is_model_key(key, layout)}
    problems = [f"missing: {key}" for key in wanted if key not in present]
    problems += [f"not expected: {key}" for key in present if key not in wanted]
    for key, variable in wanted.items():
        if key not in present:
            continue
        spec = present[key]
        if spec.shape != tuple(variable.shape):
            problems.append(
                f"wrong shape: {key} is {spec.shape}, expected {variable.shape}"
            )
        if not spec.dtype.startswith(("float", "bfloat")):
            problems.append(f"wrong dtype: {key} is {spec.dtype}, expected a float")
    if problems:
        raise CheckpointMismatchError(problems)
    return wanted


def load_original_checkpoint(
    model: Any, layout: Layout, checkpoint: OriginalCheckpoint
) -> None:
    """Loads the weights of an original checkpoint into a model.

    Args:
        model: a `keras_vatt.VATT` or a classifier.
        layout: its layout; see `layout_of`.
        checkpoint: `OriginalCheckpoint`.

    Raises:
        CheckpointMismatchError: see `match_variables`. The model is unchanged then.
        DamagedCheckpointError: if a tensor is damaged or contains NaN or infinity.
    """
    for variable, tensor in checkpoint_tensors(model, layout, checkpoint):
        variable.assign(tensor.read())


def checkpoint_tensors(
    model: Any,
    layout: Layout,
    checkpoint: OriginalCheckpoint,
    progress: bool = False,
) -> list[tuple[keras.Variable, Any]]:
    """Pairs the variables of a model with their tensors in an original checkpoint.

    Args:
        model: a `keras_vatt.VATT` or a classifier.
        layout: its layout; see `layout_of`.
        checkpoint: `OriginalCheckpoint`.
        progress: bool. Whether to show a progress bar while the tensors are read.
            Defaults to `False`.

    Returns:
        List of tuples of variable and tensor. The tensor's `read` method returns a
        NumPy array, and raises a `DamagedCheckpointError` if the tensor is damaged or
        contains NaN or infinity.

    Raises:
        CheckpointMismatchError: see `match_variables`.
    """
    matched = match_variables(model, layout, checkpoint.specs)
    progress_bar = tqdm(
        total=len(matched), desc="Reading", unit="tensor", disable=not progress
    )
    return [
        (variable, _CheckpointTensor(checkpoint, key, progress_bar))
        for key, variable in matched.items()
    ]


class _CheckpointTensor:
    def __init__(self, checkpoint, key, progress_bar):
        self._checkpoint = checkpoint
        self._key = key
        self._progress_bar = progress_bar

    def read(self):
        try:
            value = self._finite_value()
        except ValueError:
            # Otherwise the message would be printed on the line of the progress bar.
            self._progress_bar.close()
            raise
        self._progress_bar.update()
        return value

    def _finite_value(self):
        value = self._checkpoint.read(self._key)
        if not np.isfinite(value).all():
            raise DamagedCheckpointError(
                self._checkpoint.prefix,
                f"tensor {self._key} contains NaN or infinity",
            )
        return value
