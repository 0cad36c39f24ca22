"""The `keras-vatt` command: one module of this package per subcommand."""

import argparse
import importlib
import os
import signal
import sys

from keras_vatt._errors import KerasVATTError
from keras_vatt._registration import register_classes
from keras_vatt.cli.environment_errors import environment_message
from keras_vatt.cli.huge_pages import restart_with_huge_pages
from keras_vatt.cli.quiet_logs import quiet_imports, quiet_logs
from keras_vatt.cli.stop_signals import stop_signals
from keras_vatt.cli.terminal import printable_streams
from keras_vatt.version import __version__

# Each module has `add_arguments(parser)` and `run(arguments)`.
_COMMANDS = {
    "prepare": "prepare a dataset for training: from raw files to shards",
    "pretrain": "pre-train VATT on video files with audio and captions",
    "evaluate": "evaluate a preset: retrieval, zero-shot, linear probe, classification",
    "audit": "rank the clips of a corpus by how well video, audio and caption agree",
    "convert": "convert a published or local VATT checkpoint to a preset",
    "publish": "convert the published checkpoints and upload them to the Hub",
    "embed": "embed a folder of video and audio files for search",
    "search": "search video and audio files by text, audio or video",
    "plan": "estimate memory, time and cost of training on TPUs, without TPUs",
    "presets": "list the built-in presets, or print the card of a preset",
}

_WITHOUT_MODEL = ("prepare", "presets")

# The exit code after SIGPIPE, as in `keras-vatt presets | head -1`.
_NO_READER = 141

# How to resume a command after it was stopped.
_RESUMED_BY = {
    "prepare": "resume with the same command",
    "pretrain": "resume with --resume and the same --output",
    "evaluate": "if --output was given, resume with the same command",
    "audit": "resume with the same command",
    "convert": "if a published checkpoint is being downloaded, resume with the same "
    "command",
    "publish": "resume with the same command",
    "embed": "resume with the same command",
}


def start():
    """Runs the command line as a process of its own; returns the exit code."""
    restart_with_huge_pages()
    return main()


@printable_streams()
def main(argv=None):
    """Runs the command line.

    Args:
        argv: list of strings. Defaults to `None`, the arguments of the process.

    Returns:
        int, the exit code: 0 for success; 2 for an error that the user can fix (bad
        arguments, missing files, a full disk), with one line on standard error; 130
        after SIGINT, 143 after SIGTERM, 141 if standard output was closed.
    """
    command = "keras-vatt"
    try:
        with stop_signals():
            quiet_logs()
            arguments = _parser().parse_args(argv)
            command = f"keras-vatt {arguments.command}"
            if arguments.command not in _WITHOUT_MODEL:
                with quiet_imports():
                    register_classes()
            arguments.run(arguments)
            sys.stdout.flush()
    except KerasVATTError as error:
        return _fail(command, error)
    except KeyboardInterrupt as stop:
        return _print_stopped(command, stop)
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
    message = " ".join(str(message).splitlines())
    print(f"{command}: error: {message}", file=sys.stderr)
    return 2


def _print_stopped(command, stop):
    number = getattr(stop, "number", signal.SIGINT)
    word = "interrupted" if number == signal.SIGINT else "terminated"
    hint = _RESUMED_BY.get(command.rpartition(" ")[2])
    print(f"{command}: {word}{f'; {hint}' if hint else ''}", file=sys.stderr)
    return 128 + number


def _drop_unwritten_output():
    """Discards output that can't be written, as Python would fail on it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _CommandParser(argparse.ArgumentParser):
    """A parser that imports the module of its command when the command is used.

    Modules of other commands, and a backend that only they need, are not imported.
    """

    def __init__(self, *args, module=None, **kwargs):
        super().__init__(*args, **kwargs)
        self._module = module

    def parse_known_args(self, args=None, namespace=None):
        if self._module is not None:
            with quiet_imports():
                module = importlib.import_module(self._module)
            self._module = None
            self.description = module.__doc__
            module.add_arguments(self)
            self.set_defaults(run=module.run)
        return super().parse_known_args(args, namespace)


def _parser():
    parser = _CommandParser(
        prog="keras-vatt",
        description="VATT (Video-Audio-Text Transformer) for Keras 3, pre-trained "
        "with cross-modality gradient harmonization.",
        epilog="The environment variable KERAS_BACKEND selects the backend: jax, "
        "tensorflow or torch.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        commands.add_parser(
            name,
            module=f"keras_vatt.cli.{name}",
            help=summary,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
    return parser


if __name__ == "__main__":
    sys.exit(start())
