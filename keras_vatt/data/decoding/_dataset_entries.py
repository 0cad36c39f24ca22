"""Raw clips from entries of Hugging Face `datasets` and from torchcodec decoders."""

# Keys of the rate of audio and of video.
_RATES = ("sampling_rate", "fps")


def is_dataset_entry(given):
    """Returns whether an object is for `clip_of_entry` to convert, or to reject.

    Args:
        given: Any object.

    Returns:
        bool. `True` for every dict, since a batch of one modality is never a dict.
    """
    return isinstance(given, dict) or _is_decoder(given) or _is_decoded(given)


def clip_of_entry(given):
    """Returns the raw clip of an entry of a dataset.

    Args:
        given: A dict of the `Audio`, `Video` or `Image` feature of Hugging Face
            `datasets`: with `"array"` and `"sampling_rate"` (of frames: `"fps"`), or
            with `"bytes"` or `"path"`, of which the first that is not `None` is
            used; or an audio decoder of torchcodec, or its samples. Other objects are
            returned unchanged.

    Returns:
        A raw clip: a tuple of an array and its rate, bytes, or a path.

    Raises:
        ValueError: If a dict has none of these entries, or an array without a rate.
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
        "A clip in a dict must have `array` and `sampling_rate` (of frames: `fps`), "
        f"`bytes`, or `path`. Received: {_shown(given)}"
    )


def _rate_of(entry):
    rates = [entry[name] for name in _RATES if entry.get(name) is not None]
    if len(rates) != 1:
        raise ValueError(
            "A clip with an `array` must have its `sampling_rate`, or `fps` if it is a "
            f"video. Received: {_shown(entry)}"
        )
    return rates[0]


def _shown(entry):
    return f"a dict with the keys {sorted(map(str, entry))}"


def _is_decoder(given):
    return hasattr(given, "get_all_samples")


def _is_decoded(given):
    return hasattr(given, "data") and hasattr(given, "sample_rate")
