"""Converts a checkpoint of the original VATT code to a preset folder.

The tensors of the checkpoint must match the weights of the model one to one; otherwise
the command lists all that do not. With a key listing (.tsv) in place of a checkpoint,
the command writes nothing and only reports which tensors would be mapped.
"""

import json
import os
import pathlib

from keras_vatt.cli.errors import CommandError
from keras_vatt.conversion._convert import convert, count_mapped


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="CHECKPOINT_PREFIX",
        help="path of the checkpoint without .index, or of a key listing (.tsv)",
    )
    parser.add_argument(
        "--config",
        required=True,
        metavar="NAME_OR_JSON",
        help="built-in preset of the same architecture, or JSON file with the config "
        "of the original code",
    )
    parser.add_argument("--output", metavar="FOLDER", help="preset folder to write")
    parser.add_argument(
        "--push-to-hub",
        metavar="OWNER/NAME",
        help="repository on the Hugging Face Hub to upload the preset to",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="file with the words of the text model, one per line; without it the "
        "preset accepts only token ids as text",
    )


def run(arguments):
    """Runs the command."""
    is_listing = arguments.source.endswith(".tsv")
    if not is_listing and arguments.output is None:
        raise CommandError("--output is missing")
    try:
        if is_listing:
            mapped, present = count_mapped(arguments.source, _config(arguments))
            print(f"mapped {mapped} of {present} tensors; none is left over")
            return
        model = convert(
            arguments.source,
            _config(arguments),
            arguments.output,
            vocabulary=arguments.vocabulary,
            progress=True,
        )
        print(f"the preset is in {os.path.realpath(arguments.output)}")
        if arguments.push_to_hub is not None:
            address = model.push_to_hub(arguments.push_to_hub)
            print(f"it was uploaded to {address}")
    except (FileNotFoundError, ValueError) as error:
        raise CommandError(str(error)) from error


def _config(arguments):
    path = pathlib.Path(arguments.config)
    if path.suffix != ".json":
        return arguments.config
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(
            f"the config {arguments.config!r} can't be read: {error}"
        ) from error
