"""Embed a folder of video and audio, to search it with `keras-vatt search`.

Long files are cut into windows, each of which can be found. The same command resumes a
run that was interrupted, and later embeds only files that were added or changed. Files
that can't be decoded are skipped and counted. The report, which the index keeps, names
them, and also the media that are ignored: formats that are not read, and links out of
the folder. The index is a LanceDB database (`pip install "keras-vatt[search]"`).
"""

import os

from keras_vatt.data.decoding._short_clips import SHORT_CLIPS


def add_arguments(parser):
    """Add the options of the command."""
    parser.add_argument("folder", help="folder of media files; subfolders count")
    parser.add_argument(
        "--preset",
        required=True,
        help="built-in preset, preset folder, or hf://owner/name",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="INDEX",
        help="folder of the index, or its URI in an object store: s3://bucket/index",
    )
    parser.add_argument(
        "--window-seconds",
        type=float,
        metavar="SECONDS",
        help="length of a window, of which the clip in the middle is embedded; by "
        "default the length of the model's clip, which leaves nothing out",
    )
    parser.add_argument("--batch-size", type=int, default=32, help="windows per batch")
    parser.add_argument(
        "--num-workers",
        type=int,
        help="threads that decode files; by default one per processor",
    )
    parser.add_argument(
        "--short-clips",
        choices=SHORT_CLIPS,
        default="repeat",
        help="whether a file shorter than a clip is repeated from its beginning, "
        "padded with black frames and silence, or skipped",
    )
    parser.add_argument(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="whether a file that can't be decoded is skipped and named in the report, "
        "or ends the command",
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="follow links to files and folders outside of the folder",
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="build indexes for `keras-vatt search --approximate`, and report their "
        "recall",
    )


def run(arguments):
    """Run the command."""
    from keras_vatt.models import VATT
    from keras_vatt.search import MediaIndex, embed_folder

    model = VATT.from_preset(arguments.preset)
    report = embed_folder(
        model,
        arguments.folder,
        arguments.output,
        preset=_lasting_name(arguments.preset),
        window_seconds=arguments.window_seconds,
        batch_size=arguments.batch_size,
        num_workers=arguments.num_workers,
        short_clips=arguments.short_clips,
        on_error=arguments.on_error,
        allow_outside=arguments.allow_outside,
        approximate=arguments.approximate,
    )
    index = MediaIndex.load(arguments.output)
    print(report)
    if arguments.approximate:
        print("\n".join(_recall_lines(index)))
    print(f'the index is ready: keras-vatt search {arguments.output} --text "..."')


def _recall_lines(index):
    """Yields the recall of the approximate search, or why searches stay exact."""
    if not index.recall:
        yield (
            f"searches stay exact: {len(index)} windows are too few for an approximate "
            "index, which would not be faster"
        )
    for name, recall in index.recall.items():
        yield f"recall at 10 of the approximate search by {name}: {recall:.1%}"


def _lasting_name(preset):
    """Returns the name of a preset by which it is found from any folder."""
    from keras_vatt.storage import built_in_presets, find_folder

    local = None if preset in built_in_presets() else find_folder(preset)
    return preset if local is None else os.path.realpath(local)
