"""Builds bridge heads from the configurations of the original code."""

from __future__ import annotations

from typing import Any

from keras_vatt.layers import FactorizedBridgeHead, JointBridgeHead
from keras_vatt.layers._bridge_head import BATCH_NORM

# Defaults of Keras 2, for what a configuration omits.
_KERAS_DEFAULTS = {"momentum": 0.99, "epsilon": 1e-3, "scale": True, "center": True}


def bridge_heads(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the settings of all bridge heads of a configuration.

    Args:
        config: dict.

    Returns:
        Non-empty list of dicts. With several heads the original code returns the
        outputs of the last one.

    Raises:
        ValueError: if there is none.
    """
    heads = config["model_config"]["head_config"]["bridge"]
    if not heads:
        raise ValueError("`config` must have at least one bridge head. Received: none")
    return heads


def make_bridge_head(head: dict[str, Any], dtype: Any) -> Any:
    """Builds a bridge head.

    Args:
        head: dict, one of `bridge_heads`.
        dtype: dtype policy of the layer.

    Returns:
        `FactorizedBridgeHead` or `JointBridgeHead`.

    Raises:
        ValueError: if the head has another name, widths that don't fit or a batch norm
            of another kind.
    """
    name = head["name"].lower()
    if name not in ("mlp_fac", "mlp_joint"):
        raise ValueError(
            "The bridge head must be 'mlp_fac' or 'mlp_joint'. "
            f"Received: {head['name']!r}"
        )
    video_dim, audio_dim, text_dim = (
        head[f"{modalities}_kwargs"]["d_model"]
        for modalities in ("vid_to_aud_txt", "aud_to_vid_txt", "txt_to_vid_aud")
    )
    fits = audio_dim == video_dim and (name == "mlp_fac" or text_dim == video_dim)
    if not fits:
        raise ValueError(
            f"The spaces of the bridge head {name!r} must have one width. Received: "
            f"video {video_dim}, audio {audio_dim}, text {text_dim}"
        )
    kwargs = {
        "batch_norm": _batch_norm(head),
        "dtype": dtype,
        "name": "bridge_head",
    }
    if name == "mlp_fac":
        return FactorizedBridgeHead(video_dim, text_dim, **kwargs)
    return JointBridgeHead(video_dim, **kwargs)


def _batch_norm(head):
    if "bn_config" not in head:
        return None
    given = {k: v for k, v in (head["bn_config"] or {}).items() if k != "name"}
    unknown = sorted(set(given) - set(BATCH_NORM))
    if unknown:
        raise ValueError(
            f"Batch norms with {', '.join(unknown)} in bn_config are not supported. "
            f"Supported: {', '.join(BATCH_NORM)}"
        )
    settings = _KERAS_DEFAULTS | given
    if head.get("use_xreplica_bn", True):
        # The original code overrides it for statistics over all replicas.
        settings["momentum"] = 0.9
    return settings
