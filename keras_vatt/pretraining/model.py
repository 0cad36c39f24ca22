"""The model of a run: from its preset, and back to one."""

import dataclasses

from keras_vatt.data import ClipSpec
from keras_vatt.models import VATT, VATTPreprocessor, VATTTokenizer
from keras_vatt.pretraining.errors import PretrainingError
from keras_vatt.storage.preset_folder import PresetFolder

_CLIP_SETTINGS = ("num_frames", "frames_per_second", "frame_size", "sampling_rate")


def choose_clip_spec(settings):
    """What a clip of the run is: the preset's, or as the settings change it.

    Args:
        settings: `PretrainSettings`.

    Returns:
        `keras_vatt.data.ClipSpec`.
    """
    preprocessor = PresetFolder(settings.preset).load_preprocessor()
    spec = ClipSpec() if preprocessor is None else preprocessor.clip_spec
    changes = {
        name: getattr(settings, name)
        for name in _CLIP_SETTINGS
        if getattr(settings, name) is not None
    }
    return dataclasses.replace(spec, **changes, audio_samples=None) if changes else spec


def make_tokenizer(settings, segments):
    """The tokenizer of a run: of a vocabulary file, the preset, or the captions.

    Args:
        settings: `PretrainSettings`.
        segments: list of `keras_vatt.data.Segment`, those to train on.

    Returns:
        `keras_vatt.VATTTokenizer`.
    """
    if settings.vocabulary is not None:
        return VATTTokenizer(settings.vocabulary)
    preprocessor = PresetFolder(settings.preset).load_preprocessor()
    if preprocessor is not None and preprocessor.tokenizer is not None:
        return preprocessor.tokenizer
    captions = (segment.caption for segment in segments if segment.caption)
    return VATTTokenizer.from_captions(captions, settings.max_words)


def make_model(settings, spec, tokenizer):
    """The model of a run, with the weights of its preset if that has any.

    Word vectors that start at random are trained with the rest; those of a preset
    stay as its config says.

    Args:
        settings: `PretrainSettings`.
        spec: `ClipSpec`.
        tokenizer: `VATTTokenizer`.

    Returns:
        `keras_vatt.VATT`, not compiled.

    Raises:
        PretrainingError: if the vocabulary doesn't fit the weights of the preset.
    """
    folder = PresetFolder(settings.preset)
    arguments = {"rematerialize": settings.rematerialize}
    size = folder.read_backbone()["config"]["vocabulary_size"]
    if not folder.has_weights:
        arguments |= {
            "trainable_word_embedding": True,
            "vocabulary_size": tokenizer.vocabulary_size(),
        }
    elif tokenizer.vocabulary_size() > size:
        raise PretrainingError(
            f"the vocabulary has {tokenizer.vocabulary_size()} words, the preset "
            f"{settings.preset!r} knows {size}: give its own --vocabulary"
        )
    return VATT.from_preset(
        settings.preset,
        load_weights=folder.has_weights,
        dtype=settings.dtype,
        preprocessor=VATTPreprocessor(tokenizer, **spec.get_config()),
        **arguments,
    )
