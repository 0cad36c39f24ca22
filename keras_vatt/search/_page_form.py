"""The search page: its form, its style, and its script."""

import functools
import html
import pathlib
import string

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from keras_vatt.models import VATTTokenizer
from keras_vatt.search._cards import message
from keras_vatt.search._page_queries import LARGEST_UPLOAD, LONGEST_TEXT

_FILES = pathlib.Path(__file__).with_name("static")
_KINDS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_MODALITIES = {"video": "Video", "audio": "Audio", "both": "Both"}
_PARTS = {"one": "Frames", "both": "Frames and audio"}
_COUNTS = (6, 12, 24, 48)

# The page lists the vocabulary if it has no more words than this.
_FEW_WORDS = 60


def routes(index, model):
    """Makes the routes of the page and of its files.

    Args:
        index: `MediaIndex`.
        model: the `keras_vatt.VATT` that made it.

    Returns:
        List of `starlette.routing.Route`.
    """
    page = HTMLResponse(_page(index, model))
    files = {name: _static_file(name, kind) for name, kind in _KINDS.items()}
    return [
        Route("/", functools.partial(_send, page)),
        *(
            Route(f"/{name}", functools.partial(_send, file))
            for name, file in files.items()
        ),
    ]


async def _send(response, request):
    return response


def _static_file(name, kind):
    return Response(_FILES.joinpath(name).read_bytes(), media_type=kind)


def _page(index, model):
    joint = model.bridge_head.embeds_audio_and_text_together
    page = string.Template(_FILES.joinpath("page.html").read_text("utf-8"))
    return page.substitute(
        size=f"{len(index):,} windows of {len(index.paths):,} files",
        few_words=_few_words(model),
        longest_text=LONGEST_TEXT,
        largest_upload=LARGEST_UPLOAD,
        text_options=_options("text", has_choice=joint),
        audio_options=_options("audio", has_choice=True),
        video_options=_options("video", has_choice=True),
        welcome=_welcome(index),
    )


def _options(kind, has_choice):
    choices = []
    if kind == "video":
        choices.append(_radios(kind, "by", "Search by", _PARTS, "one"))
    if has_choice:
        choices.append(_radios(kind, "modality", "Look for", _MODALITIES, "video"))
    counts = {str(count): str(count) for count in _COUNTS}
    choices.append(_radios(kind, "count", "Results at most", counts, "12"))
    return f'<div class="options">{"".join(choices)}</div>'


def _radios(kind, name, title, choices, chosen):
    inputs = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"'
        f"{' checked' if value == chosen else ''}><span>{text}</span></label>"
        for value, text in choices.items()
    )
    return (
        f'<fieldset class="choice" id="{kind}-{name}"><legend>{title}</legend>'
        f"<div>{inputs}</div></fieldset>"
    )


def _few_words(model):
    tokenizer = model.preprocessor.tokenizer
    # A vocabulary of word pieces says little about the words that are known.
    is_words = isinstance(tokenizer, VATTTokenizer)
    words = tokenizer.vocabulary or [] if is_words else []
    known = sorted(word for word in words if not word.startswith("<"))
    if not known or len(known) > _FEW_WORDS:
        return ""
    listed = html.escape(", ".join(known))
    return f'<p class="hint">This model knows {len(known)} words: {listed}.</p>'


def _welcome(index):
    if index.complete:
        return (
            '<div class="vatt-empty">Text finds video. Audio or a video finds what '
            "matches it, or is similar.</div>"
        )
    return message("This index is not finished: run `keras-vatt embed` again.", "note")
