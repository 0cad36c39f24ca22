"""The place of the weights of a built-in preset: package, cache, server or none."""

from keras_vatt.storage._preset_folder import PresetFolder
from keras_vatt.storage._published_cache import cached_preset
from keras_vatt.storage._published_checkpoints import PUBLISHED

INCLUDED = "included"
CACHED = "cached"
DOWNLOAD = "download"
NONE = "none"


def weights_status(folder: PresetFolder) -> str:
    """Returns where the weights of a built-in preset are.

    Args:
        folder: `PresetFolder` of a built-in preset.

    Returns:
        `INCLUDED` in the package, `CACHED` on this machine, `DOWNLOAD` if
        `from_preset` downloads them, or `NONE` if none were published.
    """
    if folder.name not in PUBLISHED:
        return INCLUDED if folder.has_weights else NONE
    return DOWNLOAD if cached_preset(folder.name) is None else CACHED


def download_bytes(folder: PresetFolder) -> int | None:
    """Returns the least size of the download of a built-in preset.

    The size of the published files is not known. They hold each weight as float32, and
    may hold the state of an optimizer as well.

    Args:
        folder: `PresetFolder` of a built-in preset.

    Returns:
        int; `None` if no weights were published.
    """
    if folder.name not in PUBLISHED:
        return None
    return 4 * folder.read_metadata()["parameters"]
