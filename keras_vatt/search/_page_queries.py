"""Queries of the search page: their options, their sizes and their uploads."""

import contextlib
import dataclasses
import tempfile

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

LARGEST_UPLOAD = 500_000_000  # Bytes.
LONGEST_TEXT = 500  # Characters.
MOST_RESULTS = 48
_LONGEST_NAME = 200
_PATIENCE = 30.0  # Seconds without a byte until an upload is canceled.
_MODALITIES = ("video", "audio", "both")
_PARTS = ("one", "both")


@dataclasses.dataclass(frozen=True)
class Choices:
    """Options that come with a query.

    Args:
        modality: string, `"video"`, `"audio"` or `"both"`, see `MediaIndex.search`.
        by: string, `"one"` or `"both"`: whether a video is compared by its frames
            alone or by its audio too.
        count: int, maximum number of results.
        name: string, name of the uploaded file in the browser. It is only shown.
    """

    modality: str
    by: str
    count: int
    name: str

    @classmethod
    def from_request(cls, request):
        """Reads the options from the address of a request.

        Raises:
            HTTPException: of status 400, if one is missing or wrong.
        """
        given = request.query_params
        modality, count = given.get("modality", "video"), given.get("count", "12")
        if modality not in _MODALITIES:
            raise HTTPException(400, "`modality` must be video, audio or both.")
        by = given.get("by") or "one"
        if by not in _PARTS:
            raise HTTPException(400, "`by` must be one or both.")
        if not (count.isascii() and count.isdecimal() and len(count) < 4):
            raise HTTPException(400, "`count` must be a number.")
        if not 1 <= int(count) <= MOST_RESULTS:
            raise HTTPException(400, f"`count` must be from 1 to {MOST_RESULTS}.")
        name = given.get("name", "").strip()[:_LONGEST_NAME]
        return cls(modality, by, int(count), name or "The file")


class Places:
    """Limits how many queries are uploaded or answered at once.

    One event loop uses it, so it needs no lock.

    Args:
        number: int.
    """

    def __init__(self, number):
        self._free = number

    @contextlib.contextmanager
    def take(self):
        """Takes a place for a `with` block.

        Raises:
            HTTPException: of status 503, if none is free.
        """
        if self._free == 0:
            message = "Other searches are under way: try again when they are done."
            raise HTTPException(503, message, {"Retry-After": "5"})
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


async def read_text(request):
    """Reads a text query, the body of a request.

    Raises:
        HTTPException: of status 400, if it is empty, too long, or not UTF-8.
    """
    too_long = HTTPException(400, f"Use at most {LONGEST_TEXT} characters.")
    # A character takes at most four bytes.
    body = [chunk async for chunk in _chunks(request, 4 * LONGEST_TEXT, too_long)]
    try:
        text = b"".join(body).decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise HTTPException(400, "The text is not UTF-8.") from error
    if not text:
        raise HTTPException(400, "Write what you look for first.")
    if len(text) > LONGEST_TEXT:
        raise too_long
    return text


@contextlib.asynccontextmanager
async def uploaded_file(request):
    """Keeps the body of a request in a private file for a `with` block.

    The file has no name, in a temporary folder that no other user can enter: nothing
    of it is left after the block, or if the process is killed in between.

    Yields:
        Binary file object.

    Raises:
        HTTPException: if the body is empty (400) or larger than `LARGEST_UPLOAD`
            (413), if it stops coming (408), or if there is no space for it (507).
    """
    with contextlib.ExitStack() as stack:
        with _translated_disk_errors():
            folder = tempfile.TemporaryDirectory(prefix="keras-vatt-search-")
            path = stack.enter_context(folder)
            file = stack.enter_context(tempfile.TemporaryFile(dir=path))
            await _copy(request, file)
        yield file


@contextlib.contextmanager
def _translated_disk_errors():
    try:
        yield
    except OSError as error:
        message = f"The upload can't be stored: {error.strerror}."
        raise HTTPException(507, message) from error


async def _copy(request, file):
    megabytes = LARGEST_UPLOAD // 1_000_000
    too_large = HTTPException(413, f"The file is larger than {megabytes} MB.")
    # The length that is promised is not trusted, but it can be refused early.
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > LARGEST_UPLOAD:
        raise too_large
    async for chunk in _chunks(request, LARGEST_UPLOAD, too_large):
        file.write(chunk)
    if file.tell() == 0:
        raise HTTPException(400, "Choose a file first.")
    file.seek(0)


async def _chunks(request, limit, too_large):
    """Chunks of a body, until there are more bytes than allowed or none for long."""
    size, stream = 0, request.stream()
    while True:
        try:
            with anyio.fail_after(_PATIENCE):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise HTTPException(408, "The upload stopped coming.") from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The upload was broken off.") from error
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            raise too_large
        yield chunk
