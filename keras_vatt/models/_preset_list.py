"""The built-in presets: their descriptions, and the classes that load them."""

from typing import Any

import keras

from keras_vatt.models._preset_preprocessor import load_preprocessor
from keras_vatt.storage import PresetFolder, built_in_presets
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._card_facts import describe_inputs
from keras_vatt.storage._provenance import Provenance
from keras_vatt.storage._published_checkpoints import PUBLISHED
from keras_vatt.storage._weights_status import (
    CACHED,
    download_bytes,
    weights_status,
)


class class_property(property):  # noqa: N801
    """A property of a class, like `presets` of the base classes of KerasHub."""

    def __get__(self, _, owner):
        return self.fget(owner)


class ListsPresets:
    """Mixin of the classes that built-in presets can load."""

    @class_property
    def presets(cls):  # noqa: N805
        """The built-in presets of this class, a dict; see `describe_presets`."""
        descriptions = describe_presets()
        return {
            name: description
            for name, description in descriptions.items()
            if cls._can_load(description)
        }

    @classmethod
    def _can_load(cls, description):
        return True


def describe_presets() -> dict[str, dict[str, Any]]:
    """Describes the built-in presets.

    Returns:
        Dict from the name of a preset to a dict of `"description"`, `"class"` and
        `"backbone"` (names of classes), `"parameters"` (an int), `"modalities"` (a
        tuple of strings), `"inputs"` (a dict from modality to its shape, dtype and
        units), `"license"`, `"source"`, `"reported"` (a dict from metric to the value
        that the authors of VATT report), `"download_bytes"` (an int, the least size of
        the published checkpoint; `None` if there is none), `"is_cached"` (a bool,
        whether that checkpoint was downloaded and converted), and `"has_weights"` (a
        bool, whether the weights are in the package or in the cache).

    Example:
    ```python
    keras_vatt.models.describe_presets()["vatt_tiny_agnostic"]["parameters"]  # 794816
    ```
    """
    return {name: _describe(PresetFolder(name)) for name in built_in_presets()}


def registered_class(name):
    """Returns the class of this package that is registered with Keras by a name."""
    return keras.saving.get_registered_object(f"keras_vatt>{name}")


def _describe(folder):
    metadata = folder.read_metadata()
    provenance = Provenance.from_config(metadata["provenance"])
    backbone = folder.read(files.BACKBONE)
    modalities = tuple(backbone["config"]["modalities"])
    published = PUBLISHED.get(folder.name)
    return {
        "description": provenance.description,
        "class": folder.read(files.TASK)["class_name"],
        "backbone": backbone["class_name"],
        "parameters": metadata["parameters"],
        "modalities": modalities,
        "inputs": describe_inputs(load_preprocessor(folder), modalities),
        "license": provenance.license,
        "source": provenance.source,
        "reported": {} if published is None else dict(published.reported),
        "download_bytes": download_bytes(folder),
        "is_cached": weights_status(folder) == CACHED,
        "has_weights": folder.has_weights,
    }
