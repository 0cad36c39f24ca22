"""Files in object stores and on the Hugging Face Hub, through fsspec.

Every request has a time limit: a server that stops answering is an error, not a hang.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import queue
import re
import threading

import fsspec
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.caching import BlockCache
from fsspec.exceptions import FSTimeoutError

from keras_vatt._errors import KerasVATTError
from keras_vatt._range_file import RangeFile

# Protocols whose URLs are opened, and the package that fsspec needs for each. Others,
# such as chains of URLs and `github://`, are not opened.
_PACKAGES = {
    "gs": "keras-vatt[gcs]",
    "s3": "keras-vatt[s3]",
    "hf": "keras-vatt",
    "memory": "keras-vatt",
}
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)

# Seconds after which a request is an error.
REQUEST_SECONDS = 60.0
# Listing many files takes several requests, one after the other, and so does writing a
# large file: they have the time of so many requests, or of one for so many bytes.
_LISTING_REQUESTS = 10
_BYTES_PER_REQUEST = 64 * 2**20
# Bytes that a file object reads at once, and the number of such blocks that it keeps.
_BLOCK_BYTES, _KEPT_BLOCKS = 2**20, 16


class RemoteFileError(KerasVATTError, OSError):
    """A file in an object store or on the Hub can't be used.

    Args:
        url: str.
        reason: str. What is wrong and what to do.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


def is_remote(place: str | os.PathLike[str]) -> bool:
    """Returns whether a string is a URL, such as `"s3://bucket/name"`."""
    return isinstance(place, str) and _URL.match(place) is not None


def join_url(url: str, *names: str) -> str:
    """Appends the names of folders and files to a URL."""
    return "/".join([url.rstrip("/"), *names])


def list_files(url: str) -> dict[str, int]:
    """Lists the files below a URL.

    Later calls of `file_size` and `file_state` for these files send no request: they
    tell the state at the time of the listing.

    Args:
        url: str. URL of a folder.

    Returns:
        Dict from the URL of each file to its size in bytes, in alphabetical order.

    Raises:
        FileNotFoundError: If there is no file below the URL.
        RemoteFileError: If the store can't be reached, or refuses to answer.
    """
    filesystem, _ = _filesystem(url)
    filesystem.invalidate_cache()
    # A server that does not answer is found out by a single request.
    _call(url, "info")
    found = _call(url, "find", limit=REQUEST_SECONDS * _LISTING_REQUESTS, detail=True)
    if not found:
        raise FileNotFoundError(f"There are no files in {url}")
    protocol = _protocol_of(url)
    return {
        f"{protocol}://{path.lstrip('/')}": info["size"] or 0
        for path, info in sorted(found.items())
    }


def file_size(url: str) -> int:
    """Returns the size of a remote file in bytes.

    Raises:
        FileNotFoundError: If there is no such file.
        RemoteFileError: If the store can't be reached, or refuses to answer.
    """
    return _info(url)["size"]


def file_state(url: str) -> list:
    """Returns JSON values that change when a remote file changes.

    Raises:
        FileNotFoundError: If there is no such file.
        RemoteFileError: If the store can't be reached, or refuses to answer.
    """
    info = _info(url)
    marks = ("size", "ETag", "etag", "crc32c", "blob_id", "LastModified", "updated")
    return [str(info[name]) for name in marks if info.get(name) is not None]


def read_bytes(url: str, start: int | None = None, end: int | None = None) -> bytes:
    """Reads a remote file, or a range of its bytes.

    Args:
        url: str.
        start: int. Index of the first byte. Defaults to `None`, the first.
        end: int. Index after the last byte. Defaults to `None`, the end.

    Returns:
        `bytes`, fewer than asked for if the file is shorter.

    Raises:
        FileNotFoundError: If there is no such file.
        RemoteFileError: If the store can't be reached, refuses to answer, or takes
            longer than `REQUEST_SECONDS`.
    """
    return _call(url, "cat_file", start=start, end=end)


def write_bytes(url: str, data: bytes) -> None:
    """Writes a remote file. Object stores replace files atomically.

    Raises:
        RemoteFileError: If the store can't be reached, or refuses to write.
    """
    _call(url, "pipe_file", data, limit=_seconds_to_write(len(data)))


