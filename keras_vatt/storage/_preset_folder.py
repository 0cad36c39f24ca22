"""Finds and reads presets: built-in, in a folder, or on the Hugging Face Hub."""

import importlib.resources
import os
import pathlib
import re
from typing import Any

from keras_vatt._files import checksum
from keras_vatt._untrusted import regular_file
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_limits import MAX_VOCABULARY_BYTES
from keras_vatt.storage._hub import download_preset, is_hub_uri
from keras_vatt.storage._preset_files import PresetError, find_folder, read_json
from keras_vatt.storage._published_cache import cached_preset
from keras_vatt.storage._published_checkpoints import PUBLISHED
from keras_vatt.storage._stored_tensors import (
    StoredTensor,
    stored_tensors,
    weights_files,
)

_BUILT_IN = pathlib.Path(importlib.resources.files("keras_vatt.presets"))


class PresetFolder:
    """A preset folder for reading.

    Args:
        preset: string or path. The name of a built-in preset, a local folder, or
            `hf://owner/name` with an optional `@revision`, which is downloaded.
        with_weights: bool. `False` doesn't download weights. Defaults to `True`.

    Raises:
        PresetError: if there is no such preset.
    """

    def __init__(self, preset: str | os.PathLike, with_weights: bool = True):
        self.name = str(preset)
        self.path = _find(self.name, with_weights)
        if not (self.path / files.BACKBONE).is_file():
            raise PresetError(
                f"{self.name!r} is not a preset: it has no file {files.BACKBONE!r}"
            )

    @property
    def has_weights(self) -> bool:
        """`True` if the folder has weights."""
        return bool(weights_files(self.path))

    @property
    def is_published(self) -> bool:
        """`True` if it is a built-in preset whose weights can be downloaded."""
        return self.path.parent == _BUILT_IN and self.path.name in PUBLISHED

    @property
    def asset_folder(self) -> pathlib.Path | None:
        """Path of the tokenizer's assets; `None` if the preset has none."""
        return files.asset_folder(self.path)

    def read(self, name: str) -> dict[str, Any] | None:
        """Reads the JSON object in a file; returns `None` if there is no such file."""
        return read_json(self.path, name)

    def read_metadata(self) -> dict[str, Any]:
        """Reads the metadata: parameters, checksums, provenance."""
        return self.read(files.METADATA) or {}

    def read_card(self) -> str:
        """Reads the card; returns an empty string if there is none."""
        return files.read_card(self.path)

    def read_plots(self) -> dict[str, bytes]:
        """Reads the plots of the card: dict from file name to bytes."""
        return files.read_plots(self.path)

    def stored_tensors(self) -> dict[str, StoredTensor]:
        """Returns the weights by name, of which only the file headers are read."""
        return stored_tensors(self.path)

    def check_weights(self) -> None:
        """Compares the weights files with their checksums.

        Raises:
            PresetError: if a file differs from its checksum.
        """
        self._check_sums({path.name: path for path in weights_files(self.path)})

    def check_vocabulary(self) -> None:
        """Compares the tokenizer's vocabulary with its checksum, if there is one.

        Raises:
            PresetError: if it differs from its checksum.
        """
        name = files.VOCABULARY
        path = regular_file(self.path, name, PresetError, MAX_VOCABULARY_BYTES)
        if path is not None:
            self._check_sums({name: path})

    def _check_sums(self, paths):
        expected = self.read_metadata().get("sha256")
        if expected is None:
            return
        if not isinstance(expected, dict):
            raise PresetError(
                f"'sha256' in {str(self.path / files.METADATA)!r} is not an object"
            )
        for name, path in paths.items():
            if expected.get(name) not in (None, checksum(path)):
                raise PresetError(
                    f"The file {str(path)!r} is damaged: its checksum differs from the "
                    f"one in {files.METADATA!r}. Download or copy it again."
                )


def built_in_presets() -> list[str]:
    """Returns the names of the presets that come with the package."""
    return sorted(path.parent.name for path in _BUILT_IN.glob(f"*/{files.BACKBONE}"))


def _find(preset, with_weights):
    if is_hub_uri(preset):
        return download_preset(preset, with_weights)
    if re.fullmatch(r"\w+", preset) and (_BUILT_IN / preset).is_dir():
        # A published preset is complete in the cache: weights and vocabulary.
        cached = cached_preset(preset) if preset in PUBLISHED else None
        return cached or _BUILT_IN / preset
    path = find_folder(preset)
    if path is not None:
        return path
    raise PresetError(
        f"There is no preset {preset!r}. Pass a folder, hf://owner/name, or one of: "
        f"{', '.join(built_in_presets())}"
    )
