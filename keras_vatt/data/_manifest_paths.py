"""Finds the files that the rows of a manifest name, on disk and in object stores."""

from __future__ import annotations

import dataclasses
import os

from keras_vatt._remote_files import is_remote
from keras_vatt.data._corpus_folder import leads_outside
from keras_vatt.data._remote_path import CorpusPath, RemotePath


@dataclasses.dataclass(frozen=True)
class NamedFile:
    """A file that a row of a manifest names.

    Args:
        path: str. Its real path, or its URL.
        is_outside: bool. Whether it is outside the folder of the manifest.
        is_missing: bool. Whether it is known not to exist.
    """

    path: str
    is_outside: bool
    is_missing: bool


class ManifestPaths:
    """Finds the files of a manifest.

    Args:
        folder: `pathlib.Path` or `RemotePath` of the manifest's folder.
        files: collection of the `RemotePath` of all files below a remote folder. A
            request for each row would take hours.
    """

    def __init__(self, folder: CorpusPath, files=frozenset()) -> None:
        self._folder = folder
        self._files = frozenset(files)

    def find(self, name: str) -> NamedFile:
        """Finds the file of a row.

        A remote file outside the folder is not looked for: decoding finds out whether
        it exists.

        Args:
            name: str. A path relative to the manifest, an absolute one, or a URL.

        Returns:
            A `NamedFile`.
        """
        if is_remote(name):
            return self._find_remote(RemotePath(name), name)
        if not isinstance(self._folder, RemotePath):
            return _find_local(name, self._folder)
        if os.path.isabs(name):
            return dataclasses.replace(_find_local(name, "."), is_outside=True)
        path = self._folder / name
        return self._find_remote(path, str(path.normalized()))

    def _find_remote(self, path, url):
        path = path.normalized()
        is_remote_folder = isinstance(self._folder, RemotePath)
        if not is_remote_folder or not path.is_relative_to(self._folder):
            return NamedFile(url, is_outside=True, is_missing=False)
        return NamedFile(str(path), False, path not in self._files)


def _find_local(name, folder):
    path = os.path.join(folder, name)
    real_path = os.path.realpath(path)
    is_missing = not os.path.isfile(real_path)
    return NamedFile(real_path, leads_outside(folder, path), is_missing)
