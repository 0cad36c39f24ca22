"""Turn a checkpoint of the original VATT code into a preset folder.

Every tensor of the checkpoint must fit the model, and every weight of the model must
be there; else all that doesn't fit is listed. With a key listing (.tsv) in place of a
checkpoint nothing is written: it says what would be mapped.
"""

import json
import os
import pathlib

from keras_vatt.cli.errors import CommandError
from keras_vatt.conversion._convert import convert, count_mapped


def add_arguments(parser):
    """Add the options of the command."""
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
        help="built-in preset whose sizes the model has, or a JSON file with the "
        "sizes as the original code names them",
    )
    parser.add_argument("--output", metavar="FOLDER", help="the preset to write")
    parser.add_argument(
        "--push-to-hub",
        metavar="OWNER/NAME",
        help="repository of the Hugging Face Hub that the preset is put into as well",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="the words of the text model, one a line; without it the preset takes "
        "word ids alone",
    )


def run(arguments):
    """Run the command."""
    is_listing = arguments.source.endswith(".tsv")
    if not is_listing and arguments.output is None:
        raise CommandError("--output is missing")
    try:
        if is_listing:
            mapped, present = count_mapped(arguments.source, _config(arguments))
            print(f"mapped {mapped} of {present} tensors; nothing is left over")
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
            print(f"and on the Hub: {address}")
    except (FileNotFoundError, ValueError) as error:
        raise CommandError(str(error)) from error


def _config(arguments):
    path = pathlib.Path(arguments.config)
    if path.suffix != ".json":
        return arguments.config
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"the config {arguments.config!r}: {error}") from error
