"""Equal audio is equal, whatever the container and the start of the window."""

import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import ClipSpec, MediaSegment, decode_waveform
from tests.data._ffmpeg_content import recording
from tests.data._ffmpeg_program import ffmpeg, needs_ffmpeg

pytestmark = [pytest.mark.once, needs_ffmpeg]
SPEC = ClipSpec(num_frames=8, frame_size=32, sampling_rate=48_000)
RATE, SECONDS = 44_100, 64
# Name of the file and options of its encoder.
FILES = {
    "audio.flac": (),
    "pcm.mkv": ("-c:a", "pcm_s16le"),
    "flac.mkv": ("-c:a", "flac"),
    "audio.aiff": (),
    "audio.caf": (),
    "alac.m4a": ("-c:a", "alac"),
}


@pytest.fixture(scope="module")
def equal_files(tmp_path_factory):
    """A function from the name of a file to its path; `audio.wav` has the same."""
    folder = tmp_path_factory.mktemp("equal")
    # A minute, since far from the start a file may be read in another way.
    samples = np.tile(recording(8, RATE), (SECONDS // 8, 1))[:, 0]
    samples[50 * RATE :] *= np.linspace(1.0, 0.5, len(samples) - 50 * RATE)
    raw = folder / "audio.raw"
    raw.write_bytes(samples.astype(np.float32).tobytes())
    given = ("-f", "f32le", "-ar", RATE, "-ac", "1", "-i", raw, "-sample_fmt", "s16")
    ffmpeg(*given, "-c:a", "pcm_s16le", folder / "audio.wav")

    def path_of(name):
        path = folder / name
        if not path.exists():
            ffmpeg("-i", folder / "audio.wav", *FILES[name], path)
        return path

    return path_of


@pytest.mark.parametrize("start", [0.0, 0.37, 1.0 / 3.0, 30.01, 61.7, 62.345678])
@pytest.mark.parametrize("name", FILES)
def test_equal_samples_give_equal_waveforms(equal_files, name, start):
    expected = decode_waveform(equal_files("audio.wav"), start, SPEC)
    received = decode_waveform(equal_files(name), start, SPEC)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", [0.5, 12.3, 61.7])
@pytest.mark.parametrize("name", ["audio.wav", *FILES])
def test_windows_that_overlap_have_equal_samples(equal_files, name, start):
    first = decode_waveform(equal_files(name), start, SPEC)
    second = decode_waveform(equal_files(name), start + 0.123, SPEC)
    lag = round((start + 0.123) * 48_000) - round(start * 48_000)
    np.testing.assert_allclose(second[:-lag], first[lag:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", [0.0, 20.03])
def test_equal_audio_has_equal_embeddings(equal_files, start):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    segments = [
        MediaSegment(str(equal_files(name)), start=start, end=start + 8.0)
        for name in ("audio.wav", "audio.flac", "pcm.mkv", "flac.mkv")
    ]
    embeddings = np.asarray(model.encode(audio=segments)["audio"]["to_video"])
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert (embeddings @ embeddings[0]).min() >= 0.999999
