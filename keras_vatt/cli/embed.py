"""Embeds a folder of video and audio files for `keras-vatt search`.

Long files are split into windows, which are embedded and found one by one. The same
command resumes an interrupted run, and later embeds only files that were added or
changed. Files that can't be decoded are skipped and counted. The report, which is
stored in the index, lists them and the ignored files: unsupported formats, and links
that lead out of the folder. The index is a LanceDB database
(`pip install "keras-vatt[search]"`).
"""

import os

from keras_vatt.data.decoding._short_clips import SHORT_CLIPS


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument("folder", help="folder of media files; includes subfolders")
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
        help="length of a window, whose middle clip is embedded; by default the length "
        "of the model's clip, so that the windows are embedded completely",
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
        help="rule for files shorter than a clip: repeat them from the beginning, pad "
        "them with black frames and silence, or skip them (error)",
    )
    parser.add_argument(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="rule for files that can't be decoded: skip them and list them in the "
        "report, or stop with an error",
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="follow links that lead out of the folder; only for data that you trust",
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="build indexes for `keras-vatt search --approximate`, and report their "
        "recall",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a cluster with Ray Data, whose nodes see the folder and "
        "the preset under the same names",
    )
    parser.add_argument(
        "--address",
        help="address of the Ray cluster, such as auto or 10.0.0.1:6379; by default "
        "one is started on this machine",
    )


def run(arguments):
    """Runs the command."""
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
        engine=arguments.engine,
        address=arguments.address,
    )
    index = MediaIndex.load(arguments.output)
    print(report)
    if arguments.approximate:
        print("\n".join(_recall_lines(index)))
    print(f'the index is ready: keras-vatt search {arguments.output} --text "..."')


def _recall_lines(index):
    """Yields lines with the recall of approximate searches, if there is an index."""
    if not index.recall:
        yield (
            f"searches stay exact: {len(index)} windows are too few for an approximate "
            "index to be faster"
        )
    for name, recall in index.recall.items():
        yield f"recall at 10 of the approximate search by {name}: {recall:.1%}"


def _lasting_name(preset):
    """Returns a name of the preset that is valid in any working directory."""
    from keras_vatt.storage import built_in_presets, find_folder

    local = None if preset in built_in_presets() else find_folder(preset)
    return preset if local is None else os.path.realpath(local)
