"""Counts the FLOPs of a step from the sizes of the model.

Plans show this count next to the compiler's.
"""

from __future__ import annotations

import math
from typing import Any


def step_flops(
    model: Any,
    shapes: dict[str, tuple[int, ...]],
    harmonized: bool,
    backward_passes: int = 1,
    micro_batches: bool = False,
    combining_passes: int = 0,
) -> float:
    """Computes the FLOPs of a train step over the whole batch.

    A forward pass costs 2 FLOPs per token and matrix weight, plus the two products of
    attention. A backward pass costs twice as much, except for the patch embedding,
    whose input needs no gradient: there it costs the same as the forward pass. Each
    branch has one forward pass. A plain step has one backward pass per branch, for the
    total loss; a harmonized step that compares parameters has one for each loss of each
    group on a device.
    Heads, norms and the optimizer are not counted.

    Args:
        model: `keras_vatt.VATT`, compiled.
        shapes: dict from modality to the shape of its batch.
        harmonized: bool, whether gradients are harmonized.
        backward_passes: int, number of backward passes of a device through its
            examples; each computes all losses of a branch. Defaults to `1`.
        micro_batches: bool, whether each backward pass repeats the forward pass.
            Defaults to `False`.
        combining_passes: int, number of additional backward passes, each for the total
            of all losses. Defaults to `0`.

    Returns:
        float.
    """
    total, num_vjps = 0.0, backward_passes + combining_passes
    for modality in model.backbone.modalities:
        users = [x for x in model.branch_losses() if modality in x.branches]
        if not users:
            continue
        embedding, projection, encoder = _forward_flops(
            model.backbone, modality, shapes[modality]
        )
        backward = backward_passes * (len(users) if harmonized else 1)
        backward += combining_passes
        total += embedding * (1 + backward)
        total += (projection + encoder) * (1 + 2 * backward)
        if micro_batches:
            total += (embedding + projection + encoder) * num_vjps
        if model.backbone.rematerialize:
            total += encoder * num_vjps
    return total


def _forward_flops(backbone, modality, shape):
    """Computes the FLOPs of patch embedding, projection and encoder of a modality."""
    stem = getattr(backbone, f"{modality}_stem")
    encoder = backbone._encoder(modality)
    if modality == "text":
        rows, words = shape[0] * shape[1], shape[2]
        embedded, kept = words, words
    else:
        rows, embedded = shape[0], math.prod(stem.grid(shape))
        kept = min(embedded, stem.drop_token.num_kept)
    tokens = kept + (stem.aggregation_token is not None)
    outputs = tokens if backbone._pools_all_tokens(modality) else 1
    encoded = _encoder_flops(encoder, stem.hidden_dim, tokens, outputs)
    embedding, projection = (
        2.0 * rows * embedded * _weights(getattr(stem, name, None))
        for name in ("patch_embedding", "projection")
    )
    return embedding, projection, rows * encoded


def _encoder_flops(encoder, hidden_dim, tokens, outputs):
    """Computes the FLOPs of one sequence, of which the last block has few outputs."""
    attention_dim = encoder.num_heads * encoder.head_dim
    projection = hidden_dim * attention_dim
    mlp = 3 if encoder.activation == "geglu" else 2
    feed_forward = mlp * hidden_dim * encoder.intermediate_dim
    whole_blocks = encoder.num_layers - 1
    matrices = (
        # Queries, keys, values, output.
        whole_blocks * tokens * (4 * projection + feed_forward)
        + tokens * 2 * projection
        + outputs * (2 * projection + feed_forward)
    )
    # Logits and weighted values.
    attention = 2 * attention_dim * tokens * (whole_blocks * tokens + outputs)
    return 2.0 * (matrices + attention)


def _weights(layer):
    return 0 if layer is None else math.prod(layer.kernel.shape)
