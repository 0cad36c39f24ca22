"""Makes presets from the checkpoints that the authors of VATT published."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import posixpath
import shutil
from collections.abc import Sequence
from typing import Any

from keras_vatt._files import check_free_space
from keras_vatt._os_errors import os_errors_at
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
from keras_vatt.models._preset_task import load_task
from keras_vatt.storage import PresetError, PresetFolder
from keras_vatt.storage._download import DownloadError, download
from keras_vatt.storage._provenance import Provenance
from keras_vatt.storage._published_cache import (
    cache_lock,
    cached_preset,
    checkpoint_folder,
    preset_folder,
)
from keras_vatt.storage._published_checkpoints import PUBLISHED
from keras_vatt.storage._weights_address import BROWSER, PUBLIC, weights_address

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
            or it is damaged or altered.
        OSError: if the cache can't be written to, such as on a full disk.

    Example:
    ```python
    from keras_vatt.conversion import fetch_preset

    folder = fetch_preset("vatt_vit_base_kinetics400")
    model = keras_vatt.VATTVideoClassifier.from_preset(folder)
    ```
    """
    check_published(name)
    address = weights_address(address)
    with cache_lock(name):
        if cached_preset(name) is None:
            _make_preset(name, vocabulary, address)
        elif vocabulary is not None:
            _replace_vocabulary(name, vocabulary)
        if not keep_checkpoint:
            shutil.rmtree(checkpoint_folder(name), ignore_errors=True)
    return preset_folder(name)


def check_published(name: str) -> None:
    """Raises a `PresetError` unless a preset has a published checkpoint."""
    if name not in PUBLISHED:
        raise PresetError(
            f"No checkpoint of {name!r} was published. Choose one of: "
            f"{', '.join(sorted(PUBLISHED))}"
        )


def _make_preset(name, vocabulary, address):
    source = _Source(name, address)
    with source.explained_errors():
        model = converted_model(name, source.open_checkpoint, progress=True)
    if vocabulary is None and "text" in model.backbone.modalities:
        vocabulary = fetch_vocabulary(address, model.backbone.vocabulary_size)
    if vocabulary is not None:
        set_vocabulary(model, vocabulary)
    model.provenance = source.provenance()
    model.save_to_preset(preset_folder(name))


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

    def open_checkpoint(self, model: Any, layout: Layout) -> OriginalCheckpoint:
        """Downloads the checkpoint, of which the index is checked first."""
        folder = checkpoint_folder(self.name)
        with os_errors_at(folder):
            folder.mkdir(parents=True, exist_ok=True)
        index = pathlib.Path(f"{self.prefix}.index")
        shard = pathlib.Path(f"{self.prefix}{_SHARD}")
        if not (index.exists() and shard.exists()):
            download(f"{self.url}.index", index, MAX_INDEX_BYTES)
            tensors = read_index(self.prefix, with_shards=False)
            match_variables(model, layout, _specs(tensors))
            size = _size_of_only_shard(shard, tensors)
            # The preset takes at most as much space again.
            check_free_space(folder, 2 * size - _size(shard))
            download(f"{self.url}{_SHARD}", shard, size + _MAX_PADDING)
        return OriginalCheckpoint(self.prefix)

    def provenance(self):
        """Returns the provenance of the built-in preset with the address added."""
        metadata = PresetFolder(self.name, with_weights=False).read_metadata()
        provenance = Provenance.from_config(metadata["provenance"])
        return dataclasses.replace(
            provenance,
            source=f"the checkpoint {self.url} by the authors of VATT (Hassan Akbari, "
            "Liangzhe Yuan, Rui Qian, Wei-Hong Chuang, Shih-Fu Chang, Yin Cui, Boqing "
            "Gong; google-research/google-research, folder `vatt`, Apache-2.0), "
            "converted by keras_vatt and run once to check it",
        )

    @contextlib.contextmanager
    def explained_errors(self):
        """Adds what a user can do to errors; removes files that can't be used."""
        try:
            yield
        except DownloadError as error:
            raise DownloadError(
                f"The weights of {self.name!r} can't be downloaded from {self.url!r}: "
                f"{error}. {self._by_hand()}"
            ) from error
        except (DamagedIndexError, DamagedTableError) as error:
            raise self._unusable(f"its index {error}") from error
        except DamagedCheckpointError as error:
            raise self._unusable(error.reason) from error
        except CheckpointMismatchError as error:
            raise self._unusable(
                f"{len(error.problems)} of its tensors differ from those of the "
                f"preset; the first: {error.problems[0]}"
            ) from error

    def _unusable(self, reason):
        shutil.rmtree(checkpoint_folder(self.name), ignore_errors=True)
        return PresetError(
            f"The checkpoint {self.url!r} was altered, or damaged on its way: "
            f"{reason}. It was deleted. Try again. {self._by_hand()}"
        )

    def _by_hand(self):
        base = BROWSER if self.address == PUBLIC else self.address
        prefix = f"{base}/{PUBLISHED[self.name].path}"
        return (
            f"To get it by hand, download {prefix}.index and {prefix}{_SHARD} with a "
            "browser into one folder, then run `keras-vatt convert --from FOLDER "
            f"--config {self.name} --output PRESET` and load PRESET"
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
    partial = path.with_name(f"{path.name}.incomplete")
    return partial.stat().st_size if partial.exists() else 0
