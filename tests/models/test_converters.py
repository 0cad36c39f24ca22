"""Files, bytes and arrays of any rate become the arrays that VATT takes."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import MediaError, decode_frames, decode_waveform, encode_clip

RATE = 16_000
SECONDS = 4
FPS = 10


@pytest.fixture(scope="module")
def media_file(tmp_path_factory):
    """Four seconds that grow brighter, with a tone."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    levels = np.linspace(20, 220, SECONDS * FPS).astype(np.uint8)
    frames = np.broadcast_to(
        levels[:, None, None, None], (SECONDS * FPS, 48, 64, 3)
    ).copy()
    time = np.arange(SECONDS * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 440 * time).astype(np.float32)
    encode_clip(path, frames, FPS, tone, RATE)
    return path


@pytest.fixture
def video():
    return keras_vatt.VATTVideoConverter(8, 4.0, 32)


@pytest.fixture
def audio():
    return keras_vatt.VATTAudioConverter(8_000, 8_000)


@pytest.mark.once
def test_a_video_file_gives_the_frames_of_its_middle(media_file, video):
    frames = video(str(media_file))
    assert frames.shape == (1, 8, 32, 32, 3)
    np.testing.assert_array_equal(
        frames[0], decode_frames(media_file, 1.0, video.clip_spec)
    )


@pytest.mark.once
def test_paths_bytes_and_lists_of_them_are_the_same(media_file, video, audio):
    for converter in (video, audio):
        expected = converter(media_file)
        given = [media_file, str(media_file), media_file.read_bytes()]
        batch = converter(given)
        assert len(batch) == 3
        for clip in batch:
            np.testing.assert_array_equal(clip, expected[0])


@pytest.mark.once
def test_an_open_file_is_as_good_as_its_path(media_file, video, audio):
    for converter in (video, audio):
        with open(media_file, "rb") as file:
            np.testing.assert_array_equal(converter(file), converter(media_file))


@pytest.mark.once
def test_a_list_of_arrays_is_a_batch(video):
    clips = [np.full((8, 32, 32, 3), level, np.uint8) for level in (1, 2)]
    np.testing.assert_array_equal(video(clips), np.stack(clips))


@pytest.mark.once
def test_an_array_of_frames_is_sampled_by_time(video):
    levels = np.arange(100, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (100, 48, 64, 3))
    # 4 seconds at 25 per second: 2 seconds from 1.0, every quarter of a second.
    shown = video((frames, 25.0))[0]
    times = 1.0 + np.arange(8) / 4
    np.testing.assert_array_equal(shown[:, 16, 16, 0], np.floor(times * 25))


@pytest.mark.once
def test_sound_of_a_file_is_that_of_its_middle(media_file, audio):
    waveform = audio(media_file)
    assert waveform.shape == (1, 8_000, 1)
    expected = decode_waveform(media_file, 1.5, audio.clip_spec)
    np.testing.assert_array_equal(waveform[0, :, 0], expected)


@pytest.mark.once
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [None, 1, 2])
def test_sound_of_any_rate_and_channels_keeps_its_pitch(audio, rate, channels):
    time = np.arange(2 * rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 500 * time)
    if channels is not None:
        tone = np.repeat(tone[:, None], channels, axis=1)
    waveform = audio((tone, rate))[0, :, 0]
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    assert abs(spectrum.argmax() * 8_000 / len(waveform) - 500) < 2
    assert abs(np.abs(waveform[1_000:-1_000]).max() - 0.5) < 0.02


@pytest.mark.once
def test_integers_are_scaled(audio):
    waveform = audio((np.full(8_000, 16_384, np.int16), 8_000))[0, :, 0]
    np.testing.assert_array_equal(waveform, 0.5)


@pytest.mark.once
def test_batches_are_passed_on(video, audio):
    frames = np.zeros((2, 3, 8, 8, 3), np.float32)
    assert video(frames) is frames
    assert audio(np.zeros((2, 50))).shape == (2, 50, 1)
    assert audio([[0.0] * 50] * 2).shape == (2, 50, 1)


@pytest.mark.once
@pytest.mark.parametrize(
    "clip",
    [
        (np.zeros((100, 48, 64, 3), np.float32), 25.0),
        (np.zeros((100, 48, 64), np.uint8), 25.0),
        (np.zeros((100, 48, 64, 3), np.uint8), 0.0),
        (np.zeros((100, 48, 64, 3), np.uint8),),
    ],
)
def test_frames_that_are_no_clip_are_refused(video, clip):
    with pytest.raises(ValueError, match="raw video"):
        video(clip)


@pytest.mark.once
@pytest.mark.parametrize(
    "clip",
    [
        (np.zeros((2, 2, 2)), 8_000),
        (np.zeros(0), 8_000),
        (np.full(100, np.nan), 8_000),
        (np.zeros(100), -1),
    ],
)
def test_samples_that_are_no_sound_are_refused(audio, clip):
    with pytest.raises(ValueError, match="raw"):
        audio(clip)


@pytest.mark.once
def test_a_file_that_is_no_media_is_named(video, audio, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a film")
    for converter in (video, audio):
        with pytest.raises(MediaError, match="notes.mp4"):
            converter(tmp_path / "notes.mp4")


@pytest.mark.once
@pytest.mark.parametrize("name", ["video", "audio"])
def test_a_converter_comes_back_from_its_config(request, name):
    converter = request.getfixturevalue(name)
    config = keras.saving.serialize_keras_object(converter)
    again = keras.saving.deserialize_keras_object(config)
    assert again.clip_spec == converter.clip_spec


def test_a_model_encodes_files_and_strings(media_file):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic", load_weights=False)
    model.preprocessor.tokenizer = keras_vatt.VATTTokenizer.from_captions(["a tone"])
    outputs = model.encode(video=media_file, audio=[media_file] * 2, text="a tone")
    rows = [len(outputs[m]["features_pooled"]) for m in ("video", "audio", "text")]
    assert rows == [1, 2, 1]
    arrays = model.preprocessor({"video": media_file, "text": ["a tone"]})
    again = model.encode(**arrays)
    for modality in ("video", "text"):
        np.testing.assert_allclose(
            again[modality]["features_pooled"],
            outputs[modality]["features_pooled"],
            atol=1e-6,
        )


@pytest.mark.once
def test_raw_input_without_preprocessor_is_refused(media_file):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic", load_weights=False)
    model.preprocessor = None
    with pytest.raises(ValueError, match="no preprocessor"):
        model.encode(video=media_file)
