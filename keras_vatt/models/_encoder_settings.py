"""Sizes and settings of the encoders of a `VATTSpecificBackbone`."""

from collections.abc import Mapping
from typing import Any

from keras_vatt import _encoder_options as names
from keras_vatt._choices import check_choice


def checked_settings(modality: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the names of the sizes and settings of an encoder.

    Args:
        modality: string.
        settings: dict; see `keras_vatt.VATTSpecificBackbone`. A setting that is `None`
            counts as not given.

    Returns:
        Dict of the given sizes and settings.

    Raises:
        ValueError: if a size is missing, or a setting is unknown.
    """
    settings = {key: value for key, value in settings.items() if value is not None}
    own = names.PATCH_ENCODER_OPTIONS
    if modality == "text":
        own = names.TEXT_ENCODER_OPTIONS
    sizes, options = list(names.ENCODER_SIZES), [*names.ENCODER_OPTIONS, *own]
    missing = [size for size in sizes if size not in settings]
    unknown = sorted(set(settings) - {*sizes, *options})
    if missing or unknown:
        raise ValueError(
            f"`{modality}_encoder` must have the sizes {sizes}, and may have the "
            f"settings {options}. Missing: {missing}, unknown: {unknown}"
        )
    check_choice("pooling", settings.get("pooling", "aggregation_token"), names.POOLING)
    return settings


def stem_settings(modality: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a stem from the settings of its encoder.

    Args:
        modality: string.
        settings: dict; see `checked_settings`.

    Returns:
        Dict of arguments of `PatchStem` or `WordStem`.
    """
    is_text = modality == "text"
    arguments = {
        "projection": settings.get("input_projection", is_text),
        "activation": settings.get("activation", "gelu"),
    }
    if "dropout" in settings:
        arguments["dropout"] = settings["dropout"]
    if "token_keep_rate" in settings:
        arguments["keep_rate"] = settings["token_keep_rate"]
    if is_text:
        pooling = settings.get("pooling", "aggregation_token")
        arguments["aggregation"] = pooling == "aggregation_token"
    return arguments
