"""A page to search an index on, on this machine alone: `pip install keras-vatt[serve]`.

Gradio makes the form. Media and thumbnails have addresses by the number of their
window in the index, so that no path comes from outside; and a policy, sent with each
page, keeps the browser from asking any other machine for anything.
"""

import functools
import os
import pathlib
import socket

import fastapi
import fastapi.responses
from starlette.middleware.trustedhost import TrustedHostMiddleware

from keras_vatt.data.media import MediaError
from keras_vatt.search.cards import message, result_cards
from keras_vatt.search.errors import MediaIndexError
from keras_vatt.search.media_index import unknown_words
from keras_vatt.search.thumbnails import thumbnail

# It is read when Gradio is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr  # noqa: E402
import uvicorn  # noqa: E402

HOST = "127.0.0.1"
_LARGEST_UPLOAD = "500mb"
_STYLE = pathlib.Path(__file__).with_name("page.css")
_FONTS = ("system-ui", "-apple-system", "Segoe UI", "sans-serif")
_MONO_FONTS = ("ui-monospace", "Consolas", "monospace")

# Gradio's page needs inline scripts and styles, and workers for its players.
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' "
    "blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'self'; "
    "form-action 'self'; object-src 'none'"
)

_SOUGHT = {"Videos, by what is seen": "video", "Sounds, by what is heard": "audio"}


def serve(index, model, port=7860):
    """Serve the page until the process is interrupted.

    Args:
        index: `MediaIndex`.
        model: the `keras_vatt.VATT` that made it.
        port: int. Of 127.0.0.1; no other machine can reach it. Defaults to `7860`.

    Raises:
        OSError: if the port is taken.
    """
    app = make_app(index, model)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        print(f"search on http://{HOST}:{listener.getsockname()[1]} (Ctrl-C ends it)")
        config = uvicorn.Config(app, log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


def make_app(index, model):
    """The page as a web application.

    Args:
        index: `MediaIndex`.
        model: the `keras_vatt.VATT` that made it.

    Returns:
        `fastapi.FastAPI`.

    Raises:
        MediaIndexError: if the model is another.
    """
    index.check_model(model)
    app = fastapi.FastAPI(openapi_url=None)
    # A site elsewhere can't reach it under a name of its own.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.middleware("http")(_with_policy)
    _add_media(app, index)
    theme = gr.themes.Soft(
        primary_hue="indigo", neutral_hue="slate", font=_FONTS, font_mono=_MONO_FONTS
    )
    return gr.mount_gradio_app(
        app,
        _make_blocks(index, model),
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        max_file_size=_LARGEST_UPLOAD,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        theme=theme,
        css=_STYLE.read_text("utf-8"),
    )


async def _with_policy(request, call_next):
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _add_media(app, index):
    draw = functools.lru_cache(maxsize=512)(_draw)

    @app.get("/media/{number:int}")
    def media(number: int):
        return fastapi.responses.FileResponse(_file_of(index, number))

    @app.get("/thumbnail/{number:int}")
    def picture(number: int):
        path, window = _file_of(index, number), index.window(number)
        try:
            content, kind = draw(
                path, path.stat().st_mtime_ns, window.start, window.end
            )
        except MediaError as error:
            raise fastapi.HTTPException(404, error.reason) from error
        return fastapi.Response(content, media_type=kind)


def _file_of(index, number):
    try:
        path = index.find_file(index.window(number).file.path)
    except (IndexError, MediaIndexError) as error:
        raise fastapi.HTTPException(404, "not in the index") from error
    if not path.is_file():
        raise fastapi.HTTPException(404, "the file is not there any more")
    return path


def _draw(path, modified, start, end):
    del modified  # A changed file is drawn anew.
    return thumbnail(path, start, end)


def _make_blocks(index, model):
    joint = model.bridge_head.embeds_audio_and_text_together
    with gr.Blocks(
        title="Search by keras_vatt", analytics_enabled=False, delete_cache=(600, 3600)
    ) as blocks:
        gr.HTML(_heading(index), elem_id="heading")
        with gr.Tabs():
            with gr.Tab("Words", id="words"):
                text = gr.Textbox(
                    label="What are you looking for?",
                    placeholder="Describe what is to be seen",
                    elem_id="text-query",
                    max_length=500,
                )
                by_text = _options("text", sounds_too=joint)
            with gr.Tab("Sound", id="sound"):
                audio = gr.Audio(
                    label="A sound, or a video of which the sound counts",
                    sources=["upload", "microphone"],
                    type="filepath",
                    editable=False,
                    elem_id="audio-query",
                )
                by_audio = _options("audio", sounds_too=True)
            with gr.Tab("Video", id="video"):
                video = gr.Video(
                    label="A video",
                    sources=["upload"],
                    height=280,
                    elem_id="video-query",
                )
                by_video = _options("video", sounds_too=True)
        results = gr.HTML(_welcome(index), elem_id="results")
        answer = functools.partial(_answer, index, model)
        for kind, query, options in (
            ("text", text, by_text),
            ("audio", audio, by_audio),
            ("video", video, by_video),
        ):
            sought, count, button = options
            triggers = [button.click] + ([query.submit] if kind == "text" else [])
            gr.on(
                triggers,
                functools.partial(answer, kind),
                [query, sought, count],
                results,
                concurrency_id="model",
                concurrency_limit=1,
                api_visibility="private",
            )
    return blocks


def _options(kind, sounds_too):
    choices = list(_SOUGHT) if sounds_too else list(_SOUGHT)[:1]
    with gr.Row(equal_height=True):
        sought = gr.Radio(choices, value=choices[0], label="Look for")
        count = gr.Slider(1, 48, value=12, step=1, label="Results at most")
        button = gr.Button("Search", variant="primary", elem_id=f"{kind}-search")
    return sought, count, button


def _answer(index, model, kind, query, sought, count):
    """HTML of what was found, or of why nothing was."""
    if not query:
        wanted = {"text": "Write what you look for first."}
        return message(wanted.get(kind, "Choose a file first."), "error")
    try:
        results = index.search(
            model, **{kind: query}, top_k=int(count), modality=_SOUGHT[sought]
        )
    except MediaError as error:
        return message(f"{pathlib.Path(error.path).name} {error.reason}.", "error")
    except MediaIndexError as error:
        return message(str(error), "error")
    if not results:
        return message("The index has nothing of this kind.", "note")
    unknown = unknown_words(model, query) if kind == "text" else []
    note = f"The model doesn't know: {', '.join(unknown)}." if unknown else ""
    return (message(note, "note") if note else "") + result_cards(index, results)


def _heading(index):
    what = f"{len(index.paths):,} files, {len(index):,} windows"
    return f"<h1>Search your media</h1><p>{what}. Nothing leaves this machine.</p>"


def _welcome(index):
    if index.complete:
        return message("Search by words, by a sound, or by a video.")
    return message("This index is not finished: run `keras-vatt embed` again.", "note")
