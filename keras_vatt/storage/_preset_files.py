"""The files of a preset folder, which may come from a stranger."""

import itertools
import os
import pathlib

from keras_vatt._errors import KerasVATTError
from keras_vatt._untrusted import (
    contained_path,
    read_object,
    read_text,
    regular_file,
)

# The layout of KerasHub, except for the weights.
BACKBONE = "config.json"
TASK = "task.json"
PREPROCESSOR = "preprocessor.json"
VIDEO_CONVERTER = "video_converter.json"
AUDIO_CONVERTER = "audio_converter.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_ASSETS = "assets/tokenizer"
VOCABULARY = f"{TOKENIZER_ASSETS}/vocabulary.txt"
METADATA = "metadata.json"
WEIGHTS_INDEX = "model.safetensors.index.json"
CARD = "README.md"
PLOTS = "plots"

# Far above the sizes in real presets. Larger files could fill the memory.
_MAX_CONFIG_BYTES = 4_000_000
_MAX_PLOT_BYTES = 64_000_000
_MAX_PLOTS = 100


class PresetError(KerasVATTError, ValueError):
    """A preset can't be found, read, written or used."""


def read_json(folder, name):
    """Reads the object in a JSON file of a preset.

    Args:
        folder: `pathlib.Path` of the preset.
        name: string, the relative path of the file.

    Returns:
        Dict; `None` if there is no such file.

    Raises:
        PresetError: if it is not a regular file inside the folder, is too large, or is
            not a JSON object.
    """
    return read_object(folder, name, PresetError, _MAX_CONFIG_BYTES)


def read_card(folder):
    """Reads the card of a preset; returns an empty string if it has none.

    Raises:
        PresetError: if it is not a regular file inside the folder, is too large, or is
            not text.
    """
    return read_text(folder, CARD, PresetError, _MAX_CONFIG_BYTES) or ""


def asset_folder(folder):
    """Returns the path of the tokenizer's assets; `None` if the preset has none.

    Raises:
        PresetError: if it leads out of the preset, or is not a folder.
    """
    path = contained_path(folder, TOKENIZER_ASSETS, PresetError)
    if path is None:
        return None
    if not path.is_dir():
        raise PresetError(f"{str(path)!r} is not a folder")
    return path if any(path.iterdir()) else None


def read_plots(folder):
    """Reads the plots of a preset's card: dict from file name to bytes.

    Raises:
        PresetError: if there are too many, or one is not a regular file inside the
            folder.
    """
    path = contained_path(folder, PLOTS, PresetError)
    if path is None or not path.is_dir():
        return {}
    names = [plot.name for plot in itertools.islice(path.glob("*.png"), _MAX_PLOTS + 1)]
    paths = {
        name: regular_file(folder, f"{PLOTS}/{name}", PresetError)
        for name in sorted(names)
    }
    check_plots({name: plot.stat().st_size for name, plot in paths.items()})
    return {name: plot.read_bytes() for name, plot in paths.items()}


def check_plots(sizes):
    """Refuses too many plots, when a preset is written and when it is read.

    Args:
        sizes: dict from file name to bytes.

    Raises:
        PresetError: if there are too many, or their total size is too large.
    """
    if len(sizes) > _MAX_PLOTS or sum(sizes.values()) > _MAX_PLOT_BYTES:
        raise PresetError(
            f"A preset may have at most {_MAX_PLOTS} plots, with a total of "
            f"{_MAX_PLOT_BYTES:,} bytes. Received: {len(sizes)} plots, with "
            f"{sum(sizes.values()):,} bytes"
        )


def find_folder(path: str | os.PathLike) -> pathlib.Path | None:
    """Finds the folder of a preset.

    Args:
        path: string or path.

    Returns:
        `pathlib.Path`; if a save was killed while it replaced the preset, the path of
        the old one. `None` if there is no folder.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return path
    previous = previous_folder(path.absolute())
    return previous if previous.is_dir() else None


def previous_folder(folder):
    """Returns the path of the old preset while a save replaces the one in `folder`."""
    return folder.with_name(f".{folder.name}.previous")
