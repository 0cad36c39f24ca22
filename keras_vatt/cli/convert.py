"""Converts a checkpoint of the original VATT code to a preset.

With the name of a built-in preset (see `keras-vatt presets`), the checkpoint that the
authors of VATT published is downloaded and converted, unless that was done before. With
the path of a checkpoint, its tensors must match the weights of the model one to one;
otherwise the command lists all that do not. With a key listing (.tsv) in place of a
checkpoint, the command writes nothing and only reports which tensors would be mapped.
"""

import json
import os
import pathlib
import re

from keras_vatt.cli.errors import CommandError
from keras_vatt.conversion import convert, count_mapped, fetch_preset
from keras_vatt.conversion._published import check_published
from keras_vatt.models._preset_task import load_task
from keras_vatt.storage._published_checkpoints import PUBLISHED


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="NAME_OR_PREFIX",
        help="built-in preset with a published checkpoint; path of a checkpoint "
        "without .index, or its folder; or path of a key listing (.tsv)",
    )
    parser.add_argument(
        "--config",
        metavar="NAME_OR_JSON",
        help="for a path: built-in preset of the same architecture, or JSON file with "
        "the config of the original code",
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="preset folder to write; for a name the default is the local cache",
    )
    parser.add_argument(
        "--push-to-hub",
        metavar="OWNER/NAME",
        help="repository on the Hugging Face Hub to upload the preset to",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="file with the words of the text model, one per line; without it, and if "
        "the authors' vocabulary can't be downloaded, the preset accepts only word ids",
    )
    parser.add_argument(
        "--weights-url",
        metavar="ADDRESS",
        help="for a name: base address of the published checkpoints, https, or http on "
        "this machine; overrides KERAS_VATT_WEIGHTS_URL",
    )
    parser.add_argument(
        "--keep-checkpoint",
        action="store_true",
        help="for a name: keep the downloaded checkpoint in the cache",
    )


def run(arguments):
    """Runs the command."""
    try:
        if arguments.source in PUBLISHED:
            _convert_published(arguments)
            return
        _check_path_options(arguments)
        if arguments.source.endswith(".tsv"):
            mapped, present = count_mapped(arguments.source, _config(arguments))
            print(f"mapped {mapped} of {present} tensors; none is left over")
            return
        _convert_files(arguments)
    except (FileNotFoundError, ValueError) as error:
        raise CommandError(str(error)) from error


def _convert_published(arguments):
    if arguments.config is not None:
        raise CommandError("--config is not needed for the name of a preset")
    folder = fetch_preset(
        arguments.source,
        arguments.vocabulary,
        arguments.weights_url,
        arguments.keep_checkpoint,
    )
    print(f"the preset is in the cache: {folder}")
    if arguments.output is None and arguments.push_to_hub is None:
        return
    model = load_task(folder)
    if arguments.output is not None:
        model.save_to_preset(arguments.output)
        print(f"it was copied to {os.path.realpath(arguments.output)}")
    _push(model, arguments)


def _convert_files(arguments):
    model = convert(
        arguments.source,
        _config(arguments),
        arguments.output,
        vocabulary=arguments.vocabulary,
        progress=True,
    )
    print(f"the preset is in {os.path.realpath(arguments.output)}")
    _push(model, arguments)


def _push(model, arguments):
    if arguments.push_to_hub is not None:
        address = model.push_to_hub(arguments.push_to_hub)
        print(f"it was uploaded to {address}")


def _check_path_options(arguments):
    if arguments.weights_url is not None or arguments.keep_checkpoint:
        raise CommandError(
            "--weights-url and --keep-checkpoint need the name of a preset in --from. "
            f"Received: {arguments.source!r}"
        )
    if arguments.config is None:
        is_name = re.fullmatch(r"\w+", arguments.source) is not None
        if is_name and not os.path.exists(arguments.source):
            check_published(arguments.source)
        raise CommandError("--config is missing")
    if arguments.output is None and not arguments.source.endswith(".tsv"):
        raise CommandError("--output is missing")


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
