"""Lists the built-in presets, or prints the card of one preset.

A preset is a built-in name, a folder, or an address on the Hugging Face Hub.
"""

from keras_vatt.storage import PresetFolder, built_in_presets
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._published_checkpoints import PUBLISHED
from keras_vatt.storage._weights_status import download_bytes, weights_status

_COLUMNS = (
    "preset",
    "modalities",
    "parameters",
    "download",
    "weights",
    "reported by the authors",
)
_ON_THE_RIGHT = ("parameters", "download")
_NOTES = """
download: the least size; a checkpoint may also hold the state of its optimizer.
weights:  included in the package, cached on this machine, download by the first
          `from_preset`, or none were published (`load_weights=False`).
reported: results that the authors of VATT report; they were not measured here.

`keras-vatt presets NAME` describes a preset."""


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
        rows = [_row(PresetFolder(name)) for name in built_in_presets()]
        print("\n".join([*_table([_COLUMNS, *rows]), _NOTES]))
        return
    print(PresetFolder(arguments.preset, with_weights=False).read_card())


def _row(folder):
    size = download_bytes(folder)
    published = PUBLISHED.get(folder.name)
    return (
        folder.name,
        " ".join(folder.read(files.BACKBONE)["config"]["modalities"]),
        f"{folder.read_metadata()['parameters'] / 1e6:.1f} M",
        "" if size is None else _bytes(size),
        weights_status(folder),
        "" if published is None else published.describe_results(),
    )


def _table(rows):
    """Yields lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if title in _ON_THE_RIGHT else cell.ljust(width)
            for cell, width, title in zip(row, widths, _COLUMNS, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _bytes(size):
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
