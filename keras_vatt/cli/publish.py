"""Converts the published checkpoints of VATT and uploads them to the Hugging Face Hub.

Each preset becomes the repository OWNER/NAME, with a card that credits the authors. Log
in first with `hf auth login`. Presets that are on the Hub already are skipped: to
resume, run the same command again. Each preset is removed from the local cache after
its upload, so that the disk only needs space for one.
"""

from keras_vatt.cli.errors import CommandError
from keras_vatt.conversion import publish_presets


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument("owner", metavar="OWNER", help="user or organization")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="built-in presets; without them, all with a published checkpoint",
    )
    parser.add_argument(
        "--weights-url",
        metavar="ADDRESS",
        help="base address of the published checkpoints, https, or http on this "
        "machine; overrides KERAS_VATT_WEIGHTS_URL",
    )
    parser.add_argument(
        "--private", action="store_true", help="make new repositories private"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="upload presets that are on the Hub already",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the presets in the local cache"
    )


def run(arguments):
    """Runs the command."""
    errors = publish_presets(
        arguments.owner,
        arguments.names,
        arguments.weights_url,
        arguments.private or None,
        arguments.overwrite,
        arguments.keep,
        report=lambda line: print(line, flush=True),
    )
    if errors:
        raise CommandError(
            f"failed: {', '.join(errors)}. To try again, run the same command"
        )
