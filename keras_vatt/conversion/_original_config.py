"""Builds models from the configurations of the original code."""

from __future__ import annotations

from typing import Any

from keras_vatt.conversion import _original_keys as original_keys
from keras_vatt.layers import FactorizedBridgeHead, JointBridgeHead
from keras_vatt.models import (
    VATT,
    VATTAgnosticBackbone,
    VATTAudioClassifier,
    VATTAudioConverter,
    VATTPreprocessor,
    VATTSpecificBackbone,
    VATTTokenizer,
    VATTVideoClassifier,
    VATTVideoConverter,
)


def model_from_original_config(
    config: dict[str, Any], **kwargs: Any
) -> tuple[Any, original_keys.Layout]:
    """Builds a model with random weights from a configuration of the original code.

    Args:
        config: dict. The configuration that the original code was run with, in one of
            two forms: `{"arch": "ut_fac" or "tx_fac", "backbones": {...},
            "model_config": {...}}` for a pre-trained model, `{"kind": "vit", "wat",
            "vit_agnostic" or "wat_agnostic", "model": {...}, "num_classes": ...}`
            for a fine-tuned classifier.
        **kwargs: arguments that override those of the backbone, such as `dtype` or
            `dropout`.

    Returns:
        Tuple `(model, layout)`: the model and its layout for `original_key`.

    Raises:
        ValueError: if the configuration has neither form, lacks an entry, or has a
            setting that no published model uses and that is not supported.
    """
    try:
        model = _model(config, kwargs)
    except KeyError as error:
        raise ValueError(
            f"`config` must have the entry {error}, as in the original code."
        ) from error
    return model, layout_of(model)


def layout_of(model: Any) -> original_keys.Layout:
    """Returns the layout of the original checkpoints of a model.

    Args:
        model: a `keras_vatt.VATT` or a classifier.

    Returns:
        The layout for `original_key`.
    """
    if isinstance(model, VATTVideoClassifier):
        return original_keys.VIDEO_CLASSIFIER
    if isinstance(model, VATTAudioClassifier):
        return original_keys.AUDIO_CLASSIFIER
    if isinstance(model.backbone, VATTAgnosticBackbone):
        return original_keys.AGNOSTIC_PRETRAINING
    return original_keys.SPECIFIC_PRETRAINING


def _model(config, kwargs):
    if config.get("arch") == "ut_fac":
        return _agnostic_pretraining(config, kwargs)
    if config.get("arch") == "tx_fac":
        return _specific_pretraining(config, kwargs)
    if config.get("kind") in _CLASSIFIERS:
        return _classifier(config, kwargs)
    raise ValueError(
        "`config` must be a configuration of the original VATT code, with an entry "
        "'arch' ('ut_fac' or 'tx_fac') or 'kind' "
        f"({', '.join(map(repr, _CLASSIFIERS))}). Received the entries {sorted(config)}"
    )


def _agnostic_pretraining(config, kwargs):
    unified = _checked(config["backbones"]["unified"])
    backbone = VATTAgnosticBackbone(
        **_sizes(unified),
        projection_dim=unified["d_post_proj"],
        video_patch_size=_video_patch(unified, "vid_"),
        audio_patch_size=unified["aud_temporal_patch_size"],
        video_positions=(
            unified["max_vid_temporal_buckets"],
            unified["max_vid_spatial_buckets"],
            unified["max_vid_spatial_buckets"],
        ),
        audio_positions=unified["max_aud_temporal_buckets"],
        text_positions=unified["max_txt_temporal_buckets"],
        vocabulary_size=unified["txt_vocab_size"],
        word_embedding_dim=unified["txt_embedding_dim"],
        trainable_word_embedding=unified["txt_embedding_trainable"],
        **_common(unified) | kwargs,
    )
    return VATT(backbone, _bridge_head(config, backbone), _preprocessor(backbone))


def _specific_pretraining(config, kwargs):
    video = _checked(config["backbones"]["vit"])
    audio = _checked(config["backbones"]["wat"])
    text = _checked(config["backbones"]["t5"])
    if text["d_pre_proj"] != text["d_model"]:
        raise ValueError(
            "Text models with d_pre_proj != d_model are not supported. Received: "
            f"d_pre_proj={text['d_pre_proj']}, d_model={text['d_model']}"
        )
    if len({tower["layer_norm_epsilon"] for tower in (video, audio, text)}) > 1:
        raise ValueError("Towers with different layer_norm_epsilon are not supported.")
    backbone = VATTSpecificBackbone(
        video_encoder=_sizes(video),
        audio_encoder=_sizes(audio),
        text_encoder=_sizes(text),
        **_video_input(video),
        **_audio_input(audio),
        vocabulary_size=text["vocab_size"],
        word_embedding_dim=text["d_embedding"],
        trainable_word_embedding=text["trainable_embeddings"],
        **_common(video) | kwargs,
    )
    return VATT(backbone, _bridge_head(config, backbone), _preprocessor(backbone))


