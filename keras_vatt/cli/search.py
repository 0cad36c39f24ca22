"""Searches an index of `keras-vatt embed` by text, by audio, or by video.

--video and --audio can be combined to one query; both may name the same file.

--serve opens a web page to search and to play the results. Only this machine can reach
it (`pip install "keras-vatt[serve]"`).
"""

import dataclasses
import json
import sys

from keras_vatt._printable import printable_line
from keras_vatt.cli.errors import CommandError
from keras_vatt.data.decoding._short_clips import SHORT_CLIPS


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument("index", help="folder or URI of the index")
    parser.add_argument("--text", help="text query")
    parser.add_argument(
        "--audio", metavar="FILE", help="query by the audio of an audio or video file"
    )
    parser.add_argument(
        "--video", metavar="FILE", help="query by the frames of a video file"
    )
    parser.add_argument("--serve", action="store_true", help="open a web page")
    parser.add_argument(
        "--modality",
        choices=("video", "audio", "both"),
        help="modality of the windows to compare with: frames, audio, or the mean of "
        "both; by default audio for --video alone, both for --video with --audio, and "
        "video otherwise",
    )
    parser.add_argument(
        "--short-clips",
        choices=SHORT_CLIPS,
        help="rule for queries shorter than a clip, as in `keras-vatt embed`; by "
        "default the rule of the index",
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
        "--preset", help="preset of the model; by default the one that made the index"
    )
    parser.add_argument(
        "--folder", help="folder of the media files, if they or the index were moved"
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="show files outside of the media folder, to which links in it lead; not "
        "needed for an index that you made with --allow-outside",
    )
    parser.add_argument(
        "--port", type=int, default=7860, help="port of the web page of --serve"
    )


def run(arguments):
    """Runs the command."""
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
            "the index was made by someone else or on another machine, by the model "
            f"{index.named_preset!r}: pass it as --preset if you trust it"
        )
    if preset is None:
        raise CommandError(
            "the index doesn't name the model that made it: pass the model as --preset"
        )
    model = VATT.from_preset(preset)
    index.check_model(model)
    return model


def _serve(index, model, port):
    try:
        from keras_vatt.search._page import serve
    except ImportError as error:
        raise CommandError(
            f"the web page needs more packages ({error}): pip install "
            '"keras-vatt[serve]"'
        ) from error
    try:
        serve(index, model, port)
    except OSError as error:
        raise CommandError(f"port {port} can't be used: {error}") from error


def _warn(index, model, arguments):
    from keras_vatt.search import unknown_words

    if not index.complete:
        print(
            "note: the index is incomplete; run `keras-vatt embed` again",
            file=sys.stderr,
        )
    if arguments.approximate and not index.recall:
        print(
            "note: the search was exact, as there is no approximate index",
            file=sys.stderr,
        )
    unknown = unknown_words(model, arguments.text) if arguments.text else []
    if unknown:
        words = ", ".join(unknown)
        print(f"note: ignored, as the model doesn't know: {words}", file=sys.stderr)


def _json(results):
    text = json.dumps([dataclasses.asdict(result) for result in results], indent=2)
    # JSON requires no escape for this control character, the only such one.
    return text.replace("\x7f", "\\u007f")


def _table(results):
    from keras_vatt.search._cards import clock

    if not results:
        yield "no results"
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
