"""Maps the names of our tensors to the keys of original VATT checkpoints.

The original code (google-research/vatt) writes TensorFlow 2 object checkpoints, in
which a key is the path of attributes from the model to a variable. Each layout below is
a list of rules `(pattern of our name, replacement)`; the first rule that matches
produces the key.
"""

from __future__ import annotations

import re

# The rules of a layout.
Layout = list[tuple[str, str]]

_ROOT = "model/layer_with_weights-0/"
_VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_OF_THE_MODEL = re.compile(
    r"^_CHECKPOINTABLE_OBJECT_GRAPH$|^save_counter/|^optimizer/|/\.OPTIMIZER_SLOT/"
)
_AXES = ("temporal", "vertical", "horizontal")


def is_model_key(key: str) -> bool:
    """Returns whether a checkpoint key belongs to a weight of the model.

    The other keys belong to optimizer slots, counters and the object graph.
    """
    return not _NOT_OF_THE_MODEL.search(key)


def original_key(name: str, layout: Layout) -> str:
    """Returns the checkpoint key of one of our tensors.

    Args:
        name: string, a key of `named_variables`.
        layout: list of rules, one of the layouts of this module.

    Returns:
        string.

    Raises:
        KeyError: if no rule of the layout matches.
    """
    for pattern, replacement in layout:
        key, matches = re.subn(f"^{pattern}", replacement, name)
        if matches:
            return _ROOT + key + _VARIABLE
    raise KeyError(name)


def _encoder(ours, theirs):
    block, layer = rf"{ours}/block_(\d+)/", rf"{theirs}/layers/\1/"
    return [
        (block + "attention_norm/", layer + "layer_norm/"),
        (block + "attention/query/", layer + "mha/q/"),
        (block + "attention/key/", layer + "mha/k/"),
        (block + "attention/value/", layer + "mha/v/"),
        (block + "attention/output/", layer + "mha/o/"),
        (block + "feed_forward_norm/", layer + "feed_forward/layer_norm/"),
        (block + "feed_forward/inner/", layer + "feed_forward/mlp/wi/"),
        (block + "feed_forward/outer/", layer + "feed_forward/mlp/wo/"),
        (f"{ours}/final_norm/", f"{theirs}/final_layer_norm/"),
    ]


def _t5_encoder(ours, theirs):
    block, layer = rf"{ours}/block_(\d+)/", rf"{theirs}/layers/\1/"
    attention = layer + "self_attention/attention/"
    return [
        (block + "attention_norm/scale", layer + "self_attention/layer_norm/weight"),
        (block + "attention/query/", attention + "q/"),
        (block + "attention/key/", attention + "k/"),
        (block + "attention/value/", attention + "v/"),
        (block + "attention/output/", attention + "o/"),
        (block + "feed_forward_norm/", layer + "feed_forward/layer_norm/"),
        (block + "feed_forward/inner/", layer + "feed_forward/mlp/wi/"),
        (block + "feed_forward/outer/", layer + "feed_forward/mlp/wo/"),
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


def _tower(modality, theirs):
    """Returns the rules of a tower with its own encoder.

    The specific models and the classifiers have such towers.
    """
    patch_embedding = {"video": "voxel_to_patch", "audio": "wave_to_patch"}[modality]
    return [
        *_patch_stem(f"backbone/{modality}_stem", theirs, patch_embedding),
        *_encoder(f"backbone/{modality}_encoder", f"{theirs}/tx"),
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
    ]


def _text_tower(theirs):
    ours = "backbone/text_stem"
    return [
        (f"{ours}/embedding/", f"{theirs}/embedding/"),
        (f"{ours}/projection/", f"{theirs}/pre_proj/"),
        (f"{ours}/aggregation_token/embedding", f"{theirs}/agg_embedding"),
        *_t5_encoder("backbone/text_encoder", f"{theirs}/base_lm"),
    ]


_UNIFIED = "_base_layer/unified_backbone/unified_transformer"

AGNOSTIC_PRETRAINING = [
    *_unified("video", _UNIFIED),
    *_unified("audio", _UNIFIED),
    *_unified("text", _UNIFIED),
    *_encoder("backbone/encoder", f"{_UNIFIED}/tx"),
    *_bridge_head("_head_layer/_bridge_heads/0"),
]

SPECIFIC_PRETRAINING = [
    *_tower("video", "_base_layer/vid_backbone/_base"),
    *_tower("audio", "_base_layer/aud_backbone/_base"),
    *_text_tower("_base_layer/txt_backbone"),
    *_bridge_head("_head_layer/_bridge_heads/0"),
]

VIDEO_CLASSIFIER = [*_tower("video", "_base"), ("classifier/", "_ops/cls/")]

AUDIO_CLASSIFIER = [*_tower("audio", "_base"), ("classifier/", "_ops/cls/")]