def _classifier(config, kwargs):
    task = _CLASSIFIERS[config["kind"]]
    modality = task.modality
    tower = _checked(config["model"])
    inputs = _video_input(tower) if modality == "video" else _audio_input(tower)
    common = inputs | _common(tower) | {"modalities": (modality,)} | kwargs
    projected = tower["pre_projection"], tower["post_projection"]
    if projected == (True, True):
        backbone = VATTAgnosticBackbone(
            **_sizes(tower), projection_dim=tower["d_post_proj"], **common
        )
    elif projected == (False, False):
        backbone = VATTSpecificBackbone(
            **{f"{modality}_encoder": _sizes(tower)}, **common
        )
    else:
        raise ValueError(
            "Classifiers with only one of pre_projection and post_projection are "
            "not supported."
        )
    return task(
        backbone,
        num_classes=config["num_classes"],
        dropout=tower["cls_dropout_rate"],
        # The original code trains video with one class per clip, and audio with any
        # number of them.
        multi_label=modality == "audio",
        preprocessor=_preprocessor(backbone),
    )


_CLASSIFIERS = {
    "vit": VATTVideoClassifier,
    "vit_agnostic": VATTVideoClassifier,
    "wat": VATTAudioClassifier,
    "wat_agnostic": VATTAudioClassifier,
}


# Settings that change the outputs of a model but not the shapes of its weights: a
# checkpoint with other values would load without an error and give wrong outputs.
_PUBLISHED = {
    "activation": "gelu",
    "post_proj_activation": "gelu",
    "pre_norm": True,
    "use_bias": True,
    "use_masking": False,
    "use_agg_token": True,
    "num_relative_buckets": 32,
    "max_relative_distance": 64,
}
_PUBLISHED_BATCH_NORM = {"epsilon": 1e-5, "momentum": 0.9, "scale": True}


def _checked(sizes, published=_PUBLISHED):
    for name, value in published.items():
        if sizes.get(name, value) != value:
            raise ValueError(
                f"Models with {name}={sizes[name]!r} are not supported. All "
                f"published models have {name}={value!r}."
            )
    return sizes


def _sizes(tower):
    return {
        "hidden_dim": tower["d_model"],
        "intermediate_dim": tower["d_ff"],
        "num_layers": tower["num_layers"],
        "num_heads": tower["num_heads"],
        "head_dim": tower["d_kv"],
    }


def _common(tower):
    drops_tokens = tower["random_patch_sampling"]
    return {
        "token_keep_rate": tower["patch_sampling_rate"] if drops_tokens else 1.0,
        "dropout": tower["dropout_rate"],
        "layer_norm_epsilon": tower["layer_norm_epsilon"],
    }


def _video_patch(tower, prefix=""):
    rows = tower[f"{prefix}spatial_patch_size"]
    return (tower[f"{prefix}temporal_patch_size"], rows, rows)


def _video_input(tower):
    return {
        "video_patch_size": _video_patch(tower),
        "video_positions": (
            tower["max_temporal_buckets"],
            tower["max_vertical_buckets"],
            tower["max_horizontal_buckets"],
        ),
    }


def _audio_input(tower):
    if tower["temporal_patch_stride"] != tower["temporal_patch_size"]:
        raise ValueError("Overlapping audio patches are not supported.")
    return {
        "audio_patch_size": tower["temporal_patch_size"],
        "audio_positions": tower["max_temporal_buckets"],
    }


def _preprocessor(backbone):
    """Builds a preprocessor for clips that use all positions, at VATT's rates."""
    video, audio = {}, {}
    if "video" in backbone.modalities:
        patch, positions = backbone.video_patch_size, backbone.video_positions
        video["num_frames"] = patch[0] * positions[0]
        video["frame_size"] = patch[1] * positions[1]
    if "audio" in backbone.modalities:
        audio["audio_samples"] = backbone.audio_patch_size * backbone.audio_positions
    words = backbone.text_positions or 16
    return VATTPreprocessor(
        VATTTokenizer(sequence_length=words) if "text" in backbone.modalities else None,
        VATTVideoConverter(**video),
        VATTAudioConverter(**audio),
    )


def _bridge_head(config, backbone):
    heads = config["model_config"]["head_config"]["bridge"]
    if len(heads) != 1:
        raise ValueError(
            f"`config` must have exactly one bridge head. Received: {len(heads)}"
        )
    _checked(heads[0].get("bn_config", {}), _PUBLISHED_BATCH_NORM)
    video_dim = heads[0]["vid_to_aud_txt_kwargs"]["d_model"]
    text_dim = heads[0]["txt_to_vid_aud_kwargs"]["d_model"]
    kwargs = {"dtype": backbone.dtype_policy, "name": "bridge_head"}
    if heads[0]["name"] == "mlp_fac":
        return FactorizedBridgeHead(video_dim, text_dim, **kwargs)
    if heads[0]["name"] == "mlp_joint":
        return JointBridgeHead(video_dim, **kwargs)
    raise ValueError(
        "The bridge head must be 'mlp_fac' or 'mlp_joint'. "
        f"Received: {heads[0]['name']!r}"
    )
