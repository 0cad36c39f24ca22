"""Builds models from the configurations of the original code."""

from __future__ import annotations

from typing import Any

from keras_vatt.conversion import _original_keys as original_keys
from keras_vatt.conversion import _original_towers as towers
from keras_vatt.conversion._original_heads import bridge_heads, make_bridge_head
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

    Settings that only matter in training, such as masked patches (`use_masking`), are
    ignored if our layers have no such option.

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
        ValueError: if the configuration has neither form, lacks an entry, or describes
            another architecture.
    """
    try:
        model = _model(config, kwargs)
    except KeyError as error:
        raise ValueError(
            f"`config` must have the entry {error}, as in the original code."
        ) from error
    num_heads = len(bridge_heads(config)) if "arch" in config else 1
    return model, layout_of(model, num_heads)


def layout_of(model: Any, num_heads: int = 1) -> original_keys.Layout:
    """Returns the layout of the original checkpoints of a model.

    Args:
        model: a `keras_vatt.VATT` or a classifier.
        num_heads: int. Number of bridge heads in the checkpoint, of which the model
            has the last one. Defaults to `1`.

    Returns:
        The layout for `original_key`.
    """
    backbone = model.backbone
    gated = {
        modality
        for modality in backbone.modalities
        if backbone.modality_layers(modality)["encoder"].activation == "geglu"
    }
    if isinstance(model, VATTVideoClassifier | VATTAudioClassifier):
        return original_keys.classifier(model.modality, gated)
    if isinstance(backbone, VATTAgnosticBackbone):
        return original_keys.agnostic_pretraining(num_heads)
    return original_keys.specific_pretraining(gated, num_heads)


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
    unified = towers.tower_of(config["backbones"], "unified")
    backbone = _agnostic_backbone(unified, towers.unified_input(unified) | kwargs)
    return _pretrained(config, backbone)


def _agnostic_backbone(tower, kwargs):
    settings = (
        towers.encoder_sizes(tower)
        | towers.encoder_options(tower)
        | towers.projection_activation(tower, "post_proj_activation")
        | towers.common_settings(tower)
    )
    return VATTAgnosticBackbone(
        projection_dim=tower["d_post_proj"], **settings | kwargs
    )


def _specific_pretraining(config, kwargs):
    video, audio, text = (
        towers.tower_of(config["backbones"], name) for name in ("vit", "wat", "t5")
    )
    common = towers.common_settings(video)
    inputs = {
        "vocabulary_size": text["vocab_size"],
        "word_embedding_dim": text["d_embedding"],
        "trainable_word_embedding": text["trainable_embeddings"],
        **towers.video_input(video),
        **towers.audio_input(audio),
    }
    backbone = VATTSpecificBackbone(
        video_encoder=towers.patch_tower(video),
        audio_encoder=towers.patch_tower(audio) | towers.own_settings(audio, common),
        text_encoder=towers.text_tower(text) | towers.own_settings(text, common),
        **inputs | common | kwargs,
    )
    return _pretrained(config, backbone)


def _pretrained(config, backbone):
    head = make_bridge_head(bridge_heads(config)[-1], backbone.dtype_policy)
    return VATT(backbone, head, _preprocessor(backbone))


def _classifier(config, kwargs):
    task = _CLASSIFIERS[config["kind"]]
    modality = task.modality
    tower = towers.checked_tower(config["model"])
    is_video = modality == "video"
    inputs = towers.video_input(tower) if is_video else towers.audio_input(tower)
    kwargs = inputs | {"modalities": (modality,)} | kwargs
    if tower["pre_projection"] and tower["post_projection"]:
        backbone = _agnostic_backbone(tower, kwargs)
    else:
        settings = {f"{modality}_encoder": towers.patch_tower(tower)}
        backbone = VATTSpecificBackbone(
            **settings | towers.common_settings(tower) | kwargs
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


def _preprocessor(backbone):
    """Builds a preprocessor for clips that use all positions, at VATT's rates."""
    video, audio = {}, {}
    if "video" in backbone.modalities:
        patch, positions = backbone.video_patch_size, backbone.video_positions
        video["num_frames"] = patch[0] * positions[0]
        video["frame_size"] = patch[1] * positions[1]
    if "audio" in backbone.modalities:
        audio["audio_samples"] = backbone.audio_clip_samples
    words = backbone.text_positions or 16
    return VATTPreprocessor(
        VATTTokenizer(sequence_length=words) if "text" in backbone.modalities else None,
        VATTVideoConverter(**video),
        VATTAudioConverter(**audio),
    )
