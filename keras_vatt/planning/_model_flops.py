"""FLOPs of a step counted from the sizes of the model, beside the compiler's count."""

import math


def step_flops(model, shapes, harmonized, walks=1, micro_batches=False):
    """FLOPs of a train step over the whole batch.

    A forward pass costs 2 for each weight of a matrix and token it meets, and the
    two products of attention; a backward pass costs twice that, but once for the
    patch embedding, whose input has no gradient. Each branch is run forward once,
    and walked backward once for the total loss of a plain step, for each loss of each
    group that a device has in a harmonized one. Heads, norms and the optimizer are
    left out.

    Args:
        model: `keras_vatt.VATT`, compiled.
        shapes: dict from modality to the shape of its batch.
        harmonized: bool, whether gradients are harmonized.
        walks: int, how many times a device walks backward through its samples, each
            time for all losses of a branch at once. Defaults to `1`.
        micro_batches: bool, whether samples run forward once more on each way back.
            Defaults to `False`.

    Returns:
        float.
    """
    total = 0.0
    for modality in model.backbone.modalities:
        users = [x for x in model.branch_losses() if modality in x.branches]
        if not users:
            continue
        embedding, projection, encoder = _forward_flops(
            model.backbone, modality, shapes[modality]
        )
        backward = walks * (len(users) if harmonized else 1)
        total += embedding * (1 + backward)
        total += (projection + encoder) * (1 + 2 * backward)
        if micro_batches:
            total += (embedding + projection + encoder) * walks
        if model.backbone.rematerialize:
            total += encoder * walks
    return total


def _forward_flops(backbone, modality, shape):
    """Of patch embedding, projection and encoder of one modality, three floats."""
    stem = getattr(backbone, f"{modality}_stem")
    encoder = backbone._encoder(modality)
    if modality == "text":
        rows, words = shape[0] * shape[1], shape[2]
        embedded, kept = words, words
    else:
        rows, embedded = shape[0], math.prod(stem.grid(shape))
        kept = min(embedded, stem.drop_token.num_kept)
    # The aggregation token comes on top.
    encoded = _encoder_flops(encoder, stem.hidden_dim, kept + 1)
    embedding, projection = (
        2.0 * rows * embedded * _weights(getattr(stem, name, None))
        for name in ("patch_embedding", "projection")
    )
    return embedding, projection, rows * encoded


def _encoder_flops(encoder, hidden_dim, tokens):
    """Of one row of tokens; the last block computes its first token alone."""
    attention_dim = encoder.num_heads * encoder.head_dim
    projection = hidden_dim * attention_dim
    feed_forward = 2 * hidden_dim * encoder.intermediate_dim
    whole_blocks = encoder.num_layers - 1
    matrices = (
        # Queries, keys, values, output.
        whole_blocks * tokens * (4 * projection + feed_forward)
        + tokens * 2 * projection
        + 2 * projection
        + feed_forward
    )
    # Logits and weighted values.
    attention = 2 * attention_dim * tokens * (whole_blocks * tokens + 1)
    return 2.0 * (matrices + attention)


def _weights(layer):
    return 0 if layer is None else math.prod(layer.kernel.shape)
