"""Model, clip spec and tokenizer of a run, made from its preset and settings."""

import dataclasses

from keras_vatt.data import ClipSpec
from keras_vatt.models import (
    VATT,
    VATTPreprocessor,
    VATTTokenizer,
    VATTWordPieceTokenizer,
)
from keras_vatt.models._preset_preprocessor import load_preprocessor
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._settings import NO_PIECES, WORDPIECE
from keras_vatt.storage import PresetFolder

_CLIP_SETTINGS = ("num_frames", "frames_per_second", "frame_size", "sampling_rate")


def preset_preprocessor(settings):
    """Returns the preprocessor of the preset of a run; `None` if it has none."""
    return load_preprocessor(PresetFolder(settings.starting_preset, with_weights=False))


def choose_clip_spec(settings, preprocessor):
    """Returns the clip spec of the preset, with the changes that the settings make.

    Args:
        settings: `PretrainSettings`.
        preprocessor: see `preset_preprocessor`.

    Returns:
        `keras_vatt.data.ClipSpec`.
    """
    spec = ClipSpec() if preprocessor is None else preprocessor.clip_spec
    changes = {
        name: getattr(settings, name)
        for name in _CLIP_SETTINGS
        if getattr(settings, name) is not None
    }
    return dataclasses.replace(spec, **changes, audio_samples=None) if changes else spec


def make_tokenizer(settings, preprocessor, data):
    """Returns the tokenizer of a vocabulary file, of the preset, or of the captions.

    The tokenizer of the preset is used only if the run starts from its weights: it
    defines the rows of their word embedding.

    Args:
        settings: `PretrainSettings`.
        preprocessor: see `preset_preprocessor`.
        data: `RunData`.

    Returns:
        `keras_vatt.VATTTokenizer` or `keras_vatt.VATTWordPieceTokenizer`.

    Raises:
        PretrainingError: if there is no vocabulary for word pieces.
    """
    is_wordpiece = settings.tokenizer == WORDPIECE
    if settings.vocabulary is not None:
        cls = VATTWordPieceTokenizer if is_wordpiece else VATTTokenizer
        return cls(settings.vocabulary)
    tokenizer = getattr(preprocessor, "tokenizer", None)
    knows_words = tokenizer is not None and tokenizer.vocabulary is not None
    if settings.initialize_from is not None and knows_words:
        _check_kind(settings, tokenizer)
        return tokenizer
    if is_wordpiece:
        raise PretrainingError(NO_PIECES)
    return VATTTokenizer.from_captions(data.captions(), settings.max_words)


def _check_kind(settings, tokenizer):
    # "words" is also the default, with which any tokenizer of a preset is used.
    is_wordpiece = isinstance(tokenizer, VATTWordPieceTokenizer)
    if settings.tokenizer == WORDPIECE and not is_wordpiece:
        raise PretrainingError(
            f"--tokenizer {WORDPIECE}: the weights of {settings.initialize_from!r} are "
            "trained with a vocabulary of words: leave out --tokenizer"
        )


def make_model(settings, spec, tokenizer):
    """Returns the model of a run, with random weights or those of its preset.

    A word embedding with random weights is trained; whether that of a preset is
    trained is part of the preset's config.

    Args:
        settings: `PretrainSettings`.
        spec: `ClipSpec`.
        tokenizer: see `make_tokenizer`.

    Returns:
        `keras_vatt.VATT`, not compiled.

    Raises:
        PretrainingError: if the vocabulary doesn't fit the weights of the preset, or
            `settings.freeze` names what the model can't freeze.
    """
    arguments = {"rematerialize": settings.rematerialize}
    with_weights = settings.initialize_from is not None
    if not with_weights:
        arguments |= {
            "trainable_word_embedding": True,
            "vocabulary_size": tokenizer.vocabulary_size(),
        }
    model = VATT.from_preset(
        settings.starting_preset,
        load_weights=with_weights,
        dtype=settings.dtype,
        preprocessor=VATTPreprocessor.from_clip_spec(spec, tokenizer),
        **arguments,
    )
    size = model.backbone.vocabulary_size
    if tokenizer.vocabulary_size() > size:
        raise PretrainingError(
            f"the vocabulary has {tokenizer.vocabulary_size()} words, more than the "
            f"{size} of the preset {settings.starting_preset!r}: give the --vocabulary "
            "that the preset was trained with, or leave out --initialize-from"
        )
    if settings.freeze is not None:
        _freeze(model.backbone, settings)
    return model


def _freeze(backbone, settings):
    names = [name.strip().lower() for name in settings.freeze.split("+")]
    unknown = [name for name in names if name not in backbone.modalities]
    if unknown:
        raise PretrainingError(
            f"--freeze {settings.freeze}: the preset has no {unknown[0]!r}; its "
            f"modalities are {', '.join(backbone.modalities)}"
        )
    if settings.initialize_from is None:
        raise PretrainingError(
            f"--freeze {settings.freeze} would keep random weights: give the preset by "
            "--initialize-from"
        )
    others = [name for name in backbone.modalities if name not in names]
    trained = _layers_of(backbone, others)
    frozen = _layers_of(backbone, names)
    if any(layer is other for layer in frozen for other in trained):
        raise PretrainingError(
            f"--freeze {settings.freeze}: the preset has one encoder for all "
            "modalities; only a specific preset can freeze one of them"
        )
    for layer in frozen:
        layer.trainable = False


def _layers_of(backbone, modalities):
    return [
        layer
        for modality in modalities
        for layer in backbone.modality_layers(modality).values()
    ]
