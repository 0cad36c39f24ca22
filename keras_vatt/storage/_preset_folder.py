"""A preset to read from: built in, in a folder, or on the Hugging Face Hub."""

import importlib.resources
import pathlib
import re

from keras_vatt._files import checksum
from keras_vatt._untrusted import regular_file
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_limits import MAX_VOCABULARY_BYTES
from keras_vatt.storage._hub import download_preset, is_hub_uri
from keras_vatt.storage._preset_files import PresetError, read_json
from keras_vatt.storage._preset_writer import find_folder
from keras_vatt.storage._safetensors_weights import stored_tensors, weights_files

_BUILT_IN = pathlib.Path(importlib.resources.files("keras_vatt.presets"))


class PresetFolder:
    """A preset folder to read from.

    Args:
        preset: string or path. The name of a built-in preset, a local folder, or
            `hf://owner/name` with an optional `@revision`, which is downloaded.
        with_weights: bool. `False` leaves weights on the Hub. Defaults to `True`.

    Raises:
        PresetError: if there is no such preset, or it isn't one.
    """

    def __init__(self, preset, with_weights=True):
        self.name = str(preset)
        self.path = _find(self.name, with_weights)
        if not (self.path / files.BACKBONE).is_file():
            raise PresetError(
                f"{self.name!r} is no preset: it has no file {files.BACKBONE!r}"
            )

    @property
    def has_weights(self):
        """Whether the preset comes with weights, a bool."""
        return bool(weights_files(self.path))

    @property
    def asset_folder(self):
        """Path of the tokenizer's assets, `None` if the preset has none."""
        return files.asset_folder(self.path)

    def read(self, name):
        """The config in a file of the preset, a dict; `None` without that file."""
        return read_json(self.path, name)

    def read_metadata(self):
        """What the preset says of itself, a dict."""
        return self.read(files.METADATA) or {}

    def read_card(self):
        """The text of its card; empty if it has none."""
        return files.read_card(self.path)

    def read_plots(self):
        """The pictures of its card: dict from file name to bytes."""
        return files.read_plots(self.path)

    def stored_tensors(self):
        """Its weights by name; see `_safetensors_weights.py`."""
        return stored_tensors(self.path)

    def check_weights(self):
        """Compare the weights with their checksums.

        Raises:
            PresetError: if a file is not as it was saved.
        """
        self._check_sums({path.name: path for path in weights_files(self.path)})

    def check_vocabulary(self):
        """Compare the tokenizer's vocabulary with its checksum, if it has one.

        Raises:
            PresetError: if it is not as it was saved.
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
                f"The checksums in {str(self.path / files.METADATA)!r} are no object"
            )
        for name, path in paths.items():
            if expected.get(name) not in (None, checksum(path)):
                raise PresetError(
                    f"The file {str(path)!r} is damaged: its checksum is not the one "
                    f"in {files.METADATA!r}. Download or copy it again."
                )


def built_in_presets():
    """Names of the presets that come with the package, a list of strings."""
    return sorted(path.parent.name for path in _BUILT_IN.glob(f"*/{files.BACKBONE}"))


def _find(preset, with_weights):
    if is_hub_uri(preset):
        return download_preset(preset, with_weights)
    if re.fullmatch(r"\w+", preset) and (_BUILT_IN / preset).is_dir():
        return _BUILT_IN / preset
    path = find_folder(preset)
    if path is not None:
        return path
    raise PresetError(
        f"There is no preset {preset!r}. Give a folder, hf://owner/name, or one of: "
        f"{', '.join(built_in_presets())}"
    )
