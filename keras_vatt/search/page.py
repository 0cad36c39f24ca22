"""A page to search an index on, on this machine alone: `pip install keras-vatt[serve]`.

Gradio makes the form. Media and thumbnails have addresses by the number of their
window in the index, so that no path comes from outside; and a policy, sent with each
page, keeps the browser from asking any other machine for anything.
"""

import functools
import html
import os
import pathlib
import socket

import fastapi
import fastapi.responses
from starlette.middleware.trustedhost import TrustedHostMiddleware

from keras_vatt.data.media import MediaError
from keras_vatt.data.report import Problem
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

_SOUGHT = {"What is seen": "video", "What is heard": "audio"}

# A model that knows fewer words than this has them listed.
_FEW_WORDS = 60


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
    theme = gr.themes.Default(
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
    with gr.Blocks(
        title="Search your media", analytics_enabled=False, delete_cache=(600, 3600)
    ) as blocks:
        gr.HTML(_heading(index), elem_id="heading")
        with gr.Tabs():
            forms = {
                "text": _text_form(model),
                "audio": _file_form("audio"),
                "video": _file_form("video"),
            }
        results = gr.HTML(_welcome(index), elem_id="results")
        for kind, (query, sought, count, button) in forms.items():
            gr.on(
                [button.click] + ([query.submit] if kind == "text" else []),
                functools.partial(_answer, index, model, kind),
                [query, sought, count],
                results,
                concurrency_id="model",
                concurrency_limit=1,
                api_visibility="private",
            )
    return blocks


def _text_form(model):
    joint = model.bridge_head.embeds_audio_and_text_together
    with gr.Tab("Words", id="text"):
        with gr.Row(elem_classes="query"):
            query = gr.Textbox(
                placeholder="Describe what is to be seen",
                label="What are you looking for?",
                show_label=False,
                container=False,
                scale=5,
                max_length=500,
                elem_id="text-query",
            )
            button = _button("text")
        gr.HTML(_few_words(model), elem_classes="hint")
        with gr.Row(elem_classes="options"):
            sought, count = _options(has_choice=joint)
    return query, sought, count, button


def _file_form(kind):
    with gr.Tab({"audio": "Sound", "video": "Video"}[kind], id=kind), gr.Row():
        with gr.Column(scale=3):
            query = _upload(kind)
        with gr.Column(scale=2, min_width=260):
            sought, count = _options(has_choice=True)
            button = _button(kind)
    return query, sought, count, button


def _upload(kind):
    if kind == "video":
        return gr.Video(
            label="A video",
            sources=["upload"],
            height=260,
            buttons=[],
            elem_id="video-query",
        )
    return gr.Audio(
        label="A sound",
        sources=["upload", "microphone"],
        type="filepath",
        editable=False,
        buttons=[],
        elem_id="audio-query",
    )


def _button(kind):
    return gr.Button("Search", variant="primary", elem_id=f"{kind}-search", scale=1)


def _options(has_choice):
    choices = list(_SOUGHT)
    sought = gr.Radio(
        choices, value=choices[0], label="Look for", visible=has_choice, min_width=240
    )
    count = gr.Radio([6, 12, 24, 48], value=12, label="Results at most", min_width=240)
    return sought, count


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
        return message(_trouble(query, error), "error")
    except MediaIndexError as error:
        return message(str(error), "error")
    if not results:
        return message("The index has nothing of this kind.", "note")
    title = message(_title(kind, query, results), "title")
    unknown = unknown_words(model, query) if kind == "text" else []
    note = f"Left out, as the model doesn't know: {', '.join(unknown)}."
    notes = message(note, "note") if unknown else ""
    return title + notes + result_cards(index, results)


def _trouble(query, error):
    name = pathlib.Path(query).name
    if error.problem is Problem.CORRUPT:
        # The library's own words have the path of the upload.
        return f"{name} can't be decoded: it is damaged, or no media file."
    return f"{name} {error.reason}."


def _title(kind, query, results):
    found = "What fits best" if len(results) > 1 else "The only one"
    asked = f"“{query.strip()}”" if kind == "text" else pathlib.Path(query).name
    return f"{found} for {asked}"


def _heading(index):
    what = f"{len(index):,} windows of {len(index.paths):,} files"
    return f"<h1>Search your media</h1><p>{what}. Nothing leaves this machine.</p>"


def _few_words(model):
    tokenizer = model.preprocessor.tokenizer
    words = [] if tokenizer is None else tokenizer.vocabulary or []
    known = sorted(word for word in words if not word.startswith("<"))
    if not known or len(known) > _FEW_WORDS:
        return ""
    return (
        f"<p>This model knows {len(known)} words: {html.escape(', '.join(known))}.</p>"
    )


def _welcome(index):
    if index.complete:
        return (
            '<div class="vatt-empty">Words find what is seen. A sound or a video finds '
            "what goes with it, or what is like it.</div>"
        )
    return message("This index is not finished: run `keras-vatt embed` again.", "note")
