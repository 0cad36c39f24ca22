"""List the built-in presets, or say what one preset is.

With a name, a folder or an address on the Hugging Face Hub the card of that preset is
printed.
"""

from keras_vatt.cli.errors import CommandError
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetError, PresetFolder


def add_arguments(parser):
    """Add the options of the command."""
    parser.add_argument(
        "preset",
        nargs="?",
        help="built-in preset, preset folder, or hf://owner/name; all built-in ones "
        "are listed if not given",
    )


def run(arguments):
    """Run the command."""
    if arguments.preset is None:
        print("\n".join(_rows(describe_presets())))
        return
    try:
        folder = PresetFolder(arguments.preset, with_weights=False)
        print(folder.read_card())
    except PresetError as error:
        raise CommandError(str(error)) from error


def _rows(presets):
    width = max(map(len, presets))
    yield f"{'preset':{width}}  {'parameters':>11}  weights  description"
    for name, facts in presets.items():
        weights = "yes" if facts["has_weights"] else "no"
        yield (
            f"{name:{width}}  {facts['parameters']:11,}  {weights:7}  "
            f"{facts['description']}"
        )
