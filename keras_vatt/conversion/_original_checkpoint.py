"""Reads checkpoints of the original VATT code into our models."""

import dataclasses
import os
import pathlib

import numpy as np
from tqdm import tqdm

from keras_vatt.conversion._errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
)
from keras_vatt.conversion._original_keys import is_model_key, original_key
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
    """Shape and dtype of a tensor in a checkpoint."""

    shape: tuple[int, ...]
    dtype: str


class OriginalCheckpoint:
    """A TensorFlow 2 object checkpoint, as the original VATT code wrote it.

    It is read without TensorFlow; see `TensorBundle`.

    Args:
        prefix: string or path. The checkpoint's files without `.index` and
            `.data-00000-of-00001`; or a folder with one checkpoint.

    Attributes:
        specs: dict from key to `TensorSpec`.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        DamagedCheckpointError: if its files are damaged or incomplete.
    """

    def __init__(self, prefix):
        self._bundle = TensorBundle(_existing_prefix(pathlib.Path(prefix)))
        self.specs = {
            key: TensorSpec(tensor.shape, tensor.dtype)
            for key, tensor in self._bundle.tensors.items()
        }

    def read(self, key):
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
    # `os.path`, for which paths that can't be are not there.
    if os.path.exists(f"{prefix}.index"):
        return prefix
    paths = prefix.glob("*.index") if os.path.isdir(prefix) else []
    names = sorted(path.stem for path in paths)
    if len(names) == 1:
        return prefix / names[0]
    if names:
        raise FileNotFoundError(
            f"The folder '{prefix}' has several checkpoints. Give the path of one: "
            f"{', '.join(names)}."
        )
    raise FileNotFoundError(
        f"There is no checkpoint '{prefix}': no file '{prefix}.index'. Give "
        "the path without '.index' or '.data-00000-of-00001'."
    )


def read_key_listing(path):
    """Specs of a checkpoint from a listing: tab-separated key, shape, dtype.

    Args:
        path: path of the file. Lines that begin with `#` are comments.

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


def match_variables(model, layout, specs):
    """Finds the checkpoint key of every weight of a model.

    Args:
        model: a model of ours.
        layout: its layout, as from `model_from_original_config`.
        specs: dict from key to `TensorSpec`: what the checkpoint holds.

    Returns:
        Dict from key to `keras.Variable`.

    Raises:
        CheckpointMismatchError: unless every weight has its tensor, of its shape
            and of a float dtype, and no tensor of a model is left over.
    """
    wanted = {
        original_key(name, layout): variable
        for name, variable in named_variables(model).items()
    }
    present = {key: spec for key, spec in specs.items() if is_model_key(key)}
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


def load_original_checkpoint(model, layout, checkpoint):
    """Copies all weights of an original checkpoint into a model.

    Args:
        model: a model of ours.
        layout: its layout; see `match_variables`.
        checkpoint: an `OriginalCheckpoint`.

    Raises:
        CheckpointMismatchError: see `match_variables`; nothing is copied then.
        DamagedCheckpointError: if the bytes of a tensor are damaged.
        ValueError: if a tensor holds NaN or infinity.
    """
    for variable, tensor in checkpoint_tensors(model, layout, checkpoint):
        variable.assign(tensor.read())


def checkpoint_tensors(model, layout, checkpoint, progress=False):
    """The variables of a model with their tensors in an original checkpoint.

    Args:
        model: a model of ours.
        layout: its layout; see `match_variables`.
        checkpoint: an `OriginalCheckpoint`.
        progress: bool. Whether a progress bar shows how many have been read.
            Defaults to `False`.

    Returns:
        List of tuples of variable and tensor, whose `read` gives a NumPy array and
        raises a `ValueError` if it is damaged or holds NaN or infinity.

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
            # Else the message would be printed behind the bar, on its line.
            self._progress_bar.close()
            raise
        self._progress_bar.update()
        return value

    def _finite_value(self):
        value = self._checkpoint.read(self._key)
        if not np.isfinite(value).all():
            raise ValueError(
                f"Tensor {self._key} of the checkpoint holds NaN or infinity."
            )
        return value
