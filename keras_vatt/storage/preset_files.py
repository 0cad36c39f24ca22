"""The files of a preset folder, read as what a stranger may have written."""

import json
import pathlib

# KerasHub's layout, but for the weights.
BACKBONE = "config.json"
TASK = "task.json"
PREPROCESSOR = "preprocessor.json"
VIDEO_CONVERTER = "video_converter.json"
AUDIO_CONVERTER = "audio_converter.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_ASSETS = "assets/tokenizer"
METADATA = "metadata.json"
WEIGHTS_INDEX = "model.safetensors.index.json"
CARD = "README.md"
PLOTS = "plots"

# Far above what a real preset has; a reader of more would fill the memory.
_MAX_CONFIG_BYTES = 4_000_000
_MAX_ASSET_BYTES = 64_000_000


class PresetError(ValueError):
    """A preset that can't be found, read, written or used as asked."""


def contained(folder, name):
    """Path of a file of a preset, which must not lead out of its folder.

    Args:
        folder: `pathlib.Path` of the preset.
        name: string, the relative path of the file.

    Returns:
        `pathlib.Path`, whether the file is there or not.

    Raises:
        PresetError: if a link leads out of the folder, or the file is none.
    """
    path = folder / name
    resolved, root = path.resolve(), folder.resolve()
    # The client of the Hub keeps files in `blobs`, beside the `snapshots` of links.
    blobs = root.parent.parent / "blobs"
    in_cache = root.parent.name == "snapshots" and resolved.is_relative_to(blobs)
    if not resolved.is_relative_to(root) and not in_cache:
        raise PresetError(f"{str(path)!r} leads out of the folder of its preset")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise PresetError(f"{str(path)!r} is no regular file")
    return path


def read_json(folder, name):
    """The object in a JSON file of a preset.

    Args:
        folder: `pathlib.Path` of the preset.
        name: string, the relative path of the file.

    Returns:
        Dict; `None` if there is no such file.

    Raises:
        PresetError: if the file is too large or holds no JSON object.
    """
    path = contained(folder, name)
    if not path.is_file():
        return None
    _check_size(path, _MAX_CONFIG_BYTES)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PresetError(f"{str(path)!r} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise PresetError(f"{str(path)!r} can't be read: it holds no object")
    return content


def read_text(folder, name):
    """The text of a file of a preset; empty if there is no such file.

    Raises:
        PresetError: if the file is too large or no text.
    """
    path = contained(folder, name)
    if not path.is_file():
        return ""
    _check_size(path, _MAX_CONFIG_BYTES)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise PresetError(f"{str(path)!r} can't be read: {error}") from error


def write_json(content, path):
    """Write an object to a JSON file."""
    text = json.dumps(content, indent=4)
    pathlib.Path(path).write_text(text + "\n", encoding="utf-8")


def asset_folder(folder):
    """Path of the tokenizer's assets, `None` if the preset has none.

    Raises:
        PresetError: if a file is too large or leads out of the folder.
    """
    path = contained(folder, TOKENIZER_ASSETS)
    if not path.is_dir() or not any(path.iterdir()):
        return None
    for asset in path.iterdir():
        _check_size(contained(folder, f"{TOKENIZER_ASSETS}/{asset.name}"))
    return path


def read_plots(folder):
    """The pictures of a preset's card: dict from file name to bytes."""
    path = contained(folder, PLOTS)
    if not path.is_dir():
        return {}
    plots = {}
    for plot in sorted(path.glob("*.png")):
        _check_size(contained(folder, f"{PLOTS}/{plot.name}"))
        plots[plot.name] = plot.read_bytes()
    return plots


def _check_size(path, limit=_MAX_ASSET_BYTES):
    size = path.stat().st_size
    if size > limit:
        raise PresetError(
            f"{str(path)!r} has {size:,} bytes, more than the {limit:,} that such a "
            "file of a preset may have"
        )
