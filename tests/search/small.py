"""A folder of small media, and a model with clips of 0.4 seconds to search it by."""

import numpy as np

import keras_vatt
from keras_vatt.data import ClipSpec
from tests.data._media import numbered_picture, write_media
from tests.models.tiny import tiny_vatt

SPEC = ClipSpec(num_frames=4, frame_size=8, sampling_rate=2_000)
CAPTIONS = ["a red star", "the blue circle"]


def small_model(joint=False, seed=0):
    """Random weights, of which the biases and norms are not 0 and 1 either."""
    head = keras_vatt.layers.JointBridgeHead(12) if joint else None
    model = tiny_vatt(bridge_head=head, audio_positions=50)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        noise = random.normal(0, 0.3, weight.shape)
        is_variance = "variance" in weight.path
        weight.assign(np.abs(noise) + 0.5 if is_variance else weight + noise)
    tokenizer = keras_vatt.VATTTokenizer.from_captions(CAPTIONS, sequence_length=5)
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, tokenizer)
    return keras_vatt.VATT(model.backbone, model.bridge_head, preprocessor)


def tone(hertz, seconds, rate=8_000):
    return (
        0.5 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * hertz / rate)
    ).astype(np.float32), rate


def write_video(path, first=0, seconds=2.0, sound=None):
    """Frames with ascending numbers, 10 per second."""
    numbers = range(first, first + round(10 * seconds))
    pictures = [numbered_picture(number) for number in numbers]
    times = np.arange(len(pictures)) / 10
    return write_media(path, pictures, times, sound, rate=10)


def write_folder(folder):
    """14 windows of 0.4 seconds, a broken file, and a file that is not a media file."""
    (folder / "trip").mkdir(parents=True)
    write_video(folder / "talk.mp4", 0, sound=tone(200, 2.0))
    write_video(folder / "trip" / "mute.mp4", 60)
    write_media(
        folder / "trip" / "hum.wav", sound=tone(330, 1.6), audio_codec="pcm_s16le"
    )
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(3_000))
    (folder / "notes.txt").write_text("not a medium")
    (folder / ".hidden.mp4").write_bytes(b"not to be found")
    return folder
