"""Downloads the vocabulary of the authors of VATT."""

from __future__ import annotations

import gzip
import pathlib
import posixpath
import tarfile
import warnings
import zlib

from keras_vatt._errors import KerasVATTError
from keras_vatt._files import write_text
from keras_vatt.models import VATTTokenizer
from keras_vatt.storage._config_limits import MAX_VOCABULARY_BYTES
from keras_vatt.storage._download import DownloadError, download
from keras_vatt.storage._published_cache import cache_lock, vocabulary_path

_ARCHIVE = "misc_data.tgz"
# The archive also holds word vectors, which the checkpoints contain.
_MAX_ARCHIVE_BYTES = 2**29
_MAX_UNPACKED_BYTES = 2**31
_MAX_ENTRIES = 10_000
# What reading a damaged archive raises.
_DAMAGES = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError)


class VocabularyArchiveError(KerasVATTError, ValueError):
    """An archive that is damaged, too large, or has no vocabulary."""


def fetch_vocabulary(address: str, max_words: int) -> pathlib.Path | None:
    """Downloads the authors' vocabulary, unless it is in the cache.

    Args:
        address: string, the base address of the published files.
        max_words: int, the number of word vectors of the model.

    Returns:
        `pathlib.Path` of the vocabulary; `None`, after a warning, if it can't be
        downloaded or used.
    """
    path = vocabulary_path()
    try:
        with cache_lock(path.stem):
            if not path.exists():
                _download_vocabulary(f"{address}/{_ARCHIVE}", path)
        _check_words(path, max_words)
    except (DownloadError, VocabularyArchiveError) as error:
        warnings.warn(
            f"The vocabulary {address}/{_ARCHIVE} can't be used: {error}. The preset "
            "accepts word ids as text, but no strings. To add a vocabulary, run "
            "`keras-vatt convert --from NAME --vocabulary FILE`.",
            stacklevel=2,
        )
        return None
    return path


def read_archived_vocabulary(path: pathlib.Path, name: str) -> str:
    """Reads the vocabulary in a compressed archive, of which no file is unpacked.

    Args:
        path: path of the archive.
        name: string, the name of the vocabulary file, in any folder of the archive.

    Returns:
        String.

    Raises:
        VocabularyArchiveError: if the archive is damaged, too large, or has no such
            regular file.
    """
    try:
        with gzip.open(path) as content:
            text = _find_text(_Limited(content, _MAX_UNPACKED_BYTES), name)
    except _DAMAGES as error:
        raise VocabularyArchiveError(f"it is damaged ({error})") from error
    if text is None:
        raise VocabularyArchiveError(f"it has no file {name!r}")
    return text


def _download_vocabulary(url, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    archive = path.with_name(_ARCHIVE)
    try:
        download(url, archive, _MAX_ARCHIVE_BYTES)
        write_text(path, read_archived_vocabulary(archive, path.name))
    finally:
        archive.unlink(missing_ok=True)


def _find_text(stream, name):
    # As a stream, "r|", it is read once from front to back.
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= _MAX_ENTRIES:
                raise VocabularyArchiveError(
                    f"it has more than {_MAX_ENTRIES:,} entries"
                )
            # Links could lead anywhere, so only regular files count.
            if member.isreg() and posixpath.basename(member.name) == name:
                return _read_text(archive, member)
    return None


def _read_text(archive, member):
    if member.size > MAX_VOCABULARY_BYTES:
        raise VocabularyArchiveError(
            f"its vocabulary has {member.size:,} bytes, more than the limit of "
            f"{MAX_VOCABULARY_BYTES:,}"
        )
    return archive.extractfile(member).read().decode("utf-8")


def _check_words(path, max_words):
    try:
        words = VATTTokenizer(path).vocabulary_size()
    except ValueError as error:
        path.unlink(missing_ok=True)
        raise VocabularyArchiveError(str(error)) from error
    if words > max_words:
        raise VocabularyArchiveError(
            f"it has {words:,} words, but the model has vectors for {max_words:,}"
        )


class _Limited:
    """A stream that can't be read beyond a limit, as a small archive may be endless."""

    def __init__(self, stream, limit):
        self._stream = stream
        self._left = limit

    def read(self, size):
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise VocabularyArchiveError("it is too large when it is unpacked")
        return content
