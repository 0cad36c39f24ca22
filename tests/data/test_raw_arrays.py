"""Arrays with their rates are unambiguous, or the error says what to do."""

import io
import wave

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
import torch

from keras_vatt.data import ClipSpec, decode_waveform
from keras_vatt.data.decoding._raw_clips import is_raw, raw_frames, raw_waveform

pytestmark = pytest.mark.once

RATE, COUNT = 8_000, 2_000
SPEC = ClipSpec(4, 4.0, 8, sampling_rate=RATE, audio_samples=COUNT)


def noise(*shape):
    return np.random.default_rng(0).uniform(-0.9, 0.9, shape)


def waveform(samples, rate=RATE, **options):
    (values,) = raw_waveform((samples, rate), SPEC, **options)
    assert values.dtype == np.float32
    return values


def video(count=40, height=8, width=16):
    """Frames of noise, whose number is the first value."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (count, height, width, 3), np.uint8)
    frames[:, :, :, 0] = np.arange(count)[:, np.newaxis, np.newaxis]
    return frames


def first_values(clip):
    return clip[:, 0, 0, 0].tolist()


LAYOUTS = {
    "samples": noise(COUNT),
    "samples-1": noise(COUNT, 1),
    "1-samples": noise(1, COUNT),
    "samples-2": noise(COUNT, 2),
    "2-samples": noise(2, COUNT),
    "6-samples": noise(6, COUNT),
    "samples-32": noise(COUNT, 32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_channels_of_any_layout_are_averaged(layout):
    samples = LAYOUTS[layout]
    axis = int(np.argmin(samples.shape)) if samples.ndim == 2 else None
    expected = samples if axis is None else samples.mean(axis=axis)
    np.testing.assert_allclose(waveform(samples), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "shape", [(2, 2), (20, 30), (40, COUNT), (2, 1, COUNT), (1, 2, COUNT), ()]
)
def test_shapes_with_an_ambiguous_axis_of_channels_are_refused(shape):
    with pytest.raises(ValueError, match=r"raw audio .*shape"):
        waveform(np.zeros(shape))


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "uint8", "uint16", "uint32"]
)
def test_integers_have_the_scale_of_their_dtype(dtype):
    info = np.iinfo(dtype)
    half = 2.0 ** (info.bits - 1)
    middle = half if info.min == 0 else 0.0
    samples = np.random.default_rng(0).integers(info.min, info.max, COUNT, dtype)
    samples[:2] = info.min, middle
    expected = (samples.astype(np.float64) - middle) / half
    assert expected[:2].tolist() == [-1.0, 0.0]
    np.testing.assert_allclose(waveform(samples), expected, rtol=0, atol=1e-7)


def read_only(samples):
    samples = samples.astype(np.float32)
    samples.flags.writeable = False
    return samples


FORMS = {
    "read-only": read_only,
    "float16": lambda x: x.astype(np.float16),
    "bfloat16": lambda x: x.astype(ml_dtypes.bfloat16),
    "big-endian": lambda x: x.astype(">f4"),
    "list": list,
    "torch": torch.tensor,
    "torch-gradients": lambda x: torch.tensor(x, requires_grad=True),
    "torch-bfloat16": lambda x: torch.tensor(x, dtype=torch.bfloat16),
    "tensorflow": tf.constant,
    "tensorflow-bfloat16": lambda x: tf.cast(x, tf.bfloat16),
    "jax": jnp.asarray,
    "jax-bfloat16": lambda x: jnp.asarray(x, jnp.bfloat16),
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_every_framework_are_understood(form):
    samples = noise(COUNT)
    tolerance = 4e-3 if "float16" in form else 1e-7
    actual = waveform(FORMS[form](samples))
    np.testing.assert_allclose(actual, samples, rtol=0, atol=tolerance)


def test_big_endian_integers_are_those_of_this_machine():
    samples = np.arange(COUNT, dtype=">i2")
    expected = np.arange(COUNT) / 2**15
    np.testing.assert_allclose(waveform(samples), expected, rtol=0, atol=1e-7)


def test_a_little_overshoot_is_clipped():
    samples = noise(COUNT)
    samples[5:7] = 1.2, -1.9
    expected = np.clip(samples, -1, 1)
    np.testing.assert_allclose(waveform(samples), expected, rtol=0, atol=1e-7)


WRONG_SCALES = {
    "float-16-bit": noise(COUNT) * 32_768,
    "float-8-bit": noise(COUNT) * 128,
    "float-standardized": noise(COUNT) * 5,
    "int64": (noise(COUNT) * 32_768).astype("int64"),
    "uint64": np.zeros(COUNT, "uint64"),
    "int32-16-bit": (noise(COUNT) * 32_768).astype("int32"),
    "bool": np.zeros(COUNT, bool),
    "complex": np.zeros(COUNT, "complex64"),
    "nan": np.full(COUNT, np.nan),
}


@pytest.mark.parametrize("scale", WRONG_SCALES)
def test_samples_of_an_unknown_scale_are_refused(scale):
    with pytest.raises(ValueError, match="samples"):
        waveform(WRONG_SCALES[scale])


def test_quiet_audio_of_24_bits_in_int32_is_understood():
    samples = np.arange(-60, 60, dtype="int32") * 256
    actual = waveform(np.resize(samples, COUNT))
    np.testing.assert_allclose(actual[:120], samples / 2**31, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rate", [4_000, 11_025, 16_000, 44_100, 48_000])
def test_resampling_agrees_with_scipy(rate):
    times = np.arange(rate) / rate
    tones = 0.4 * np.sin(2 * np.pi * 440 * times) + 0.3 * np.cos(
        2 * np.pi * 997 * times
    )
    common = np.gcd(rate, RATE)
    reference = scipy.signal.resample_poly(tones, RATE // common, rate // common)
    # The middle quarter of a second of one.
    expected = reference[3_000:5_000]
    assert np.abs(waveform(tones, rate) - expected).max() < 2e-3


def test_resampled_channels_are_those_of_their_mean():
    samples = noise(2, 6_000)
    expected = waveform(samples.mean(axis=0), 12_000)
    actual = waveform(samples.astype(np.float32), 12_000)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "rate", [np.int64(RATE), np.float32(RATE), np.array(RATE), torch.tensor(RATE)]
)
def test_a_rate_is_a_number_of_any_framework(rate):
    np.testing.assert_allclose(waveform(noise(COUNT), rate), noise(COUNT), atol=1e-7)


def test_a_rate_before_its_array_is_named():
    with pytest.raises(ValueError, match=r"8000 first .*wavfile"):
        raw_waveform((RATE, noise(COUNT)), SPEC)


@pytest.mark.parametrize("rate", [2**40, 8_000.5])
def test_rates_that_audio_cannot_have_are_refused(rate):
    with pytest.raises(ValueError, match=r"rate of audio|can't be resampled"):
        waveform(noise(COUNT), rate)


def test_audio_shorter_than_a_sample_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        waveform(noise(2), 1_000_000)


def test_short_audio_is_repeated_padded_or_refused():
    samples = noise(700)
    repeated = np.concatenate([samples, samples, samples[:600]])
    np.testing.assert_allclose(waveform(samples), repeated, rtol=0, atol=1e-7)
    padded = waveform(samples, short_clips="pad")
    np.testing.assert_allclose(padded[:700], samples, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(padded[700:], 0.0)
    with pytest.raises(ValueError, match=r"lasts 0.09 s, a clip 0.25 s"):
        waveform(samples, short_clips="error")
    exact = waveform(noise(COUNT), short_clips="error")
    np.testing.assert_allclose(exact, noise(COUNT), rtol=0, atol=1e-7)


def test_short_video_is_repeated_padded_or_refused():
    short = video(5), 10.0  # Frames 0, 2 (and 5, which isn't there) of a clip.
    (repeated,) = raw_frames(short, SPEC)
    assert first_values(repeated) == [0, 2, 0, 2]
    (padded,) = raw_frames(short, SPEC, short_clips="pad")
    assert first_values(padded) == [0, 2, 0, 0]
    assert padded[1].any()
    assert not padded[2:].any()
    with pytest.raises(ValueError, match=r"lasts 0.50 s, a clip 1.00 s"):
        raw_frames(short, SPEC, short_clips="error")
    (still,) = raw_frames((video(1), 10.0), SPEC)
    np.testing.assert_array_equal(still, np.repeat(still[:1], 4, axis=0))


def test_windows_and_crops_of_a_short_video_are_repeated_alike():
    clips = raw_frames((video(5), 10.0), SPEC, num_windows=2, num_crops=3)
    assert clips.shape == (6, 4, 8, 8, 3)
    for clip in clips:
        assert first_values(clip) == [0, 2, 0, 2]


def test_an_unknown_option_for_short_clips_is_refused():
    with pytest.raises(ValueError, match="`short_clips` must be one of"):
        waveform(noise(COUNT), short_clips="loop")


VIDEO_FORMS = {
    "channels-first": lambda x: x.transpose(0, 3, 1, 2),
    "torch-channels-first": lambda x: torch.tensor(x).permute(0, 3, 1, 2),
    "tensorflow": tf.constant,
    "jax": jnp.asarray,
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("form", VIDEO_FORMS)
def test_frames_of_every_layout_and_framework_are_the_same(form):
    expected = raw_frames((video(), 10.0), SPEC)
    actual = raw_frames((VIDEO_FORMS[form](video()), 10.0), SPEC)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((3, 40, 8, 16), np.uint8),
        np.zeros((40, 8, 16, 4), np.uint8),
        np.zeros((40, 8, 16), np.uint8),
        np.zeros((40, 3, 8, 3), np.uint8),
        np.zeros((40, 8, 16, 3), np.int64),
        np.zeros((40, 8, 16, 3), np.float32),
        np.zeros((0, 8, 16, 3), np.uint8),
    ],
    ids=lambda frames: f"{frames.dtype}-{'-'.join(map(str, frames.shape))}",
)
def test_arrays_that_are_no_rgb_video_are_refused(frames):
    with pytest.raises(ValueError, match="raw video"):
        raw_frames((frames, 10.0), SPEC)


def wav_file():
    content = io.BytesIO()
    with wave.open(content, "wb") as writer:
        writer.setparams((1, 2, RATE, 0, "NONE", ""))
        writer.writeframes((noise(COUNT) * 32_767).astype("<i2").tobytes())
    return content.getvalue()


class Samples:
    """As of torchcodec: channels first."""

    data = torch.tensor(noise(2, COUNT))
    sample_rate = RATE


class Decoder:
    def get_all_samples(self):
        return Samples()


SAMPLES = {"array": noise(2, COUNT), "sampling_rate": RATE}


@pytest.mark.parametrize(
    "entry",
    [
        SAMPLES,
        SAMPLES | {"path": "a name alone.wav"},
        SAMPLES | {"bytes": None, "path": None},
        Samples(),
        Decoder(),
    ],
    ids=["array", "with-path", "with-none", "torchcodec-samples", "torchcodec-decoder"],
)
def test_entries_of_datasets_are_their_samples(entry):
    assert is_raw(entry)
    assert is_raw([entry])
    (actual,) = raw_waveform(entry, SPEC)
    np.testing.assert_allclose(actual, noise(2, COUNT).mean(0), rtol=0, atol=1e-7)


def test_entries_of_datasets_may_be_files(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(wav_file())
    expected = decode_waveform(path, 0.0, SPEC)
    for entry in (
        {"bytes": wav_file(), "path": "a name alone.wav"},
        {"bytes": None, "path": str(path)},
        {"path": path},
    ):
        (actual,) = raw_waveform(entry, SPEC)
        np.testing.assert_array_equal(actual, expected)


def test_entries_of_datasets_may_be_video():
    expected = raw_frames((video(), 10.0), SPEC)
    entry = {"array": video().transpose(0, 3, 1, 2), "fps": 10.0}
    np.testing.assert_array_equal(raw_frames(entry, SPEC), expected)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"bytes": None, "path": None},
        {"samples": noise(COUNT)},
        {"array": noise(COUNT)},
        {"array": noise(COUNT), "sampling_rate": RATE, "fps": 10.0},
    ],
    ids=["empty", "none", "other-names", "no-rate", "two-rates"],
)
def test_other_dicts_are_refused(entry):
    assert is_raw(entry)
    with pytest.raises(ValueError, match="A clip .*Received: a dict with"):
        raw_waveform(entry, SPEC)
