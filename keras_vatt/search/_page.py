"""A search page that only this machine can reach: `pip install "keras-vatt[serve]"`.

The addresses of media and thumbnails contain the number of a window of the index, and a
query by a file is the body of a request: the browser never sends a path.
"""

from __future__ import annotations

import contextlib
import functools
import mimetypes
import os
import secrets
import socket
import threading
import typing

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._media import MediaError
from keras_vatt.search import _page_form as page_form
from keras_vatt.search._cards import message, result_cards
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_index import MediaIndex
from keras_vatt.search._page_guard import Guard, SecurityHeaders
from keras_vatt.search._page_queries import Choices, Places, read_text, uploaded_file
from keras_vatt.search._queries import unknown_words
from keras_vatt.search._thumbnails import thumbnail

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT

HOST = "127.0.0.1"
# The model answers one of them; the others are uploaded or wait.
_MOST_QUERIES = 4


def serve(index: MediaIndex, model: VATT, port: int = 7860) -> None:
    """Serves the page until the process is interrupted.

    The printed address contains a random token: other users of the machine can reach
    the port, but can't see the page.

    Args:
        index: `MediaIndex`.
        model: the `keras_vatt.VATT` that made it.
        port: int. Port of 127.0.0.1, which no other machine can reach. Defaults to
            `7860`.

    Raises:
        OSError: if the port is taken.
    """
    app = make_app(index, model)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        address = f"http://{HOST}:{listener.getsockname()[1]}/{app.state.token}/"
        print(f"search on {address} (Ctrl-C ends it)", flush=True)
        uvicorn.Server(_configuration(app)).run(sockets=[listener])


def _configuration(app):
    # Addresses contain the token, so they are not logged. A configuration of logging
    # would close the handlers of other packages, and with absl's the error stream.
    return uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, ws="none"
    )


def make_app(index: MediaIndex, model: VATT) -> Starlette:
    """Makes the page as a web application.

    Args:
        index: `MediaIndex`.
        model: the `keras_vatt.VATT` that made it.

    Returns:
        `starlette.applications.Starlette`. Its `state.token` is the first part of the
        path of every address, as in `/<token>/media/0`.

    Raises:
        MediaIndexError: if another model made the index.
    """
    index.check_model(model)
    media, queries = _Media(index), _Queries(index, model)
    token = secrets.token_urlsafe(24)
    app = Starlette(
        routes=[
            *page_form.routes(index, model),
            Route("/search/{kind}", queries.answer, methods=["POST"]),
            Route("/media/{number:int}", media.file),
            Route("/thumbnail/{number:int}", media.thumbnail),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            # Another site can't reach it under its own host name.
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(Guard, token=token),
        ],
        exception_handlers={HTTPException: _refusal, Exception: _failure},
    )
    app.state.token = token
    return app


def _refusal(request, error):
    return HTMLResponse(
        message(error.detail, "error"), error.status_code, error.headers
    )


def _failure(request, error):
    text = "The search failed. The terminal in which it was started shows the reason."
    return HTMLResponse(message(text, "error"), 500)


class _Media:
    """Media of an index, and thumbnails of its windows.

    Args:
        index: `MediaIndex`.
    """

    def __init__(self, index):
        self._index = index
        self._draw = functools.lru_cache(maxsize=512)(self._draw)

    def file(self, request):
        """Sends a file, or a range of its bytes."""
        file = self._open(request)
        return _OpenFileResponse(file, self._path(request))

    def thumbnail(self, request):
        """Sends an image of a window."""
        with self._open(request) as file:
            status = os.fstat(file.fileno())
        number = request.path_params["number"]
        try:
            content, kind = self._draw(number, status.st_mtime_ns, status.st_size)
        except MediaError as error:
            raise HTTPException(404, error.reason) from error
        return Response(content, media_type=kind)

    def _draw(self, number, modified, size):
        del modified, size  # A changed file is drawn again.
        window = self._index.window(number)
        with self._index.open_file(window.file.path) as file:
            return thumbnail(file, window.start, window.end)

    def _path(self, request):
        return self._index.window(request.path_params["number"]).file.path

    def _open(self, request):
        try:
            return self._index.open_file(self._path(request))
        except (IndexError, MediaIndexError) as error:
            raise HTTPException(404, "This is not in the index.") from error


class _OpenFileResponse(FileResponse):
    """Sends a file that is open, whatever its path leads to meanwhile."""

    def __init__(self, file, name):
        self._file = file
        number = file.fileno()
        super().__init__(
            f"/dev/fd/{number}",
            stat_result=os.fstat(number),
            media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        )

    async def __call__(self, scope, receive, send):
        with self._file:
            await super().__call__(scope, receive, send)


class _Queries:
    """Answers queries with HTML of the results, or of the reason why there are none.

    Args:
        index: `MediaIndex`.
        model: the `keras_vatt.VATT` that made it.
    """

    def __init__(self, index, model):
        self._index = index
        self._model = model
        self._places = Places(_MOST_QUERIES)
        self._one_at_a_time = threading.Lock()

    async def answer(self, request):
        """Answers one request."""
        kind = request.path_params["kind"]
        if kind not in ("text", "audio", "video"):
            raise HTTPException(404, "There is no such search.")
        choices = Choices.from_request(request)
        with self._places.take():
            async with _query(request, kind) as query:
                content = await run_in_threadpool(self._find, kind, query, choices)
        return HTMLResponse(content)

    def _find(self, kind, query, choices):
        given = {kind: query}
        if kind == "video" and choices.by == "both":
            given["audio"] = query
        with self._one_at_a_time, _translated_errors(choices.name):
            results = self._index.search(
                self._model,
                **given,
                top_k=choices.count,
                modality=choices.modality,
            )
        if not results:
            return message("The index has nothing of this kind.", "note")
        asked = f"“{query}”" if kind == "text" else choices.name
        found = "What fits best" if len(results) > 1 else "The only one"
        unknown = unknown_words(self._model, query) if kind == "text" else []
        note = f"Left out, as the model doesn't know: {', '.join(unknown)}."
        return (
            message(f"{found} for {asked}", "title")
            + (message(note, "note") if unknown else "")
            + result_cards(self._index, results)
        )


@contextlib.asynccontextmanager
async def _query(request, kind):
    if kind == "text":
        yield await read_text(request)
        return
    async with uploaded_file(request) as file:
        yield file


@contextlib.contextmanager
def _translated_errors(name):
    try:
        yield
    except MediaIndexError as error:
        raise HTTPException(422, str(error)) from error
    except MediaError as error:
        # The message of the decoder is about a file without a name.
        reason = "can't be decoded: it is damaged, or no media file"
        if error.problem is not Problem.CORRUPT:
            reason = error.reason
        raise HTTPException(422, f"{name} {reason}.") from error
