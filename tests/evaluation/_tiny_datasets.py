"""Tiny videos of colors and tones, and presets to evaluate on them."""

import numpy as np
import PIL.Image

import keras_vatt
from tests.data._media import write_media
from tests.models.tiny import tiny_backbone

COLORS = {"blue": (20, 40, 220), "green": (30, 200, 60), "red": (230, 30, 30)}
CAPTIONS = [f"a {color} {size} thing" for color in COLORS for size in ("big", "dim")]


def preprocessor():
    return keras_vatt.VATTPreprocessor(
        keras_vatt.VATTTokenizer.from_captions(CAPTIONS, 20, 5),
        keras_vatt.VATTVideoConverter(4, 5.0, 8),
        keras_vatt.VATTAudioConverter(800, 96),
    )


def save_vatt(folder):
    head = keras_vatt.layers.FactorizedBridgeHead(12, 8, name="bridge_head")
    model = keras_vatt.VATT(tiny_backbone(), head, preprocessor())
    model.save_to_preset(folder)
    return keras_vatt.VATT.from_preset(folder)


def save_classifier(folder, cls=None, **arguments):
    cls = cls or keras_vatt.VATTVideoClassifier
    model = cls(tiny_backbone(), preprocessor=preprocessor(), **arguments)
    model.classifier.bias.assign(np.linspace(-0.5, 0.5, model.num_classes))
    model.save_to_preset(folder)
    return model


def write_clip(path, color, number, num_frames=15, sound=True):
    """Writes a clip of a flickering color at 10 frames per second, with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng((number, *COLORS[color]))
    shades = random.uniform(0.4, 1.0, num_frames)
    pictures = [
        np.broadcast_to(np.array(COLORS[color]) * shade, (32, 32, 3)).astype("uint8")
        for shade in shades
    ]
    time = np.arange(round(8_000 * num_frames / 10)) / 8_000
    pitch = 60 + 40 * list(COLORS).index(color) + 3 * number
    tone = (0.5 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)
    write_media(
        path,
        pictures,
        np.arange(num_frames) / 10,
        (tone, 8_000) if sound else None,
        rate=10,
    )
    return path


def write_image(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


def write_image_folders(folder, num_train=4, num_test=2):
    """Writes `train/<color>/*` and `test/<color>/*`, PNG, JPEG and WebP files."""
    suffixes = ("png", "jpg", "webp")
    for part, count in (("train", num_train), ("test", num_test)):
        for color, value in COLORS.items():
            for number in range(count):
                random = np.random.default_rng((number, *value, len(part)))
                shades = random.uniform(0.4, 1.0, (32, 48, 1))
                pixels = (np.array(value) * shades).astype("uint8")
                name = f"{part}/{color}/{number}.{suffixes[number % 3]}"
                write_image(folder / name, pixels)
    return folder


def write_folders(folder, num_train=4, num_test=2):
    """Writes `train/<color>/*.mp4` and `test/<color>/*.mp4`."""
    for part, count in (("train", num_train), ("test", num_test)):
        for color in COLORS:
            for number in range(count):
                name = f"{part}/{color}/{number}.mp4"
                write_clip(folder / name, color, number + 10 * (part == "test"))
    return folder
