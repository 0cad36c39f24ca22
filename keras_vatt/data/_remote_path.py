"""URLs of files in object stores, with the interface of `pathlib.Path`."""

from __future__ import annotations

import functools
import io
import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import IO

from keras_vatt._remote_files import is_remote, list_files, open_remote


@functools.total_ordering
class RemotePath:
    """The URL of a file or a folder, with the methods of a path that readers use.

    The methods that only compute names send no request. Like `pathlib.Path`, it has no
    slash at its end.

    Args:
        url: str, such as `"s3://bucket/videos"`.
    """

    def __init__(self, url: str) -> None:
        protocol, _, place = url.partition("://")
        self._protocol = protocol.lower()
        self._place = pathlib.PurePosixPath(place.strip("/"))

    def __str__(self) -> str:
        place = "" if self._place == pathlib.PurePosixPath() else self._place
        return f"{self._protocol}://{place}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._key == other._key

    def __lt__(self, other: RemotePath) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __truediv__(self, name: str) -> RemotePath:
        return self._at(self._place / name.lstrip("/"))

    @property
    def name(self) -> str:
        return self._place.name

    @property
    def stem(self) -> str:
        return self._place.stem

    @property
    def suffix(self) -> str:
        return self._place.suffix

    @property
    def parent(self) -> RemotePath:
        return self._at(self._place.parent)

    @property
    def parents(self) -> list[RemotePath]:
        return [self._at(place) for place in self._place.parents]

    def with_name(self, name: str) -> RemotePath:
        return self._at(self._place.with_name(name))

    def with_suffix(self, suffix: str) -> RemotePath:
        return self._at(self._place.with_suffix(suffix))

    def is_relative_to(self, other: RemotePath) -> bool:
        is_same_store = self._protocol == other._protocol
        return is_same_store and self._place.is_relative_to(other._place)

    def relative_to(self, other: RemotePath) -> pathlib.PurePosixPath:
        if self._protocol != other._protocol:
            raise ValueError(f"{self} is not in {other}")
        return self._place.relative_to(other._place)

    def normalized(self) -> RemotePath:
        """Returns the path without `..`; it can't lead out of the store."""
        return self._at(pathlib.PurePosixPath(posixpath.normpath(f"/{self._place}")))

    def open(self, mode: str = "r", **options: str | None) -> IO:
        """Opens the file for reading; see `open`."""
        file = open_remote(str(self))
        return file if "b" in mode else io.TextIOWrapper(file, **options)

    @property
    def _key(self):
        return self._protocol, self._place

    def _at(self, place):
        path = RemotePath.__new__(RemotePath)
        path._protocol = self._protocol
        path._place = pathlib.PurePosixPath(str(place).lstrip("/"))
        return path


# A file or a folder, wherever it is.
CorpusPath = pathlib.Path | RemotePath


def to_path(source: str | os.PathLike[str] | RemotePath) -> CorpusPath:
    """Returns the path of a file or a folder, wherever it is."""
    if isinstance(source, RemotePath):
        return source
    return RemotePath(source) if is_remote(source) else pathlib.Path(source)


def list_remote(root: RemotePath) -> Iterator[RemotePath | str]:
    """Lists the files below a remote folder, in one go.

    Args:
        root: `RemotePath`.

    Yields:
        `RemotePath` of each file, in alphabetical order. Stores allow names that are no
        paths, such as `a//b` and `../a`: the URLs of these are strings.

    Raises:
        FileNotFoundError: If there are none.
        OSError: If the store can't be reached, or refuses to answer.
    """
    for url in list_files(str(root)):
        # Some tools write an empty object for each folder.
        if not url.endswith("/"):
            path = RemotePath(url)
            yield path if str(path.normalized()) == url else url
