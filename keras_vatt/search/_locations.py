"""Locations of an index: a local folder, or a URI of an object store."""

from __future__ import annotations

import os
import pathlib
import re
import typing
import urllib.parse
import urllib.request

from keras_vatt.search._errors import MediaIndexError

if typing.TYPE_CHECKING:
    from keras_vatt.search._store import VectorStore

_URI = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)

# The files of an index that version 1 of the format had.
_OLD_INDEX = "index.json"


def local_folder(location: str | os.PathLike) -> pathlib.Path | None:
    """Returns the local folder of an index, or `None` if it lies in an object store.

    Args:
        location: string or path. A folder, a `file://` URI, or the URI of an object
            store.
    """
    text = os.fspath(location)
    scheme = _URI.match(text)
    if scheme is None:
        return pathlib.Path(text)
    if scheme[1].lower() == "file":
        return pathlib.Path(
            urllib.request.url2pathname(urllib.parse.urlsplit(text).path)
        )
    return None


def open_store(location: str | os.PathLike) -> VectorStore:
    """Opens the vector store of an index, whether there is an index or not.

    Args:
        location: string or path, see `local_folder`.

    Raises:
        MediaIndexError: if LanceDB is not installed, or an earlier version of this
            package made the index.
    """
    folder = local_folder(location)
    if folder is not None and os.path.lexists(folder / _OLD_INDEX):
        raise MediaIndexError(
            f"The index {str(folder)!r} has the format of an earlier version of "
            "keras-vatt, which is no longer read. Remove its folder, and run "
            "`keras-vatt embed` again."
        )
    # It is read before the first import: the Rust library logs warnings otherwise.
    os.environ.setdefault("LANCEDB_LOG", "error")
    try:
        from keras_vatt.search._store import VectorStore
    except ImportError as error:
        raise MediaIndexError(
            "An index of media needs LanceDB, which is not installed "
            f'({error}): pip install "keras-vatt[search]"'
        ) from error
    return VectorStore(os.fspath(location), folder)
