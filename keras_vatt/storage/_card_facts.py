"""The facts on the card of a preset about a model's class and inputs."""

from keras_vatt.storage._model_card import CardFacts

_LIMITS = {
    "video": "Video shorter than a clip is repeated by default, and longer video is "
    "cut to its middle.",
    "audio": "Audio is mixed down to one channel, and repeated by default if it is "
    "shorter than a clip.",
    "image": "An image is repeated to a clip of one temporal patch. Images that are "
    "not square are cropped to their center.",
    "text": "Captions are English words in lower case. Punctuation is ignored, and all "
    "unknown words are the same to the model.",
}


def card_facts(model):
    """Returns the facts of a backbone or a task.

    Args:
        model: a VATT backbone or task.

    Returns:
        `CardFacts`.
    """
    backbone = getattr(model, "backbone", model)
    preprocessor = getattr(model, "preprocessor", None)
    # A classifier takes one kind of input, even if its backbone takes more.
    kind = getattr(model, "input_kind", None)
    kinds = backbone.modalities if kind is None else (kind,)
    return CardFacts(
        class_name=type(model).__name__,
        pipeline_tag=model.pipeline_tag,
        parameters=model.count_params(),
        inputs=describe_inputs(preprocessor, kinds),
        usage=model.usage_example,
        limits=[_LIMITS[kind] for kind in kinds],
    )


def describe_inputs(preprocessor, kinds):
    """Describes the inputs of a model: shape, dtype and units.

    Args:
        preprocessor: a `keras_vatt.VATTPreprocessor`, or `None`.
        kinds: iterable of strings: modalities, or `"image"`.

    Returns:
        Dict from kind of input to a string.
    """
    if preprocessor is None:
        return dict.fromkeys(kinds, "see `VATTBackbone.encode_modality`")
    spec, tokenizer = preprocessor.clip_spec, preprocessor.tokenizer
    words = 16 if tokenizer is None else tokenizer.sequence_length
    size, frames = spec.frame_size, spec.num_frames
    seconds = spec.audio_samples / spec.sampling_rate
    texts = {
        "video": f"(clips, {frames}, {size}, {size}, 3), uint8 RGB frames, or float in "
        f"[-1, 1]; {spec.frames_per_second:g} frames per second, "
        f"{spec.duration:g} seconds",
        "audio": f"(clips, {spec.audio_samples}, 1), float32 in [-1, 1]; mono, "
        f"{spec.sampling_rate:,} hertz, {seconds:g} seconds",
        "image": f"(images, {size}, {size}, 3), uint8 RGB, or float in [-1, 1]",
        "text": f"(rows, {words}), int32 word ids, 0 = padding",
    }
    return {kind: texts[kind] for kind in kinds}
