"""Sizes and settings of the encoders of a `VATTSpecificBackbone`."""

from collections.abc import Mapping
from typing import Any

from keras_vatt._choices import check_choice

_SIZES = ("hidden_dim", "intermediate_dim", "num_layers", "num_heads", "head_dim")
_OPTIONS = (
    "activation",
    "layer_norm_epsilon",
    "dropout",
    "input_projection",
    "projection_dim",
    "projection_activation",
)
_PATCH_OPTIONS = ("use_bias", "normalize_first", "token_keep_rate")
_TEXT_OPTIONS = ("num_relative_buckets", "max_relative_distance", "pooling")
_POOLING = ("aggregation_token", "first_word", "max")


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
    own_options = _TEXT_OPTIONS if modality == "text" else _PATCH_OPTIONS
    missing = [size for size in _SIZES if size not in settings]
    unknown = set(settings) - {*_SIZES, *_OPTIONS, *own_options}
    if missing or unknown:
        raise ValueError(
            f"`{modality}_encoder` must have the sizes {list(_SIZES)}, and may have "
            f"the settings {[*_OPTIONS, *own_options]}. Missing: {missing}, unknown: "
            f"{sorted(unknown)}"
        )
    check_choice("pooling", settings.get("pooling", "aggregation_token"), _POOLING)
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
