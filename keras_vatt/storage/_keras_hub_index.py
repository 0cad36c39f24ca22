"""The index by which KerasHub's loader finds the safetensors weights of a preset.

KerasHub looks for `model.weights.h5`, then for `model.weights.json`, an index of
sharded weights files. It downloads these files and calls `load_weights` of the model.
In our presets the index names the safetensors files, which `VATTBackbone.load_weights`
reads.
"""

import pathlib

from keras_vatt._files import write_json
from keras_vatt.storage import _preset_files as files

INDEX = "model.weights.json"


def write_keras_hub_index(folder, weights):
    """Writes the index of a preset's weights for KerasHub.

    Args:
        folder: `pathlib.Path` of the preset.
        weights: list of the paths of its weights files.
    """
    names = [path.name for path in weights] + [files.METADATA]
    if len(weights) > 1:
        names.append(files.WEIGHTS_INDEX)
    write_json(folder / INDEX, {"weight_map": {"/": names}})


def names_safetensors(path):
    """Returns whether a weights file is the index of a preset with safetensors.

    Args:
        path: string or path.

    Returns:
        bool. `False` for the index of Keras, which names HDF5 files.
    """
    path = pathlib.Path(path)
    if path.name != INDEX or not path.is_file():
        return False
    weight_map = files.read_json(path.parent, INDEX).get("weight_map")
    names = weight_map.get("/") if isinstance(weight_map, dict) else None
    return isinstance(names, list) and files.METADATA in names
