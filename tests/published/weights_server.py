"""A file server on 127.0.0.1 that can misbehave, to try downloads with.

A server without faults answers like a storage service: `Content-Length`, a strong
`ETag`, `Last-Modified`, byte ranges (206 and 416) and `If-Range`. A `Fault` changes the
answers to some paths:

```python
with running_server({"a/ckpt-1.index": b"..."}) as server:
    server.fail("*.index", Fault(status=503), times=2)
    server.fail("*.data-*", Fault(cut_after=1000), times=1)
    ...  # Download from server.url.
    assert server.requests[-1].headers["Range"] == "bytes=1000-"
```
"""

import contextlib
import dataclasses
import email.utils
import fnmatch
import hashlib
import http.server
import itertools
import pathlib
import re
import threading
import time
import urllib.parse
import zlib

CHUNK = 2**16
LOGIN_PAGE = b"<!doctype html><html><title>Sign in</title><body>Sign in</body></html>"
_GZIP = 16 + zlib.MAX_WBITS


@dataclasses.dataclass(frozen=True)
class Fault:
    """Differences of an answer from the correct one. They can be combined.

    `cut_after` and `stall_after` count the bytes of one answer: from 0 again when a
    download resumes.

    Attributes:
        status: int, the status of an answer without the file.
        retry_after: string, the header `Retry-After` of that answer.
        location: string. Redirects to this address.
        page: bytes of an HTML page that is sent with status 200 instead of the file.
        silent: bool. The request is read, and never answered.
        cut_after: int. The connection is closed after so many bytes.
        stall_after: int. After so many bytes, nothing is sent until `release`.
        chunk_seconds: float. Pause before each chunk of `CHUNK` bytes.
        altered_at: int, the position of a byte of the file that is changed.
        replacement: bytes or path, the content of the file after this answer. With
            `cut_after`, the file changes during a download.
        ignores_range: bool. The whole file is sent, whatever range is requested.
        without_length: bool. The body is sent in chunks of unannounced size.
        endless: bool. The file is repeated until the client hangs up. Its length is not
            announced, unless `claimed_size` is given.
        claimed_size: int, the size of the file according to the headers. No more bytes
            are sent; if the file is shorter, the connection is closed after its end.
        gzip: bool. The body is compressed, whether or not the client accepts it.
    """

    status: int | None = None
    retry_after: str | None = None
    location: str | None = None
    page: bytes | None = None
    silent: bool = False
    cut_after: int | None = None
    stall_after: int | None = None
    chunk_seconds: float = 0.0
    altered_at: int | None = None
    replacement: bytes | pathlib.Path | None = None
    ignores_range: bool = False
    without_length: bool = False
    endless: bool = False
    claimed_size: int | None = None
    gzip: bool = False

    @property
    def hides_length(self):
        hides = self.without_length or self.gzip or self.endless
        return hides and self.claimed_size is None


_NO_FAULT = Fault()


@dataclasses.dataclass
class Request:
    """A request, and the answer to it.

    Attributes:
        method: string.
        path: string without leading slash.
        headers: `email.message.Message`, a case-insensitive mapping.
        status: int, the status of the answer; `None` without an answer.
        sent: int, bytes of the body that were sent.
    """

    method: str
    path: str
    headers: object
    status: int | None = None
    sent: int = 0


@dataclasses.dataclass
class _ActiveFault:
    pattern: str
    fault: Fault
    times: float


class StoredFile:
    """One version of a file: bytes, or the path of a file that doesn't change."""

    def __init__(self, content, version=0):
        self.content, self.version = content, version
        if isinstance(content, bytes):
            self.size, tag = len(content), hashlib.sha256(content).hexdigest()
        else:
            self.size, tag = content.stat().st_size, content.stat().st_mtime_ns
        self.etag = f'"{version}-{tag}"'
        self.last_modified = email.utils.formatdate(60 * version, usegmt=True)

    def pieces(self, start, end):
        """Yields the bytes from `start` to `end` in chunks."""
        if isinstance(self.content, bytes):
            for place in range(start, end, CHUNK):
                yield self.content[place : min(place + CHUNK, end)]
            return
        with self.content.open("rb") as file:
            file.seek(start)
            for place in range(start, end, CHUNK):
                yield file.read(min(CHUNK, end - place))


