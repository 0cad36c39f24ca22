"""Loads preprocessors and their parts from presets."""

import os
from typing import Self

from keras_vatt.models._preset_list import ListsPresets
from keras_vatt.models._preset_preprocessor import load_preprocessor
from keras_vatt.storage import PresetError, PresetFolder


class PartFromPreset(ListsPresets):
    """Mixin of the preprocessor and its parts that load from presets."""

    @classmethod
    def from_preset(cls, preset: str | os.PathLike) -> Self:
        """Loads the preprocessor of a preset, or the part of it that has this class.

        Args:
            preset: string or path; see `keras_vatt.VATT.from_preset`.

        Returns:
            An instance of the class.

        Raises:
            PresetError: if there is no such preset, or it has no such part.

        Example:
        ```python
        tokenizer = keras_vatt.VATTTokenizer.from_preset("vatt_tiny_agnostic")
        ```
        """
        folder = PresetFolder(preset, with_weights=False)
        whole = load_preprocessor(folder)
        names = ("tokenizer", "video_converter", "audio_converter")
        for part in (whole, *(getattr(whole, name, None) for name in names)):
            if isinstance(part, cls):
                return part
        raise PresetError(f"The preset {folder.name!r} has no {cls.__name__}")
