"""How a preset comes to its folder: whole, or not at all."""

import contextlib
import pathlib
import shutil

import keras

from keras_vatt._files import checksum, scratch_folder
from keras_vatt._os_errors import os_errors_at
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._keras_hub_index import write_keras_hub_index
from keras_vatt.storage._preset_files import PresetError


@contextlib.contextmanager
def write_folder(folder):
    """Make a folder whole or not at all: yields one aside that takes its place.

    Whenever the process is killed, the new or the old preset is there, if need be
    under the name that `find_folder` knows. The folder aside, `.NAME-*`, that a killed
    save has left is removed by the next one.

    Args:
        folder: string or path. It may be missing, empty or an earlier preset,
            which is replaced.

    Raises:
        PresetError: if the folder holds something else.
        OSError: if it can't be written, whichever library writes. It names `folder`.

    Example:
    ```python
    with write_folder("my_preset") as partial:
        (partial / "config.json").write_text("{}")
    ```
    """
    folder = pathlib.Path(folder).absolute()
    with os_errors_at(folder):
        _check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        previous = _previous(folder)
        if previous.exists() and not folder.exists():
            previous.rename(folder)  # A save was killed between its two renames.
        with scratch_folder(folder.parent, f".{folder.name}-", ("new",)) as aside:
            partial = aside / "new"
            partial.mkdir()
            yield partial
            shutil.rmtree(previous, ignore_errors=True)
            if folder.exists():
                folder.rename(previous)
            partial.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)


def find_folder(path):
    """The folder of a preset, `None` if there is none.

    Args:
        path: string or path.

    Returns:
        `pathlib.Path`; where a save was killed in the moment of replacing a preset,
        that of the old one.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return path
    previous = _previous(path.absolute())
    return previous if previous.is_dir() else None


def write_configs(folder, backbone, task=None, preprocessor=None):
    """Write the configs and the tokenizer of a preset into an empty folder.

    Args:
        folder: `pathlib.Path`, see `write_folder`.
        backbone: the backbone.
        task: the model around it. Defaults to `None`.
        preprocessor: its preprocessor. Defaults to `None`.
    """
    _write_object(backbone, folder / files.BACKBONE)
    if task is not None:
        _write_object(task, folder / files.TASK, without=("backbone", "preprocessor"))
    if preprocessor is None:
        return
    _write_object(preprocessor, folder / files.PREPROCESSOR)
    _write_object(preprocessor.video_converter, folder / files.VIDEO_CONVERTER)
    _write_object(preprocessor.audio_converter, folder / files.AUDIO_CONVERTER)
    tokenizer = preprocessor.tokenizer
    if tokenizer is not None:
        _write_object(tokenizer, folder / files.TOKENIZER)
        if tokenizer.vocabulary is not None:
            (folder / files.TOKENIZER_ASSETS).mkdir(parents=True)
            tokenizer.save_assets(str(folder / files.TOKENIZER_ASSETS))


def write_metadata(folder, model, weights, provenance):
    """Write what a preset says of itself, and where KerasHub finds its weights.

    Args:
        folder: `pathlib.Path`, see `write_folder`.
        model: the model, for its number of parameters.
        weights: list of the paths of its weights files, whose checksums are kept.
        provenance: dict of what is known of the weights.
    """
    metadata = {
        "keras_version": keras.__version__,
        "parameters": model.count_params(),
        "sha256": _checksums(folder, weights),
        "provenance": provenance,
    }
    files.write_json(metadata, folder / files.METADATA)
    if weights:
        write_keras_hub_index(folder, weights)


def _checksums(folder, weights):
    names = [path.name for path in weights]
    if (folder / files.VOCABULARY).is_file():
        names.append(files.VOCABULARY)
    return {name: checksum(folder / name) for name in names}


def _write_object(instance, path, without=()):
    config = keras.saving.serialize_keras_object(instance)
    for name in without:
        config["config"].pop(name, None)
    for node in _objects(config):
        for name in ("build_config", "compile_config"):
            node.pop(name, None)
        if node["class_name"] == "VATTTokenizer":
            node["config"]["vocabulary"] = None  # It is among the assets.
    files.write_json(config, path)


def _objects(config):
    """All serialised objects in a config, itself included."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for entry in config.values():
            yield from _objects(entry)


def _check_replaceable(folder):
    holds_something = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if holds_something and not (folder / files.METADATA).is_file():
        raise PresetError(
            f"{str(folder)!r} holds something that is no preset: choose another folder"
        )


def _previous(folder):
    return folder.with_name(f".{folder.name}.previous")