class WeightsServer(http.server.ThreadingHTTPServer):
    """The server; use it with `running_server`.

    Args:
        files: dict from path to bytes or to the path of a file; or a folder.

    Attributes:
        requests: list of `Request`, in the order of their arrival.
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Handler)
        self._lock = threading.Lock()
        self._files = {p: StoredFile(c) for p, c in _by_path(files).items()}
        self._faults = []
        self.requests = []
        self.released = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def sent(self):
        """Returns the bytes of all bodies that were sent."""
        return sum(request.sent for request in self.requests)

    def fail(self, pattern, fault, times=float("inf")):
        """Applies a fault to the next requests whose path matches a pattern.

        Args:
            pattern: string, such as `"*.index"`.
            fault: `Fault`.
            times: int, the number of requests. Defaults to all. Then the next fault
                for the same path applies, if any.
        """
        with self._lock:
            self._faults.append(_ActiveFault(pattern, fault, times))

    def heal(self):
        """Ends all faults, forgets the requests, and lets stalled answers end."""
        with self._lock:
            self._faults.clear()
            self.requests = []
        self.release()
        self.released = threading.Event()

    def release(self):
        """Closes the connections of stalled answers."""
        self.released.set()

    def replace(self, path, content):
        """Changes the content of a file, and with it the ETag and the date."""
        with self._lock:
            version = self._files[path].version + 1
            self._files[path] = StoredFile(content, version)

    def file(self, path):
        """Returns the `StoredFile` of a path, or `None`."""
        with self._lock:
            return self._files.get(path)

    def take_fault(self, path):
        """Returns the fault of a request, which counts as one of its times."""
        with self._lock:
            for active in self._faults:
                if active.times > 0 and fnmatch.fnmatchcase(path, active.pattern):
                    active.times -= 1
                    return active.fault
        return _NO_FAULT

    def handle_error(self, request, client_address):
        """Ignores clients that hang up, which is part of the tests."""


@contextlib.contextmanager
def running_server(files):
    """Runs a `WeightsServer` in a thread; see there."""
    server = WeightsServer(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release()
        server.shutdown()
        server.server_close()
        thread.join()


def _by_path(files):
    if isinstance(files, dict):
        return files
    folder = pathlib.Path(files)
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_arguments):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
        self._request = Request(self.command, path, self.headers)
        self.server.requests.append(self._request)
        fault, file = self.server.take_fault(path), self.server.file(path)
        if fault.silent:
            self._wait_for_release()
        elif fault.status is not None:
            headers = {"Retry-After": fault.retry_after}
            self._send_page(fault.status, b"refused", headers)
        elif fault.location is not None:
            self._send_page(302, b"", {"Location": fault.location})
        elif fault.page is not None:
            self._send_page(200, fault.page, {"Content-Type": "text/html"})
        elif file is None:
            self._send_page(404, b"not found")
        else:
            self._send_file(file, fault)
        if fault.replacement is not None:
            self.server.replace(path, fault.replacement)

    def _send_page(self, status, body, headers=()):
        self._send_headers(status, {"Content-Length": len(body), **dict(headers)})
        if self.command != "HEAD":
            self._write(body)

    def _send_headers(self, status, headers):
        self._request.status = status
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()

    def _send_file(self, file, fault):
        size = file.size if fault.claimed_size is None else fault.claimed_size
        span = None if fault.ignores_range or fault.gzip else self._range(file, size)
        start, end = span or (0, size)
        if span is not None and start >= end:
            self._send_page(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": file.etag,
            "Last-Modified": file.last_modified,
            "Accept-Ranges": "none" if fault.ignores_range else "bytes",
            "Content-Range": span and f"bytes {start}-{end - 1}/{size}",
            "Content-Length": None if fault.hides_length else end - start,
            "Transfer-Encoding": "chunked" if fault.hides_length else None,
            "Content-Encoding": "gzip" if fault.gzip else None,
        }
        self._send_headers(206 if span else 200, headers)
        if self.command == "GET":
            self._send_body(_pieces(file, start, end, fault), end - start, fault)

    def _range(self, file, size):
        """Returns start and end of the requested range, or `None` for the whole file.

        The start is not less than the end if the file has no such bytes.
        """
        condition = self.headers.get("If-Range")
        if condition not in (None, file.etag, file.last_modified):
            return None
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if match is None or not any(match.groups()):
            return None
        first, last = match.groups()
        if not first:
            return max(size - int(last), 0), size
        return int(first), min(int(last) + 1, size) if last else size

    def _send_body(self, pieces, length, fault):
        frame = _chunk if fault.hides_length else bytes
        for piece in pieces:
            time.sleep(fault.chunk_seconds)
            room = _room(fault, self._request.sent)
            if len(piece) < room:
                self._write(piece, frame)
                continue
            self._write(piece[:room], frame)
            self._break_off(fault)
            return
        if fault.hides_length:
            self.wfile.write(b"0\r\n\r\n")
        elif self._request.sent < length:
            self.close_connection = True

    def _write(self, piece, frame=bytes):
        if piece:
            self.wfile.write(frame(piece))
            self._request.sent += len(piece)

    def _break_off(self, fault):
        if fault.stall_after == self._request.sent:
            self._wait_for_release()
        self.close_connection = True

    def _wait_for_release(self):
        self.server.released.wait()
        self.close_connection = True


def _room(fault, sent):
    """Returns the number of bytes until the answer breaks off."""
    limits = [n for n in (fault.cut_after, fault.stall_after) if n is not None]
    return min(limits, default=float("inf")) - sent


def _chunk(piece):
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _pieces(file, start, end, fault):
    """Yields the pieces of an answer's body."""
    pieces = file.pieces(start, min(end, file.size))
    if fault.endless:
        pieces = itertools.chain(pieces, _forever(file))
    if fault.altered_at is not None:
        pieces = _altered(pieces, fault.altered_at - start)
    if fault.gzip:
        pieces = _compressed(pieces)
    return pieces


def _forever(file):
    while True:
        yield from file.pieces(0, file.size)


def _altered(pieces, place):
    for piece in pieces:
        if 0 <= place < len(piece):
            flipped = bytes([piece[place] ^ 0xFF])
            piece = piece[:place] + flipped + piece[place + 1 :]
        place -= len(piece)
        yield piece


def _compressed(pieces):
    compressor = zlib.compressobj(1, wbits=_GZIP)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
