"""The `keras-vatt` command: one module of this package a subcommand."""

import argparse
import importlib
import os
import signal
import sys

from keras_vatt.cli.environment_errors import environment_message
from keras_vatt.cli.errors import CommandError
from keras_vatt.cli.stop_signals import stop_signals
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

# The exit code of a program that SIGPIPE ends: `keras-vatt presets | head -1`.
_NO_READER = 141

# How a command continues that was stopped.
_CONTINUED_BY = {
    "pretrain": "continue by --resume with the same --output",
    "evaluate": "with --output the same command continues",
    "embed": "the same command continues",
}


@printable_streams()
def main(argv=None):
    """Runs the command line.

    Args:
        argv: list of strings, the arguments. Defaults to `None`, those of the
            process.

    Returns:
        int, the exit code: 0; 2 for bad arguments, missing files, a full disk and
        whatever else the user can fix, in one line on the standard error; 130 after
        SIGINT, 143 after SIGTERM, 141 if nobody reads the standard output.
    """
    command = "keras-vatt"
    try:
        with stop_signals():
            arguments = _parser().parse_args(argv)
            command = f"keras-vatt {arguments.command}"
            arguments.run(arguments)
            sys.stdout.flush()
    except CommandError as error:
        return _fail(command, error)
    except KeyboardInterrupt as stop:
        return _say_stopped(command, stop)
    except OSError as error:
        _drop_unwritten_output()
        if isinstance(error, BrokenPipeError):
            return _NO_READER
        message = environment_message(error)
        if message is None:
            raise
        return _fail(command, message)
    return 0


def _fail(command, message):
    print(f"{command}: error: {message}", file=sys.stderr)
    return 2


def _say_stopped(command, stop):
    number = getattr(stop, "number", signal.SIGINT)
    word = "interrupted" if number == signal.SIGINT else "terminated"
    hint = _CONTINUED_BY.get(command.rpartition(" ")[2])
    print(f"{command}: {word}{f'; {hint}' if hint else ''}", file=sys.stderr)
    return 128 + number


def _drop_unwritten_output():
    """Drops what a standard output doesn't take: Python would fail on it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
