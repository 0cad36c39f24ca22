"""FLOPs of a step counted from the sizes of the model, beside the compiler's count."""

from keras_vatt.models.backbone import encoder_matrices


def step_flops(model, shapes, harmonized, walks=1, micro_batches=False):
    """FLOPs of a train step over the whole batch.

    A forward pass costs 2 for each weight of a matrix and token it meets, and the
    two products of attention; a backward pass costs twice that. Each branch is run
    forward once, and walked backward once for the total loss of a plain step, for
    each loss of each group that a device has in a harmonized one. Heads, norms and
    the optimizer are left out.

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
        stem, encoder = _forward_flops(model.backbone, modality, shapes[modality])
        losses = len(users) if harmonized else 1
        total += (stem + encoder) * (1 + 2 * losses * walks)
        if micro_batches:
            total += (stem + encoder) * walks
        if model.backbone.rematerialize:
            total += encoder * walks
    return total


def _forward_flops(backbone, modality, shape):
    """Of the stem and of the encoder of one modality, a pair of floats."""
    stem = getattr(backbone, f"{modality}_stem")
    encoder = backbone._encoder(modality)
    if modality == "text":
        rows, words = shape[0] * shape[1], shape[2]
        embedded, kept = words, words
    else:
        rows, embedded = shape[0], 1
        for extent in stem.grid(shape):
            embedded *= extent
        kept = min(embedded, stem.drop_token.num_kept)
    hidden_dim = stem.hidden_dim
    # The aggregation token comes on top.
    tokens = kept + 1
    sizes = {
        name: getattr(encoder, name)
        for name in ("num_layers", "num_heads", "head_dim", "intermediate_dim")
    }
    matrices = encoder_matrices(sizes | {"hidden_dim": hidden_dim})
    attention = 2 * encoder.num_layers * tokens * encoder.num_heads * encoder.head_dim
    return (
        2.0 * rows * embedded * _stem_matrices(stem),
        2.0 * rows * tokens * (matrices + attention),
    )


def _stem_matrices(stem):
    """Weights that each embedded patch or word meets: those of its matrices."""
    layers = [getattr(stem, name, None) for name in ("patch_embedding", "projection")]
    return sum(
        int(layer.kernel.shape[-1]) * _fan_in(layer.kernel.shape)
        for layer in layers
        if layer is not None
    )


def _fan_in(shape):
    product = 1
    for extent in shape[:-1]:
        product *= int(extent)
    return product
