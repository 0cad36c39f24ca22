"""HTML of the results of a search: a card per window, with its player."""

import html
import pathlib

from keras_vatt._printable import printable, printable_line
from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._media import MediaError, probe
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_index import MediaIndex, SearchResult


def result_cards(index: MediaIndex, results: list[SearchResult]) -> str:
    """Makes the cards of the results, best first.

    Args:
        index: `MediaIndex`.
        results: list of `SearchResult`.

    Returns:
        String of HTML, in which names of files are escaped.
    """
    cards = "".join(_card(index, result) for result in results)
    return f'<ol class="vatt-results">{cards}</ol>'


def message(text: str, kind: str) -> str:
    """Makes a line of text in a box; `kind` is `"title"`, `"note"` or `"error"`."""
    role = "alert" if kind == "error" else "status"
    text = html.escape(printable(text))
    return f'<div class="vatt-message {kind}" role="{role}">{text}</div>'


def clock(seconds: float) -> str:
    """Formats seconds as a player shows them: `0:07.5`, `1:02:03.0`."""
    minutes, seconds = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:04.1f}"
    return f"{minutes}:{seconds:04.1f}"


def _card(index, result):
    path = pathlib.PurePosixPath(result.path)
    name, folder = (
        html.escape(printable_line(part))
        for part in (path.name, "" if path.parent.name == "" else f"{path.parent}/")
    )
    percent = round(100 * min(max(result.score, 0.0), 1.0))
    return (
        f'<li class="vatt-card" data-path="{folder}{name}">'
        f"{_player(index, result, name)}"
        f'<div class="about"><div class="name" title="{folder}{name}">{name}</div>'
        f'<div class="facts"><span class="folder">{folder}</span>'
        f'<span title="cosine of the embeddings"><b>{result.score:.2f}</b></span></div>'
        f'<svg class="bar" aria-hidden="true"><rect width="{percent}%"/></svg>'
        "</div></li>"
    )


def _player(index, result, name):
    # Relative to the page, whose path has the token of the server.
    address = f"media/{result.window}#t={result.start:.3f},{result.end:.3f}"
    image = f"thumbnail/{result.window}"
    times = f'<span class="time">{clock(result.start)} – {clock(result.end)}</span>'
    if _has_video(index, result.path):
        return (
            f'<div class="player film"><video preload="none" poster="{image}" '
            f'src="{address}" tabindex="0" aria-label="{name}"></video>{times}</div>'
        )
    return (
        f'<div class="player"><img src="{image}" alt="loudness of {name}">{times}'
        f'<audio controls preload="none" src="{address}" aria-label="{name}"></audio>'
        "</div>"
    )


def _has_video(index, path):
    try:
        with index.open_file(path) as file, any_error_of(path):
            return probe(file).has_video
    except (MediaError, MediaIndexError):
        return True
