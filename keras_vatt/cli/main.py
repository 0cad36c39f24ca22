"""The `keras-vatt` command: one module of this package a subcommand."""

import argparse
import importlib
import sys

from keras_vatt.cli.errors import CommandError
from keras_vatt.cli.terminal import printable_streams
from keras_vatt.version import __version__

# Each module has `add_arguments(parser)` and `run(arguments)`.
_COMMANDS = {
    "pretrain": "pre-train VATT on video files with sound and captions",
    "evaluate": "measure a preset: zero-shot retrieval, linear probe, classification",
    "convert": "turn an original VATT checkpoint into a preset folder",
    "embed": "embed a folder of video and sound, to search it",
    "search": "find video and sound by a text, a sound or a video",
    "plan": "compile the train step for TPUs on this machine: memory, time, cost",
    "presets": "list the built-in presets, or describe one",
}


@printable_streams()
def main(argv=None):
    """Runs the command line.

    Args:
        argv: list of strings, the arguments. Defaults to `None`, those of the
            process.

    Returns:
        int, the exit code: 0, or 2 for bad arguments and missing files, which
        are named in one line on the standard error.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except CommandError as error:
        print(f"keras-vatt {arguments.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"keras-vatt {arguments.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-vatt",
        description="VATT (Video-Audio-Text Transformer) for Keras 3, pre-trained "
        "with cross-modality gradient harmonization.",
        epilog="The backend is chosen by the environment variable KERAS_BACKEND: "
        "jax, tensorflow or torch.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        module = importlib.import_module(f"keras_vatt.cli.{name}")
        command = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
