"""Rows of the Hugging Face `datasets` library as stored clips."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

from keras_vatt._remote_files import is_remote, list_files
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._split_names import split_of_name
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._stored_clip import StoredClip, StoredFile

_HUB = "hf://datasets/"
# Files that `save_to_disk` writes for one split and for several.
_SAVED = ("state.json", "dataset_dict.json")
_VIDEO_COLUMNS = ("video", "mp4", "clip")
_AUDIO_COLUMNS = ("audio", "sound")
_CAPTION_COLUMNS = ("captions", "caption", "text", "sentence", "description", "txt")
_PARQUET = ".parquet"


class HubRows:
    """The rows of a `datasets.Dataset` as stored clips by index.

    Args:
        dataset: `datasets.Dataset` with a column of videos, which have audio or for
            which another column has it, and optionally one of captions: a string or a
            list of them.
        name: str. Name of the dataset, for messages.
        folder: str. Folder of the dataset, in which rows may name files. Defaults to
            `None`: rows have the bytes of their files.

    Raises:
        ShardError: If there is no column of videos.
    """

    def __init__(self, dataset: Any, name: str, folder: str | None = None) -> None:
        columns = dataset.features
        self._video = _column_of(columns, "Video", _VIDEO_COLUMNS)
        if self._video is None:
            raise ShardError(
                f"{name} has no column of videos, but {', '.join(columns)}: name it "
                "`video`"
            )
        self._audio = _column_of(columns, "Audio", _AUDIO_COLUMNS)
        self._caption = _column_of(columns, None, _CAPTION_COLUMNS)
        self._rows = _undecoded(dataset, (self._video, self._audio))
        self._name = name
        self._folder = folder

    def __len__(self) -> int:
        return len(self._rows)

    def where(self, index: int) -> str:
        """Returns the dataset and the number of a row, for messages."""
        return f"{self._name}, row {range(len(self))[index]}"

    def read(self, index: int) -> StoredClip:
        """Reads a row.

        Raises:
            MediaError: If the row has no video, or a file of it can't be read.
        """
        where = self.where(index)
        row = self._rows[index]
        video, name = self._content(row[self._video], where)
        if video is None:
            raise MediaError(where, Problem.NO_VIDEO, "has no video")
        audio = None
        if self._audio is not None:
            audio = self._content(row[self._audio], where)[0]
        return StoredClip(StoredFile(video, audio), self._captions_of(row), name)

    def captions(self, limit: int | None = None) -> Iterator[str]:
        """Yields the first caption of each row, or `""`; reads no other columns."""
        if self._caption is None:
            return
        column = self._rows.select_columns([self._caption])
        for row in column if limit is None else column.take(min(limit, len(self))):
            yield next(iter(self._captions_of(row)), "")

    def _captions_of(self, row):
        if self._caption is None or row[self._caption] is None:
            return ()
        value = row[self._caption]
        texts = value if isinstance(value, list) else [value]
        captions = (" ".join(text.split()) for text in texts if isinstance(text, str))
        return tuple(filter(None, captions))

    def _content(self, value, where):
        """Returns the bytes of a file and its name; `None` for an empty cell."""
        if isinstance(value, bytes):
            return value, ""
        if not isinstance(value, dict):
            return None, ""
        path = value.get("path")
        name = os.path.basename(path) if isinstance(path, str) else ""
        if value.get("bytes") is not None:
            return value["bytes"], name
        return (None, name) if path is None else (self._file(path, where), name)

    def _file(self, path, where):
        real_path = pathlib.Path(os.path.realpath(path))
        roots = [root for root in (self._folder, *_cache_folders()) if root]
        if not any(real_path.is_relative_to(os.path.realpath(root)) for root in roots):
            reason = f"names {path!r}, which is outside of the dataset"
            raise MediaError(where, Problem.MISSING, reason)
        try:
            return real_path.read_bytes()
        except OSError as error:
            reason = f"names {path!r}, which can't be read ({error.strerror})"
            raise MediaError(where, Problem.MISSING, reason) from error


def is_hub_dataset(source: str) -> bool:
    """Returns whether a source is a dataset of the `datasets` library.

    These are folders that `save_to_disk` has written, and folders with Parquet files,
    local ones or `"hf://datasets/owner/name"`. Another repository of the Hub is a
    folder of files.

    Raises:
        RemoteFileError: If the Hub can't be reached.
    """
    if _repository(source) is not None:
        try:
            return any(url.endswith(_PARQUET) for url in list_files(source))
        except FileNotFoundError:
            return False
    if is_remote(source) or not os.path.isdir(source):
        return False
    if any(os.path.isfile(os.path.join(source, name)) for name in _SAVED):
        return True
    folder = pathlib.Path(source)
    return any(any(folder.glob(f"{where}*{_PARQUET}")) for where in ("", "*/"))


def open_hub_rows(source: str) -> tuple[dict[str, HubRows], list[Finding]]:
    """Opens a dataset of the `datasets` library.

    Args:
        source: str, see `is_hub_dataset`.

    Returns:
        Tuple of a dict from `"train"` and `"test"` to `HubRows`, and of a list of
        `Finding` on other splits, which are not read.

    Raises:
        ShardError: If `datasets` is not installed or the dataset can't be read.
    """
    try:
        import datasets
    except ImportError as error:
        raise ShardError(
            f'{source} needs a package: pip install "keras-vatt[datasets]"'
        ) from error
    try:
        loaded = _load(datasets, source)
    except Exception as error:
        raise ShardError(f"{source} can't be read: {error}") from error
    if isinstance(loaded, datasets.Dataset):
        loaded = {"train": loaded}
    folder = None if source.startswith(_HUB) else source
    rows, findings = {}, []
    # The splits with exactly these names come first.
    for name in sorted(loaded, key=lambda name: name not in ("train", "test")):
        split, where = split_of_name(name), f"{source} ({name})"
        if split not in rows:
            rows[split] = HubRows(loaded[name], where, folder)
            continue
        reason = f"is not read, as another split of the dataset is used for {split}"
        findings.append(Finding(Problem.IGNORED, where, reason))
    return rows, findings


def _load(datasets, source):
    if source.startswith(_HUB):
        return datasets.load_dataset(_repository(source))
    if any(os.path.isfile(os.path.join(source, name)) for name in _SAVED):
        return datasets.load_from_disk(source)
    return datasets.load_dataset(source)


def _repository(source):
    """Returns the name of the repository that a URL stands for, or `None`."""
    name = source.removeprefix(_HUB).strip("/")
    return name if source.startswith(_HUB) and name.count("/") == 1 else None


def _column_of(columns, kind, names):
    if kind is not None:
        typed = [name for name in columns if type(columns[name]).__name__ == kind]
        if typed:
            return typed[0]
    return next((name for name in names if name in columns), None)


def _undecoded(dataset, names):
    """Returns the dataset with the bytes of media instead of decoded ones."""
    for name in names:
        feature = dataset.features.get(name)
        if type(feature).__name__ in ("Video", "Audio"):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    return dataset


def _cache_folders():
    import datasets
    import huggingface_hub

    hub = huggingface_hub.constants.HF_HUB_CACHE
    return str(datasets.config.HF_DATASETS_CACHE), str(hub)
