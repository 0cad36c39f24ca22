"""Makes presets from the checkpoints that the authors of VATT published."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import pathlib
import posixpath
import shutil
from collections.abc import Sequence
from typing import Any

from keras_vatt._files import check_free_space
from keras_vatt.conversion._bundle_index import (
    MAX_INDEX_BYTES,
    DamagedIndexError,
    read_index,
    shard_sizes,
)
from keras_vatt.conversion._convert import converted_model, set_vocabulary
from keras_vatt.conversion._errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
)
from keras_vatt.conversion._original_checkpoint import (
    OriginalCheckpoint,
    TensorSpec,
    match_variables,
)
from keras_vatt.conversion._original_keys import Layout
from keras_vatt.conversion._published_vocabulary import fetch_vocabulary
from keras_vatt.conversion._sorted_table import DamagedTableError
from keras_vatt.models import VATTTokenizer
from keras_vatt.models._preset_task import load_task
from keras_vatt.storage import PresetError, PresetFolder
from keras_vatt.storage._download import DownloadError, download, incomplete_path
from keras_vatt.storage._memory_size import release_memory
from keras_vatt.storage._provenance import Provenance
from keras_vatt.storage._published_cache import (
    cache_lock,
    cached_preset,
    checkpoint_folder,
    preset_folder,
)
from keras_vatt.storage._published_checkpoints import AUTHORS, PUBLISHED
from keras_vatt.storage._weights_address import (
    BROWSER,
    PUBLIC,
    VARIABLE,
    weights_address,
)

# Errors of checkpoints that were altered, or damaged on their way.
_DAMAGES = (DamagedIndexError, DamagedTableError, DamagedCheckpointError)
_SHARD = ".data-00000-of-00001"
# A shard may have padding after its last tensor.
_MAX_PADDING = 2**20


def fetch_preset(
    name: str,
    vocabulary: Sequence[str] | str | os.PathLike | None = None,
    address: str | None = None,
    keep_checkpoint: bool = False,
) -> pathlib.Path:
    """Downloads and converts a published checkpoint, unless it is in the cache.

    `from_preset` calls it for built-in presets without weights. The checkpoint is
    checked against the sizes and checksums in its index, and against the names and
    shapes of the preset's weights. The result is an ordinary preset in the assets
    folder of `huggingface_hub`; see `HF_HOME`. A second process that wants the same
    preset waits for the first.

    Args:
        name: string, the name of a built-in preset with a published checkpoint.
        vocabulary: list of words, or path of a file with one word per line. Defaults
            to `None`: the authors' vocabulary, if it can be downloaded. Without a
            vocabulary, the preset accepts only word ids as text.
        address: string, the base address of the published files. Defaults to `None`:
            the environment variable `KERAS_VATT_WEIGHTS_URL`, or else the authors'
            public storage.
        keep_checkpoint: bool. Whether to keep the files of the checkpoint in the cache.
            Defaults to `False`.

    Returns:
        `pathlib.Path` of the preset.

    Raises:
        PresetError: if there is no such published checkpoint, it can't be downloaded,
            it is damaged or altered, or the cache can't be written to.
        FileNotFoundError: if there is no such vocabulary.
        ValueError: if the vocabulary is invalid.

    Example:
    ```python
    from keras_vatt.conversion import fetch_preset

    folder = fetch_preset("vatt_vit_base_kinetics400")
    model = keras_vatt.VATTVideoClassifier.from_preset(folder)
    ```
    """
    check_published(name)
    source = _Source(name, weights_address(address))
    if vocabulary is not None:
        # An invalid vocabulary shall fail before the download.
        vocabulary = VATTTokenizer(vocabulary).get_vocabulary()
    with source.explained_errors(), cache_lock(name), source.cleaned_after_errors():
        if cached_preset(name) is None:
            _make_preset(source, vocabulary)
        elif vocabulary is not None:
            _replace_vocabulary(name, vocabulary)
        if not keep_checkpoint:
            shutil.rmtree(checkpoint_folder(name), ignore_errors=True)
    release_memory()
    return cached_preset(name)


def check_published(name: str) -> None:
    """Raises a `PresetError` unless a preset has a published checkpoint."""
    if name not in PUBLISHED:
        names = difflib.get_close_matches(name, PUBLISHED) or sorted(PUBLISHED)
        raise PresetError(
            f"No checkpoint of {name!r} was published. Choose one of: "
            f"{', '.join(names)}"
        )


def _make_preset(source, vocabulary):
    model = converted_model(source.name, source.open_checkpoint, progress=True)
    backbone = model.backbone
    if vocabulary is None and "text" in backbone.modalities:
        vocabulary = fetch_vocabulary(source.address, backbone.vocabulary_size)
    if vocabulary is not None:
        set_vocabulary(model, vocabulary)
    model.provenance = source.provenance()
    release_memory()
    model.save_to_preset(preset_folder(source.name))


def _replace_vocabulary(name, vocabulary):
    model = load_task(cached_preset(name))
    set_vocabulary(model, vocabulary)
    model.save_to_preset(preset_folder(name))


@dataclasses.dataclass(frozen=True)
class _Source:
    """The published checkpoint of a preset: its addresses, files and errors."""

    name: str
    address: str

    @property
    def url(self):
        return f"{self.address}/{PUBLISHED[self.name].path}"

    @property
    def prefix(self):
        return checkpoint_folder(self.name) / posixpath.basename(self.url)

    @property
    def _shard(self):
        return pathlib.Path(f"{self.prefix}{_SHARD}")

    def open_checkpoint(self, model: Any, layout: Layout) -> OriginalCheckpoint:
        """Downloads the checkpoint, of which the index is checked first."""
        folder = checkpoint_folder(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        index = pathlib.Path(f"{self.prefix}.index")
        shard = self._shard
        if not (index.exists() and shard.exists()):
            download(f"{self.url}.index", index, MAX_INDEX_BYTES)
            tensors = read_index(self.prefix, with_shards=False)
            match_variables(model, layout, _specs(tensors))
            size = _size_of_only_shard(shard, tensors)
            # The preset takes at most as much space again.
            check_free_space(folder, 2 * size - _size(incomplete_path(shard)))
            download(f"{self.url}{_SHARD}", shard, size + _MAX_PADDING)
        return OriginalCheckpoint(self.prefix)

    def provenance(self):
        """Returns the provenance of the built-in preset with the download added."""
        metadata = PresetFolder(self.name, with_weights=False).read_metadata()
        provenance = Provenance.from_config(metadata["provenance"])
        server = "their server"
        if self._is_mirror:
            server = "a mirror, and not compared with the file of the authors"
        return dataclasses.replace(
            provenance,
            source=f"the checkpoint `{PUBLISHED[self.name].path}` by the authors of "
            f"VATT ({AUTHORS}), converted by keras_vatt, which ran it once to check "
            f"that its outputs are finite. It was downloaded from {server}",
            evaluation={
                f"{task}; not measured on these weights": results
                for task, results in provenance.evaluation.items()
            },
        )

    @contextlib.contextmanager
    def cleaned_after_errors(self):
        """Removes the files of the checkpoint that a later call can't use."""
        try:
            yield
        except (*_DAMAGES, CheckpointMismatchError):
            shutil.rmtree(checkpoint_folder(self.name), ignore_errors=True)
            raise
        except (DownloadError, OSError):
            if not any(map(_size, (self._shard, incomplete_path(self._shard)))):
                shutil.rmtree(checkpoint_folder(self.name), ignore_errors=True)
            raise

    @contextlib.contextmanager
    def explained_errors(self):
        """Adds to errors what a user can do."""
        try:
            yield
        except DownloadError as error:
            raise DownloadError(
                f"The weights of {self.name!r} can't be downloaded from {self.url!r}: "
                f"{error}. {self._by_hand()}"
            ) from error
        except _DAMAGES as error:
            reason = getattr(error, "reason", f"its index {error}")
            raise self._unusable(reason) from error
        except CheckpointMismatchError as error:
            raise self._unusable(
                f"{len(error.problems)} of its tensors differ from those of the "
                f"preset; the first: {error.problems[0]}"
            ) from error
        except OSError as error:
            if isinstance(error, FileNotFoundError) or error.errno is None:
                raise
            raise PresetError(
                f"The weights of {self.name!r} can't be stored in "
                f"{str(error.filename or preset_folder(self.name))!r}: "
                f"{os.strerror(error.errno)}. Free twice the size of the download on "
                "this disk, or set HF_HOME to a folder on another disk that you can "
                "write to, and try again"
            ) from error

    def _unusable(self, reason):
        return PresetError(
            f"The checkpoint {self.url!r} was altered, or damaged on its way: "
            f"{reason}. It was deleted. Try again. {self._by_hand()}"
        )

    @property
    def _is_mirror(self):
        return self.address != PUBLIC

    def _by_hand(self):
        prefix = f"{BROWSER}/{PUBLISHED[self.name].path}"
        mirror = f"Check {VARIABLE}. " if self._is_mirror else ""
        return (
            f"{mirror}To get it by hand, download {prefix}.index and {prefix}{_SHARD} "
            "with a browser into one folder, then run `keras-vatt convert --from "
            f"FOLDER --config {self.name} --output PRESET` and load PRESET"
        )


def _specs(tensors):
    return {
        key: TensorSpec(tensor.shape, tensor.dtype) for key, tensor in tensors.items()
    }


def _size_of_only_shard(path, tensors):
    sizes = shard_sizes(tensors)
    if set(sizes) != {path}:
        names = ", ".join(sorted(shard.name for shard in sizes))
        raise DamagedIndexError(f"needs other files than {path.name!r}: {names:.200}")
    return sizes[path]


def _size(path):
    return path.stat().st_size if path.exists() else 0
