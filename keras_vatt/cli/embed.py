"""Embed a folder of video and sound, to search it by `keras-vatt search`.

Long files are cut into windows, which are found on their own. The same command goes on
with a run that was interrupted, and later embeds what was added or changed. Files that
can't be decoded are skipped, counted, and named in report.json of the index, and so are
media that are ignored: formats that are not read, and links out of the folder.
"""

import os

from keras_vatt.cli.errors import CommandError
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
        "--output", required=True, metavar="INDEX", help="folder of the index"
    )
    parser.add_argument(
        "--window-seconds",
        type=float,
        metavar="SECONDS",
        help="one clip is embedded out of each so many seconds, their middle; the "
        "length of the model's clip if not given, so that nothing is left out",
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, help="clips that are embedded at a time"
    )
    parser.add_argument(
        "--short-clips",
        choices=SHORT_CLIPS,
        default="repeat",
        help="a file shorter than a clip is repeated from its beginning, padded with "
        "black frames and silence, or left out; by default it is repeated",
    )
    parser.add_argument(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="whether a file that can't be decoded is named in the report, or ends the "
        "command; by default it is skipped",
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="follow links to files and folders outside of the folder",
    )


def run(arguments):
    """Run the command."""
    from keras_vatt.data import MediaError
    from keras_vatt.models import VATT
    from keras_vatt.search import MediaIndexError, embed_folder
    from keras_vatt.storage import PresetError, WeightsMismatchError

    try:
        model = VATT.from_preset(arguments.preset)
        report = embed_folder(
            model,
            arguments.folder,
            arguments.output,
            preset=_lasting_name(arguments.preset),
            window_seconds=arguments.window_seconds,
            batch_size=arguments.batch_size,
            short_clips=arguments.short_clips,
            on_error=arguments.on_error,
            allow_outside=arguments.allow_outside,
        )
    except (
        *(MediaError, MediaIndexError, PresetError, WeightsMismatchError),
    ) as error:
        raise CommandError(str(error)) from error
    print(report)
    print(f'the index is ready: keras-vatt search {arguments.output} --text "..."')


def _lasting_name(preset):
    """The name of a preset by which it is found from any folder."""
    from keras_vatt.storage import built_in_presets, find_folder

    local = None if preset in built_in_presets() else find_folder(preset)
    return preset if local is None else os.path.realpath(local)
