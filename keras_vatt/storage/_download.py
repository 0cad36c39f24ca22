"""Downloads large files over HTTP: resumed, retried, and placed atomically."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import time

import huggingface_hub.utils as hub
from huggingface_hub import constants, errors

from keras_vatt._os_errors import os_errors_at
from keras_vatt.storage._preset_files import PresetError

_LOGGER = logging.getLogger(__name__)

# Seconds of waiting before each retry of a transfer that made no progress.
_WAITS = (1, 2, 4, 8)
_BUSY = (408, 429, 500, 502, 503, 504)
_REASONS = {
    401: "the server asks for a login (401)",
    403: "the server refuses access (403)",
    404: "the server has no such file (404)",
}


class DownloadError(PresetError):
    """A file can't be downloaded."""


def download(url: str, path: str | os.PathLike, max_bytes: int) -> None:
    """Downloads a file and shows a progress bar.

    The content is collected in `NAME.incomplete`, which a later call continues with an
    HTTP range request; if the file has changed on the server, the download starts over.
    A transfer that breaks off is retried. Redirects are not followed, so that no other
    address is opened than the given one. `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`
    and `HF_HUB_DISABLE_PROGRESS_BARS` have their effects on `huggingface_hub`.

    Args:
        url: string.
        path: string or path of the file, in a folder that exists.
        max_bytes: int. Size above which the download is refused.

    Raises:
        DownloadError: if the server can't be reached, refuses the file, or sends
            something else.
        OSError: if the file can't be written. On a full disk nothing is left.
    """
    partial = _Partial(pathlib.Path(path))
    waits = list(_WAITS)
    while True:
        size = partial.size
        try:
            _receive(url, partial, max_bytes)
            partial.place()
            return
        except errors.HfHubHTTPError as error:
            raise DownloadError(_busy(error)) from error
        except errors.OfflineModeIsEnabled as error:
            raise DownloadError(
                "offline mode is on: unset HF_HUB_OFFLINE to download it"
            ) from error
        except errors.HTTPError as error:
            if partial.size > size:
                waits = list(_WAITS)
            if not waits:
                partial.clear_if_empty()
                raise DownloadError(_unreachable(error, partial.size)) from error
            _LOGGER.warning("%s: %s; trying again", partial.path.name, _reason(error))
            time.sleep(waits.pop(0))


def incomplete_path(path: pathlib.Path) -> pathlib.Path:
    """Returns the path at which `download` collects the content of a file."""
    return path.with_name(f"{path.name}.incomplete")


def _receive(url, partial, max_bytes):
    """Receives the rest of a file, or all of it if it has changed."""
    request = hub.http_stream_backoff(
        "GET",
        url,
        headers=partial.resuming_headers() | {"Accept-Encoding": "identity"},
        follow_redirects=False,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        retry_on_exceptions=(),
        retry_on_status_codes=_BUSY,
    )
    with request as response:
        if response.status_code == 416:
            _check_complete(partial, response)
            return
        _check_response(response)
        length = int(response.headers.get("Content-Length", 0))
        _check_size(length, max_bytes)
        if response.status_code == 200:
            partial.start(_version(response.headers))
        _check_start(partial, response)
        with _progress_bar(partial, length) as bar, partial.writing() as write:
            # Larger chunks would lose what was received before a connection broke.
            for chunk in response.iter_raw():
                _check_size(write(chunk), max_bytes)
                bar.update(len(chunk))


def _check_complete(partial, response):
    """Checks that the whole file was received before."""
    if response.headers.get("Content-Range") != f"bytes */{partial.size}":
        partial.clear()
        raise errors.HTTPError("the server can't continue the download")


def _check_start(partial, response):
    """Checks that the content begins where the received part ends."""
    place = response.headers.get("Content-Range", "")
    if response.status_code == 206 and not place.startswith(f"bytes {partial.size}-"):
        partial.clear()
        raise errors.HTTPError("the server sends another part of the file")


def _check_response(response):
    status, headers = response.status_code, response.headers
    if status in _REASONS:
        raise DownloadError(_REASONS[status])
    if 300 <= status < 400:
        raise DownloadError(
            f"the server redirects to {headers.get('Location', '')!r:.200}, which is "
            "usually a page to log in"
        )
    if status not in (200, 206):
        raise DownloadError(f"the server answers with the status {status}")
    if headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError("the server sends a compressed form of the file")
    if headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError("the server sends a web page instead of the file")


def _check_size(size, max_bytes):
    if size > max_bytes:
        raise DownloadError(
            f"the file on the server has more than the expected {max_bytes:,} bytes"
        )


def _version(headers):
    """Returns the identifier of a file's version; an empty string if it has none."""
    etag = headers.get("ETag", "")
    # A weak tag doesn't promise equal bytes.
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _busy(error):
    status = error.response.status_code
    return f"the server is busy or out of order (status {status}): try again later"


def _unreachable(error, received):
    kept = f"; {received / 1e6:.1f} MB were kept, to continue with" if received else ""
    return (
        f"the connection failed ({_reason(error)}): check the network and try again"
        f"{kept}"
    )


def _reason(error):
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


@dataclasses.dataclass
class _Partial:
    """The part of a file that was received, and the version that it belongs to."""

    path: pathlib.Path

    def __post_init__(self):
        self._part = incomplete_path(self.path)
        self._version = self.path.with_name(f"{self.path.name}.version")

    @property
    def size(self):
        return self._part.stat().st_size if self._part.exists() else 0

    def resuming_headers(self):
        version = self._version.read_text("ascii") if self._version.exists() else ""
        if not version:
            self.clear()
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": version}

    def clear(self):
        for path in (self._part, self._version):
            path.unlink(missing_ok=True)

    def clear_if_empty(self):
        if self.size == 0:
            self.clear()

    def start(self, version):
        self.clear()
        with os_errors_at(self.path):
            self._version.write_text(version, "ascii")

    @contextlib.contextmanager
    def writing(self):
        """Yields a function that appends bytes and returns the new size."""
        try:
            with self._part.open("ab") as file:
                yield lambda content: self._append(file, content)
        except (DownloadError, OSError):
            # A file that is too large or can't be written can't be resumed either.
            self.clear()
            raise

    def _append(self, file, content):
        with os_errors_at(self.path):
            file.write(content)
            file.flush()
        return file.tell()

    def place(self):
        with os_errors_at(self.path):
            with self._part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(self._part, self.path)
            self._version.unlink()


def _progress_bar(partial, length):
    return hub.tqdm(
        desc=partial.path.name,
        total=partial.size + length or None,
        initial=partial.size,
        unit="B",
        unit_scale=True,
        name="keras_vatt.download",
    )