def upload(path: str | os.PathLike[str], url: str) -> None:
    """Copies a local file to a URL. Object stores replace files atomically.

    Raises:
        RemoteFileError: If the store can't be reached, or refuses to write.
    """
    filesystem, place = _filesystem(url)
    limit = _seconds_to_write(os.path.getsize(path))
    _call_within(limit, filesystem, "put_file", url, os.fspath(path), place)


def open_remote(url: str) -> io.BufferedReader:
    """Opens a remote file for reading at any position.

    It is read in blocks of a megabyte, of which the last 16 are kept.

    Raises:
        FileNotFoundError: If there is no such file.
        RemoteFileError: If the store can't be reached, or refuses to answer.
    """
    size = file_size(url)
    fetch = functools.partial(read_bytes, url)
    cache = BlockCache(_BLOCK_BYTES, fetch, size, _KEPT_BLOCKS)
    file = RangeFile(url, size, cache._fetch)
    return io.BufferedReader(file, _BLOCK_BYTES // 4)


def _protocol_of(url):
    protocol = _URL.match(url)[1].lower()
    if protocol not in _PACKAGES or "::" in url:
        known = ", ".join(f"{name}://" for name in _PACKAGES if name != "memory")
        raise RemoteFileError(url, f"can't be opened; known are paths, and {known}")
    return protocol


@functools.lru_cache(maxsize=16)
def _filesystem_of(protocol):
    # Threads of the Hub's parallel listing would keep the process from ending while a
    # server does not answer.
    options = {"max_workers": 1} if protocol == "hf" else {}
    return fsspec.filesystem(protocol, **options)


def _filesystem(url):
    protocol = _protocol_of(url)
    try:
        filesystem = _filesystem_of(protocol)
    except ImportError as error:
        reason = f'needs a package: pip install "{_PACKAGES[protocol]}"'
        raise RemoteFileError(url, reason) from error
    return filesystem, filesystem._strip_protocol(url)


def _info(url):
    """Returns what a store tells about a file."""
    filesystem, place = _filesystem(url)
    try:
        info = _call(url, "info")
    except FileNotFoundError:
        # It may have been written since its folder was listed.
        folder = filesystem._parent(place)
        if filesystem.dircache.pop(folder, None) is None:
            raise
        info = _call(url, "info")
    if info["type"] != "file":
        raise FileNotFoundError(f"There is no file {url}")
    return info


def _seconds_to_write(size):
    return REQUEST_SECONDS * (1 + size // _BYTES_PER_REQUEST)


def _call(url, method, *arguments, limit=None, **options):
    """Calls a method of the file system of a URL with its place, within a time limit.

    Args:
        url: str.
        method: str. Name of a method whose first argument is the place.
        *arguments: Further arguments.
        limit: float. Seconds. Defaults to `None`, `REQUEST_SECONDS`.
        **options: Further arguments by name.
    """
    filesystem, place = _filesystem(url)
    limit = REQUEST_SECONDS if limit is None else limit
    return _call_within(limit, filesystem, method, url, place, *arguments, **options)


def _call_within(limit, filesystem, method, url, *arguments, **options):
    with _named_errors(url, limit):
        if isinstance(filesystem, AsyncFileSystem):
            function = getattr(filesystem, f"_{method}")
            return sync(filesystem.loop, function, *arguments, timeout=limit, **options)
        function = getattr(filesystem, method)
        return _in_thread(functools.partial(function, *arguments, **options), limit)


def _in_thread(function, limit):
    """Calls a function in a thread, and gives up on it after a time limit.

    The Hub's client has time limits for some requests only, and repeats those. The
    thread is a daemon: it does not keep the process from ending.
    """
    outcomes = queue.SimpleQueue()

    def run():
        try:
            outcomes.put((function(), None))
        except BaseException as error:
            outcomes.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcomes.get(timeout=limit)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result


@contextlib.contextmanager
def _named_errors(url, limit):
    """Raises errors of stores as `RemoteFileError` or `FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no file {url}") from error
    except (FSTimeoutError, TimeoutError) as error:
        reason = f"the server did not answer within {limit:g} s"
        raise RemoteFileError(url, reason) from error
    except Exception as error:
        # The Hub's client has errors of its own.
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 404:
            raise FileNotFoundError(f"There is no file {url}") from error
        reason = f"can't be used ({type(error).__name__}: {str(error)[:300]})"
        raise RemoteFileError(url, reason) from error
