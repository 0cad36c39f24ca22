"""Lists the built-in presets, or prints the card of one preset.

A preset is a built-in name, a folder, or an address on the Hugging Face Hub.
"""

from keras_vatt.storage import PresetFolder, built_in_presets


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument(
        "preset",
        nargs="?",
        help="built-in preset, preset folder, or hf://owner/name; without it the "
        "built-in presets are listed",
    )


def run(arguments):
    """Runs the command, without a backend."""
    if arguments.preset is None:
        print("\n".join(_rows([PresetFolder(name) for name in built_in_presets()])))
        return
    print(PresetFolder(arguments.preset, with_weights=False).read_card())


def _rows(folders):
    width = max(len(folder.name) for folder in folders)
    yield f"{'preset':{width}}  {'parameters':>11}  weights  description"
    for folder in folders:
        metadata = folder.read_metadata()
        weights = "yes" if folder.has_weights else "no"
        yield (
            f"{folder.name:{width}}  {metadata['parameters']:11,}  {weights:7}  "
            f"{metadata['provenance']['description']}"
        )
