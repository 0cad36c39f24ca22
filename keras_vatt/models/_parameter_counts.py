"""Lower bounds on the number of parameters of a model, from its config alone."""


def encoder_matrices(sizes):
    """Counts the parameters in the matrices of a `TransformerEncoder`.

    Args:
        sizes: dict of `hidden_dim`, `intermediate_dim`, `num_layers`, `num_heads`,
            `head_dim` and, unless it is the default, `activation`.

    Returns:
        int.
    """
    attention = 4 * sizes["num_heads"] * sizes["head_dim"]
    mlp = 3 if sizes.get("activation") == "geglu" else 2
    per_token = attention + mlp * sizes["intermediate_dim"]
    return sizes["num_layers"] * sizes["hidden_dim"] * per_token


def stem_matrices(config, hidden_dims):
    """Counts the parameters in the embeddings and position tables of all modalities.

    Args:
        config: dict of all arguments of a backbone's constructor.
        hidden_dims: dict from modality to the width of its tokens; for text `0`
            without an input projection.

    Returns:
        int.
    """
    frames, rows, columns = config["video_patch_size"]
    counts = {
        "video": 3 * frames * rows * columns + sum(config["video_positions"]),
        "audio": config["audio_patch_size"] + config["audio_positions"],
        "text": config["word_embedding_dim"],
    }
    total = sum(counts[modality] * dim for modality, dim in hidden_dims.items())
    if "text" in hidden_dims:
        total += config["vocabulary_size"] * config["word_embedding_dim"]
    return total
