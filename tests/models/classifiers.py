"""Tiny classifiers and inputs for them."""

import io
import wave

import numpy as np
import PIL.Image

import keras_vatt
from keras_vatt.data import ClipSpec
from tests.models.tiny import NO_RANDOMNESS, tiny_backbone

SPEC = ClipSpec(4, 4.0, 8, sampling_rate=8_000, audio_samples=96)
CLASSES = {
    "video": keras_vatt.VATTVideoClassifier,
    "image": keras_vatt.VATTImageClassifier,
    "audio": keras_vatt.VATTAudioClassifier,
}


def tiny_classifier(
    kind, num_classes=3, form="agnostic", overrides=NO_RANDOMNESS, **kw
):
    modality = "video" if kind == "image" else kind
    backbone = tiny_backbone(form, modalities=(modality,), **overrides)
    words = keras_vatt.VATTTokenizer.from_captions(["a star"])
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, words)
    arguments = {"preprocessor": preprocessor, "dropout": 0.0} | kw
    return CLASSES[kind](backbone, num_classes, **arguments)


def raw_clip(kind, seed=0):
    """A raw clip three times as long (or wide) as the model's."""
    random = np.random.default_rng(seed)
    if kind == "video":
        return random.integers(0, 256, (12, 8, 24, 3), np.uint8), 4.0
    if kind == "image":
        return random.integers(0, 256, (16, 48, 3), np.uint8)
    return random.uniform(-1, 1, 288).astype("float32"), 8_000


def raw_clips(kind, count=5):
    return [raw_clip(kind, seed) for seed in range(count)]


def wav_bytes(samples, rate=8_000):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((samples * 32_767).astype("<i2").tobytes())
    return file.getvalue()


def picture_bytes(image, form="PNG"):
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, form, quality=100)
    return file.getvalue()
