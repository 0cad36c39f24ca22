"""Translates the settings of a tower of the original code into arguments of ours."""

from __future__ import annotations

from typing import Any

# The original code builds the norms of the positions without the tower's epsilon.
POSITION_NORM_EPSILON = 1e-6

# Beginnings of the names of towers with other architectures.
_FOREIGN = ("i3d", "resnet", "spt", "linear", "bert")


def tower_of(backbones: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns the settings of a tower.

    Args:
        backbones: dict, the entry `"backbones"` of a configuration.
        name: string, `"vit"`, `"wat"`, `"t5"` or `"unified"`.

    Returns:
        Dict.

    Raises:
        ValueError: if there is no such tower.
    """
    if name not in backbones:
        raise ValueError(
            "Only towers of the kinds 'vit', 'wat', 't5' and 'unified' can be "
            f"converted. The config lacks {name!r} and has {sorted(backbones)}"
        )
    return checked_tower(backbones[name])


def checked_tower(tower: dict[str, Any]) -> dict[str, Any]:
    """Refuses the settings of another architecture.

    Args:
        tower: dict.

    Returns:
        The same dict.

    Raises:
        ValueError: if the name of the tower is that of another architecture.
    """
    name = tower.get("name") or ""
    if name.lower().startswith(_FOREIGN):
        raise ValueError(
            f"Towers like {name!r} are not supported. Only ViT, waveform and T5 "
            "transformers and the unified transformer can be converted."
        )
    return tower


def encoder_sizes(tower: dict[str, Any]) -> dict[str, int]:
    """Returns the sizes of the encoder of a tower by our names."""
    return {
        "hidden_dim": tower["d_model"],
        "intermediate_dim": tower["d_ff"],
        "num_layers": tower["num_layers"],
        "num_heads": tower["num_heads"],
        "head_dim": tower["d_kv"],
    }


def encoder_options(tower: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of an encoder that differ from the published models."""
    given = {
        "activation": tower.get("activation", "gelu"),
        "use_bias": tower.get("use_bias", True),
        "normalize_first": tower.get("pre_norm", True),
    }
    published = {"activation": "gelu", "use_bias": True, "normalize_first": True}
    return {k: value for k, value in given.items() if value != published[k]}


def projection_activation(tower: dict[str, Any], entry: str) -> dict[str, str]:
    """Returns the activation after a projection, unless it is GELU.

    Args:
        tower: dict.
        entry: string, the entry of the tower with the activation.

    Returns:
        Dict with at most the entry `projection_activation`.
    """
    activation = tower.get(entry, "gelu") or "linear"
    return {} if activation == "gelu" else {"projection_activation": activation}


def patch_tower(tower: dict[str, Any]) -> dict[str, Any]:
    """Returns the sizes and settings of a video or audio tower with its own encoder."""
    settings = encoder_sizes(tower) | encoder_options(tower)
    if tower.get("pre_projection"):
        settings["input_projection"] = True
    if tower.get("post_projection"):
        settings["projection_dim"] = tower["d_post_proj"]
        settings |= projection_activation(tower, "post_proj_activation")
    return settings


def text_tower(text: dict[str, Any]) -> dict[str, Any]:
    """Returns the sizes and settings of a T5 tower.

    Args:
        text: dict. `pre_norm` and `use_bias` are ignored, as in the original code.

    Returns:
        Dict for `text_encoder`.

    Raises:
        ValueError: if the widths don't fit. The original code can't run such a model.
    """
    _check_input_width(text)
    published = {
        "activation": "gelu",
        "num_relative_buckets": 32,
        "max_relative_distance": 64,
    }
    settings = {name: text.get(name, value) for name, value in published.items()}
    settings = {k: value for k, value in settings.items() if value != published[k]}
    settings |= encoder_sizes(text)
    if text["d_pre_proj"] is None:
        settings["input_projection"] = False
    if text.get("d_post_proj") is not None:
        settings["projection_dim"] = text["d_post_proj"]
        settings |= projection_activation(text, "activation")
    if not text.get("use_agg_token", True):
        is_transformer = text.get("is_transformer", True)
        settings["pooling"] = "first_word" if is_transformer else "max"
    return settings


def _check_input_width(text):
    width = text["d_pre_proj"]
    if width is None:
        width = text["d_embedding"]
    if width != text["d_model"]:
        raise ValueError(
            "Text models whose words don't have the width of the encoder are not "
            "supported: d_pre_proj must be d_model, or None with d_embedding = "
            f"d_model. Received: d_pre_proj={text['d_pre_proj']}, "
            f"d_embedding={text['d_embedding']}, d_model={text['d_model']}"
        )


def token_keep_rate(tower: dict[str, Any]) -> float:
    """Returns the fraction of the patches that DropToken keeps."""
    return tower["patch_sampling_rate"] if tower["random_patch_sampling"] else 1.0


def common_settings(tower: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a backbone with one patch tower or a unified one."""
    settings = {
        "token_keep_rate": token_keep_rate(tower),
        "dropout": tower["dropout_rate"],
        "layer_norm_epsilon": tower["layer_norm_epsilon"],
    }
    if tower["layer_norm_epsilon"] != POSITION_NORM_EPSILON:
        settings["position_norm_epsilon"] = POSITION_NORM_EPSILON
    return settings


def own_settings(tower: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a tower that differ from those of its backbone.

    Args:
        tower: dict.
        common: dict; see `common_settings`.

    Returns:
        Dict, part of the settings of an encoder.
    """
    settings = {
        "dropout": tower["dropout_rate"],
        "layer_norm_epsilon": tower["layer_norm_epsilon"],
    }
    if "random_patch_sampling" in tower:
        settings["token_keep_rate"] = token_keep_rate(tower)
    return {k: value for k, value in settings.items() if value != common[k]}


def video_input(tower: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments for the patches and positions of video."""
    rows = tower["spatial_patch_size"]
    return {
        "video_patch_size": (tower["temporal_patch_size"], rows, rows),
        "video_positions": (
            tower["max_temporal_buckets"],
            tower["max_vertical_buckets"],
            tower["max_horizontal_buckets"],
        ),
    }


def audio_input(tower: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments for the patches and positions of audio."""
    settings = {
        "audio_patch_size": tower["temporal_patch_size"],
        "audio_positions": tower["max_temporal_buckets"],
    }
    if tower["temporal_patch_stride"] != tower["temporal_patch_size"]:
        settings["audio_patch_stride"] = tower["temporal_patch_stride"]
    return settings


def unified_input(unified: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments for the patches, words and positions of all modalities."""
    patch, positions = unified["vid_spatial_patch_size"], "max_vid_spatial_buckets"
    return {
        "video_patch_size": (unified["vid_temporal_patch_size"], patch, patch),
        "audio_patch_size": unified["aud_temporal_patch_size"],
        "video_positions": (
            unified["max_vid_temporal_buckets"],
            unified[positions],
            unified[positions],
        ),
        "audio_positions": unified["max_aud_temporal_buckets"],
        "text_positions": unified["max_txt_temporal_buckets"],
        "vocabulary_size": unified["txt_vocab_size"],
        "word_embedding_dim": unified["txt_embedding_dim"],
        "trainable_word_embedding": unified["txt_embedding_trainable"],
    }
