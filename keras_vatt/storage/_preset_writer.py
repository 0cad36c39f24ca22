"""Writes preset folders atomically."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

import keras

from keras_vatt._files import checksum, is_free_folder, scratch_folder, write_json
from keras_vatt._os_errors import os_errors_at
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_guard import TOKENIZERS
from keras_vatt.storage._keras_hub_index import write_keras_hub_index
from keras_vatt.storage._preset_files import PresetError


@contextlib.contextmanager
def write_folder(folder: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Writes a folder atomically: yields a temporary folder that then replaces it.

    If the process is killed at any point, either the new or the old preset is complete;
    `find_folder` finds it. The temporary folder `.NAME-*` of a killed save is removed
    by the next save.

    Args:
        folder: string or path. It must be missing, empty or an earlier preset, which is
            replaced.

    Raises:
        PresetError: if the folder holds anything else.
        OSError: if it can't be written. The error names `folder`.

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
        previous = files.previous_folder(folder)
        if previous.exists() and not folder.exists():
            previous.rename(folder)  # A save was killed between the renames below.
        with scratch_folder(folder.parent, f".{folder.name}-", ("new",)) as aside:
            partial = aside / "new"
            partial.mkdir()
            yield partial
            shutil.rmtree(previous, ignore_errors=True)
            if folder.exists():
                folder.rename(previous)
            partial.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)


def write_configs(folder, backbone, task=None, preprocessor=None):
    """Writes the configs and the tokenizer of a preset into an empty folder.

    Args:
        folder: `pathlib.Path`, see `write_folder`.
        backbone: the backbone.
        task: the task of the backbone. Defaults to `None`.
        preprocessor: the preprocessor of the task. Defaults to `None`.
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
    """Writes the metadata of a preset, and the index of its weights for KerasHub.

    Args:
        folder: `pathlib.Path`, see `write_folder`.
        model: the model, for its number of parameters.
        weights: list of the paths of its weights files, whose checksums are stored.
        provenance: dict, see `Provenance.get_config`.
    """
    metadata = {
        "keras_version": keras.__version__,
        "parameters": model.count_params(),
        "sha256": _checksums(folder, weights),
        "provenance": provenance,
    }
    write_json(folder / files.METADATA, metadata)
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
        if node["class_name"] in TOKENIZERS:
            node["config"]["vocabulary"] = None  # It is stored in the assets.
    write_json(path, config)


def _objects(config):
    """Yields all serialized objects in a config, including itself."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for entry in config.values():
            yield from _objects(entry)


def _check_replaceable(folder):
    if not is_free_folder(folder) and not (folder / files.METADATA).is_file():
        raise PresetError(
            f"{str(folder)!r} is not empty and not a preset: choose another folder"
        )
