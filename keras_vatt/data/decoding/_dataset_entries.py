"""Clips in the forms in which Hugging Face `datasets` and torchcodec give them."""

# The rates of audio and of video.
_RATES = ("sampling_rate", "fps")


def is_dataset_entry(given):
    """Returns whether `clip_of_entry` understands an object, or has to refuse it.

    Args:
        given: Anything.

    Returns:
        bool. `True` for every dict: no batch of one modality is one.
    """
    return isinstance(given, dict) or _is_decoder(given) or _is_decoded(given)


def clip_of_entry(given):
    """Returns the raw clip that an entry of a dataset stands for.

    Args:
        given: A dict of the `Audio`, `Video` or `Image` feature of Hugging Face
            `datasets`: with `"array"` and `"sampling_rate"` (of frames: `"fps"`), or
            with `"bytes"` or `"path"`, of which the first that is not `None` is
            taken; or an audio decoder of torchcodec, or its samples. Anything else is
            returned as it is.

    Returns:
        A raw clip: a tuple of an array and its rate, bytes, or a path.

    Raises:
        ValueError: If a dict has none of these entries, or an array without one rate.
    """
    if _is_decoder(given):
        given = given.get_all_samples()
    if _is_decoded(given):
        return given.data, given.sample_rate
    if not isinstance(given, dict):
        return given
    if given.get("array") is not None:
        return given["array"], _rate_of(given)
    for name in ("bytes", "path"):
        # The path of an entry with bytes is often a bare name.
        if given.get(name) is not None:
            return given[name]
    raise ValueError(
        "A clip in a dict has `array` and `sampling_rate` (of frames: `fps`), `bytes`, "
        f"or `path`. Received: {_shown(given)}"
    )


def _rate_of(entry):
    rates = [entry[name] for name in _RATES if entry.get(name) is not None]
    if len(rates) != 1:
        raise ValueError(
            "A clip with an `array` has its `sampling_rate`, or `fps` if it is a "
            f"video. Received: {_shown(entry)}"
        )
    return rates[0]


def _shown(entry):
    return f"a dict with {sorted(map(str, entry))}"


def _is_decoder(given):
    return hasattr(given, "get_all_samples")


def _is_decoded(given):
    return hasattr(given, "data") and hasattr(given, "sample_rate")
