"""Search an index that `keras-vatt embed` made: by words, by audio, or by a video.

--video and --audio together, which may name the same file, are one query of both.

--serve opens a page to search and to play the results, which only this machine can
reach (`pip install "keras-vatt[serve]"`).
"""

import dataclasses
import json
import sys

from keras_vatt._printable import printable_line
from keras_vatt.cli.errors import CommandError
from keras_vatt.data.decoding._short_clips import SHORT_CLIPS


def add_arguments(parser):
    """Add the options of the command."""
    parser.add_argument("index", help="folder or URI of the index")
    parser.add_argument("--text", help="the query, in words")
    parser.add_argument("--audio", metavar="FILE", help="a file of audio or video")
    parser.add_argument("--video", metavar="FILE", help="a file of video")
    parser.add_argument("--serve", action="store_true", help="open a page to search on")
    parser.add_argument(
        "--modality",
        choices=("video", "audio", "both"),
        help="compare windows by their frames, their audio, or the mean of both; by "
        "default audio for a video, both for a query of both, and video otherwise",
    )
    parser.add_argument(
        "--short-clips",
        choices=SHORT_CLIPS,
        help="rule for a query shorter than a clip; by default the rule of the index",
    )
    parser.add_argument(
        "--top-k", type=int, default=10, help="maximum number of results"
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="search the approximate index of `keras-vatt embed --approximate`: faster "
        "in a large index, but it may miss windows",
    )
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    parser.add_argument(
        "--preset", help="the model; by default the one that made the index"
    )
    parser.add_argument(
        "--folder", help="folder of the media, if they or the index were moved"
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="show media to which links in their folder lead; not needed for an index "
        "that you made with --allow-outside",
    )
    parser.add_argument("--port", type=int, default=7860, help="port of the page")


def run(arguments):
    """Run the command."""
    from keras_vatt.search import MediaIndex

    _check_query(arguments)
    index = MediaIndex.load(arguments.index, arguments.folder, arguments.allow_outside)
    model = _load_model(index, arguments.preset)
    if arguments.serve:
        _serve(index, model, arguments.port)
        return
    results = index.search(
        model,
        text=arguments.text,
        audio=arguments.audio,
        video=arguments.video,
        top_k=arguments.top_k,
        modality=arguments.modality,
        short_clips=arguments.short_clips,
        approximate=arguments.approximate,
    )
    _warn(index, model, arguments)
    if arguments.json:
        print(_json(results))
        return
    print("\n".join(_table(results)))


def _check_query(arguments):
    names = ("text", "audio", "video", "serve")
    given = {name for name in names if getattr(arguments, name) not in (None, False)}
    if len(given) != 1 and given != {"audio", "video"}:
        raise CommandError(
            "give one of --text, --audio, --video and --serve, or --audio and --video "
            "together"
        )


def _load_model(index, preset):
    from keras_vatt.models import VATT

    preset = preset or index.preset
    if preset is None and index.named_preset is not None:
        raise CommandError(
            "the index was made by someone else, or on another machine, and its model "
            f"is {index.named_preset!r}: pass it as --preset if you trust it"
        )
    if preset is None:
        raise CommandError(
            "the index doesn't name the model that made it: pass --preset"
        )
    model = VATT.from_preset(preset)
    index.check_model(model)
    return model


def _serve(index, model, port):
    try:
        from keras_vatt.search._page import serve
    except ImportError as error:
        raise CommandError(
            f'the page needs more packages ({error}): pip install "keras-vatt[serve]"'
        ) from error
    try:
        serve(index, model, port)
    except OSError as error:
        raise CommandError(f"port {port} can't be used: {error}") from error


def _warn(index, model, arguments):
    from keras_vatt.search import unknown_words

    if not index.complete:
        print("note: the index is not finished; run embed again", file=sys.stderr)
    if arguments.approximate and not index.recall:
        print("note: the index is small: it was searched exactly", file=sys.stderr)
    unknown = unknown_words(model, arguments.text) if arguments.text else []
    if unknown:
        words = ", ".join(unknown)
        print(f"note: left out, as the model doesn't know: {words}", file=sys.stderr)


def _json(results):
    text = json.dumps([dataclasses.asdict(result) for result in results], indent=2)
    # The one control character that JSON allows as it is.
    return text.replace("\x7f", "\\u007f")


def _table(results):
    from keras_vatt.search._cards import clock

    if not results:
        yield "nothing was found"
        return
    rows = [
        (f"{result.score:.3f}", clock(result.start), clock(result.end), result.path)
        for result in results
    ]
    rows.insert(0, ("score", "start", "end", "path"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, printable_line(row[3])])
