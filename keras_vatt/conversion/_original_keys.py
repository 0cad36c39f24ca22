"""Maps the names of our tensors to the keys of original VATT checkpoints.

The original code (google-research/vatt) writes TensorFlow 2 object checkpoints, in
which a key is the path of attributes from the model to a variable. A layout is a list
of rules `(pattern of our name, replacement)`; the first rule that matches produces the
key.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection


@dataclasses.dataclass(frozen=True)
class Layout:
    """The keys of the weights of a model in an original checkpoint.

    Args:
        rules: list of tuples `(pattern of our name, replacement)`.
        ignored: string. Pattern of the keys of weights that have no effect on the
            outputs. Defaults to `None`.
    """

    rules: list[tuple[str, str]]
    ignored: str | None = None


_ROOT = "model/layer_with_weights-0/"
_VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_OF_THE_MODEL = re.compile(
    r"^_CHECKPOINTABLE_OBJECT_GRAPH$|^save_counter/|^optimizer/|/\.OPTIMIZER_SLOT/"
    # The vector of masked patches in training (`use_masking`).
    r"|/mask_embedding/\.ATTRIBUTES/"
)
_AXES = ("temporal", "vertical", "horizontal")


def is_model_key(key: str, layout: Layout) -> bool:
    """Returns whether a checkpoint key belongs to a weight of the model.

    The other keys belong to optimizer slots, counters, the object graph and weights
    without an effect on the outputs.
    """
    is_ignored = layout.ignored is not None and re.match(layout.ignored, key)
    return not is_ignored and not _NOT_OF_THE_MODEL.search(key)


def original_key(name: str, layout: Layout) -> str:
    """Returns the checkpoint key of one of our tensors.

    Args:
        name: string, a key of `named_variables`.
        layout: `Layout`, from a function of this module.

    Returns:
        string.

    Raises:
        KeyError: if no rule of the layout matches.
    """
    for pattern, replacement in layout.rules:
        key, matches = re.subn(f"^{pattern}", replacement, name)
        if matches:
            return _ROOT + key + _VARIABLE
    raise KeyError(name)


def _mlp(block, layer, is_gated):
    inner = "wi_0" if is_gated else "wi"
    return [
        (block + "feed_forward_norm/", layer + "feed_forward/layer_norm/"),
        (block + "feed_forward/inner/", layer + f"feed_forward/mlp/{inner}/"),
        (block + "feed_forward/gate/", layer + "feed_forward/mlp/wi_1/"),
        (block + "feed_forward/outer/", layer + "feed_forward/mlp/wo/"),
    ]


def _encoder(ours, theirs, is_gated=False):
    block, layer = rf"{ours}/block_(\d+)/", rf"{theirs}/layers/\1/"
    return [
        (block + "attention_norm/", layer + "layer_norm/"),
        (block + "attention/query/", layer + "mha/q/"),
        (block + "attention/key/", layer + "mha/k/"),
        (block + "attention/value/", layer + "mha/v/"),
        (block + "attention/output/", layer + "mha/o/"),
        *_mlp(block, layer, is_gated),
        (f"{ours}/final_norm/", f"{theirs}/final_layer_norm/"),
    ]


def _t5_encoder(ours, theirs, is_gated):
    block, layer = rf"{ours}/block_(\d+)/", rf"{theirs}/layers/\1/"
    attention = layer + "self_attention/attention/"
    return [
        (block + "attention_norm/scale", layer + "self_attention/layer_norm/weight"),
        (block + "attention/query/", attention + "q/"),
        (block + "attention/key/", attention + "k/"),
        (block + "attention/value/", attention + "v/"),
        (block + "attention/output/", attention + "o/"),
        *_mlp(block, layer, is_gated),
        (
            f"{ours}/relative_position_bias/",
            f"{theirs}/layers/0/self_attention/attention/relative_attention_bias/",
        ),
        (f"{ours}/final_norm/scale", f"{theirs}/final_layer_norm/weight"),
    ]


def _positions(ours, theirs):
    tables = [
        (
            f"{ours}/positions/axis_{index}",
            f"{theirs}/{axis}_position_embeddings/embeddings",
        )
        for index, axis in enumerate(_AXES)
    ]
    return [*tables, (f"{ours}/positions/norm/", f"{theirs}/layernorm/")]


def _patch_stem(ours, theirs, patch_embedding):
    return [
        (f"{ours}/patch_embedding/", f"{theirs}/{patch_embedding}/"),
        (f"{ours}/projection/", f"{theirs}/pre_proj/"),
        *_positions(ours, f"{theirs}/pos_embedding_lookup"),
        (f"{ours}/aggregation_token/embedding", f"{theirs}/agg_embedding"),
    ]


def _tower(modality, theirs, gated):
    """Returns the rules of a tower with its own encoder.

    The specific models and the classifiers have such towers.
    """
    patch_embedding = {"video": "voxel_to_patch", "audio": "wave_to_patch"}[modality]
    return [
        *_patch_stem(f"backbone/{modality}_stem", theirs, patch_embedding),
        *_encoder(f"backbone/{modality}_encoder", f"{theirs}/tx", modality in gated),
        *_encoder("backbone/encoder", f"{theirs}/tx"),
        (f"backbone/{modality}_projection/", f"{theirs}/post_proj/"),
    ]


def _unified(modality, theirs):
    ours = f"backbone/{modality}_stem"
    shorthand = {"video": "vid", "audio": "aud", "text": "txt"}[modality]
    embedding = "embedding" if modality == "text" else "patch_embedding"
    return [
        (f"{ours}/{embedding}/", f"{theirs}/raw_to_embeddings/{modality}/"),
        (f"{ours}/projection/", f"{theirs}/pre_proj/{modality}/"),
        *_positions(ours, f"{theirs}/pos_embedding_lookup/{modality}"),
        (
            f"{ours}/aggregation_token/embedding",
            f"{theirs}/{shorthand}_agg_embedding",
        ),
        (f"backbone/{modality}_projection/", f"{theirs}/post_proj/{modality}/"),
    ]


def _bridge_head(theirs):
    return [
        ("bridge_head/video_hidden/", f"{theirs}/vid_to_hid/"),
        ("bridge_head/video_hidden_norm/", f"{theirs}/hid_to_va/pre_bn/"),
        ("bridge_head/video_to_audio/", f"{theirs}/hid_to_va/dense/"),
        ("bridge_head/video_to_audio_norm/", f"{theirs}/hid_to_va/bn/"),
        ("bridge_head/video_to_text/", f"{theirs}/va_to_vat/dense/"),
        ("bridge_head/video_to_text_norm/", f"{theirs}/va_to_vat/bn/"),
        ("bridge_head/audio_to_video/", f"{theirs}/aud_to_va/"),
        ("bridge_head/text_to_video/", f"{theirs}/txt_to_vat/"),
        *_joint_space("video", f"{theirs}/vid_to_vat"),
        *_joint_space("audio", f"{theirs}/aud_to_vat"),
        *_joint_space("text", f"{theirs}/txt_to_vat"),
    ]


def _joint_space(modality, theirs):
    ours = f"bridge_head/{modality}_to_joint"
    return [(f"{ours}/", f"{theirs}/dense/"), (f"{ours}_norm/", f"{theirs}/bn/")]


def _last_head(num_heads):
    """Returns the path of the last bridge head and a pattern of the others."""
    heads, last = "_head_layer/_bridge_heads", num_heads - 1
    others = "|".join(map(str, range(last)))
    return f"{heads}/{last}", f"{_ROOT}{heads}/({others})/" if others else None


def _text_tower(theirs, is_gated):
    ours = "backbone/text_stem"
    return [
        (f"{ours}/embedding/", f"{theirs}/embedding/"),
        (f"{ours}/projection/", f"{theirs}/pre_proj/"),
        (f"{ours}/aggregation_token/embedding", f"{theirs}/agg_embedding"),
        *_t5_encoder("backbone/text_encoder", f"{theirs}/base_lm", is_gated),
        ("backbone/text_projection/", f"{theirs}/post_proj/"),
    ]


_UNIFIED = "_base_layer/unified_backbone/unified_transformer"


def agnostic_pretraining(num_heads: int = 1) -> Layout:
    """Returns the layout of a modality-agnostic pre-trained model."""
    head, ignored = _last_head(num_heads)
    rules = [
        *_unified("video", _UNIFIED),
        *_unified("audio", _UNIFIED),
        *_unified("text", _UNIFIED),
        *_encoder("backbone/encoder", f"{_UNIFIED}/tx"),
        *_bridge_head(head),
    ]
    return Layout(rules, ignored)


def specific_pretraining(gated: Collection[str] = (), num_heads: int = 1) -> Layout:
    """Returns the layout of a modality-specific pre-trained model.

    Args:
        gated: collection of strings, the modalities whose MLPs have a gate (GEGLU).
            Defaults to none.
        num_heads: int. Number of bridge heads in the checkpoint, of which the model
            has the last one. Defaults to `1`.

    Returns:
        `Layout`.
    """
    head, ignored = _last_head(num_heads)
    rules = [
        *_tower("video", "_base_layer/vid_backbone/_base", gated),
        *_tower("audio", "_base_layer/aud_backbone/_base", gated),
        *_text_tower("_base_layer/txt_backbone", "text" in gated),
        *_bridge_head(head),
    ]
    return Layout(rules, ignored)


def classifier(modality: str, gated: Collection[str] = ()) -> Layout:
    """Returns the layout of a video or audio classifier."""
    return Layout([*_tower(modality, "_base", gated), ("classifier/", "_ops/cls/")])
