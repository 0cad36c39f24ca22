"""Audio is decoded to samples with exact times of the file."""

import io

import numpy as np
import pytest

from keras_vatt.data import ClipSpec, MediaError, Problem, decode_waveform
from tests.data._media import center_of_click, clicks, numbered_picture, write_media

pytestmark = pytest.mark.once

SPEC = ClipSpec()
RATE = 48_000


def click_errors(waveform, start, times, rate=RATE):
    """Differences, in samples, between the clicks of a waveform and their times."""
    inside = [t for t in times if start + 0.1 < t < start + len(waveform) / rate - 0.1]
    assert len(inside) >= 3
    errors = [
        center_of_click(waveform, time - start, rate) - (time - start) * rate
        for time in inside
    ]
    return np.abs(errors)


def test_shape_and_range_of_a_waveform(steady_video):
    waveform = decode_waveform(steady_video, 1.0, SPEC)
    assert waveform.shape == (153_600,)
    assert waveform.dtype == np.float32
    assert 0.7 < waveform.max() <= 1.0


@pytest.mark.parametrize("opened", ["path", "bytes", "file"])
@pytest.mark.parametrize("start", [-0.05, 0.0, 0.02])
def test_flac_of_a_single_block_is_decoded_from_any_time(tmp_path, start, opened):
    # It can't be seeked in; samples of a drum kit are as short.
    path = tmp_path / "hit.flac"
    sound = np.linspace(-0.5, 0.5, 2400, dtype=np.float32)
    write_media(path, sound=(sound, RATE), audio_codec="flac")
    data = path.read_bytes()
    sources = {"path": path, "bytes": data, "file": io.BytesIO(data)}
    waveform = decode_waveform(sources[opened], start, SPEC)
    padded = np.pad(sound, (2400, len(waveform)))
    expected = padded[2400 + round(start * RATE) :][: len(waveform)]
    np.testing.assert_allclose(waveform, expected, atol=1e-3)


@pytest.mark.parametrize("start", [0.0, 0.3, 1.2345, 4.7])
def test_clicks_in_aac_lie_where_they_were_put(steady_video, start):
    # The encoder puts 1,024 samples of priming before the audio.
    waveform = decode_waveform(steady_video, start, SPEC)
    assert click_errors(waveform, start, np.arange(0.5, 8.0, 0.5)).max() < 0.6


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        (".mp4", "aac", 44_100),
        (".mkv", "aac", 44_100),
        (".mp3", "libmp3lame", 44_100),
        (".webm", "libopus", 48_000),
        (".flac", "flac", 22_050),
        (".wav", "pcm_s16le", 16_000),
    ],
)
@pytest.mark.parametrize("start", [0.0, 2.1])
def test_stereo_of_any_rate_becomes_mono_in_step(tmp_path, suffix, codec, rate, start):
    times = np.arange(0.5, 6.0, 0.5)
    sound = clicks(times, 6.0, rate)
    path = tmp_path / f"stereo{suffix}"
    write_media(path, sound=(np.stack([sound, sound]), rate), audio_codec=codec)
    waveform = decode_waveform(path, start, SPEC)
    # WebM gives the priming of Opus in whole milliseconds, 48 samples.
    tolerance = 48.0 if codec == "libopus" else 1.0
    assert click_errors(waveform, start, times).max() < tolerance
    assert waveform.max() == pytest.approx(0.8, abs=0.1)


def test_a_resampled_tone_keeps_its_frequency_and_phase(tmp_path):
    axis = np.arange(44_100 * 5) / 44_100
    tone = (0.5 * np.sin(2 * np.pi * 440 * axis)).astype(np.float32)
    path = write_media(
        tmp_path / "a.wav", sound=(tone, 44_100), audio_codec="pcm_s16le"
    )
    waveform = decode_waveform(path, 1.0, SPEC)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (1.0 + np.arange(153_600) / RATE))
    np.testing.assert_allclose(waveform, expected, atol=2e-4)


def test_a_tone_is_right_to_the_last_sample_of_the_clip(tmp_path):
    # 3.41333 seconds: 147 blocks of 1,024 samples, and 163,840 samples at 48 kHz. The
    # filter of the resampler needs samples of the next block.
    axis = np.arange(44_100 * 5) / 44_100
    tone = (0.5 * np.sin(2 * np.pi * 440 * axis)).astype(np.float32)
    path = tmp_path / "a.mkv"
    write_media(path, sound=(tone, 44_100), audio_codec="pcm_s16le")
    waveform = decode_waveform(path, 0.0, ClipSpec(audio_samples=163_840))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(163_840) / RATE)
    np.testing.assert_allclose(waveform[-100:], expected[-100:], atol=0.01)


def test_a_tone_is_right_to_the_last_sample_of_the_file(tmp_path):
    level = np.full(44_100 * 2, 0.5, np.float32)
    sound = (level, 44_100)
    path = write_media(tmp_path / "a.wav", sound=sound, audio_codec="pcm_s16le")
    waveform = decode_waveform(path, 0.0, SPEC)
    np.testing.assert_allclose(waveform[95_000:95_998], 0.5, atol=0.1)
    assert not waveform[96_050:].any()


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    sound = (np.tile(np.float32([1.7, -1.7, 0.3, 0.0]), RATE), RATE)
    path = write_media(tmp_path / "a.wav", sound=sound, audio_codec="pcm_f32le")
    waveform = decode_waveform(path, 0.0, SPEC)
    np.testing.assert_allclose(waveform[:4], [1.0, -1.0, 0.3, 0.0], atol=1e-6)


def test_channels_are_averaged(tmp_path):
    axis = np.arange(RATE * 4) / RATE
    left = (0.8 * np.sin(2 * np.pi * 300 * axis)).astype(np.float32)
    channels = np.stack([left, 0.25 * left])
    sound = (channels, RATE)
    path = write_media(tmp_path / "s.wav", sound=sound, audio_codec="pcm_s16le")
    waveform = decode_waveform(path, 0.0, SPEC)
    np.testing.assert_allclose(waveform, channels.mean(0)[:153_600], atol=1e-4)


def test_loud_channels_stay_within_full_scale(tmp_path):
    loud = np.full((2, RATE * 4), 0.9, np.float32)
    path = write_media(tmp_path / "s.wav", sound=(loud, RATE), audio_codec="pcm_s16le")
    waveform = decode_waveform(path, 0.0, SPEC)
    np.testing.assert_allclose(waveform, 0.9, atol=1e-4)


def test_six_channels_are_mixed_down_as_ffmpeg_does(tmp_path):
    channels = np.zeros((6, RATE * 4), np.float32)
    channels[2] = 0.6
    path = write_media(
        tmp_path / "s.wav", sound=(channels, RATE), audio_codec="pcm_s16le"
    )
    # The center goes into both sides of stereo, 3 dB less.
    expected = 0.6 / np.sqrt(2)
    np.testing.assert_allclose(decode_waveform(path, 0.0, SPEC), expected, atol=1e-4)


def test_audio_that_starts_late_follows_silence(tmp_path):
    times = np.arange(0.5, 5.0, 0.5)
    images = [numbered_picture(number) for number in range(60)]
    # Less 1,024 samples of priming, this is a whole number of milliseconds, the clock
    # of the container for starts of streams.
    start = 0.75 + 1024 / RATE
    path = write_media(
        tmp_path / "late.mp4",
        images,
        np.arange(60) / 10,
        (clicks(times, 5.0, RATE), RATE),
        sound_start=start,
    )
    waveform = decode_waveform(path, 0.0, SPEC)
    assert not waveform[: round(0.7 * RATE)].any()
    assert click_errors(waveform, 0.0, start + times).max() < 0.6


def test_audio_that_ends_early_is_followed_by_silence(tmp_path):
    times = np.arange(0.5, 2.0, 0.5)
    images = [numbered_picture(number) for number in range(60)]
    sound = (clicks(times, 2.0, RATE), RATE)
    path = write_media(tmp_path / "early.mp4", images, np.arange(60) / 10, sound)
    waveform = decode_waveform(path, 0.0, SPEC)
    assert click_errors(waveform, 0.0, times).max() < 0.6
    assert not waveform[round(2.1 * RATE) :].any()
    assert not decode_waveform(path, 2.5, SPEC).any()


def test_audio_after_a_gap_is_where_its_times_say(tmp_path):
    # Two stretches of clicks with 1.5 seconds of nothing between them.
    times = np.array([0.5, 1.0, 2.6, 3.1])
    path = tmp_path / "gap.mkv"
    _write_with_gap(path, clicks([0.5, 1.0], 1.2, RATE), clicks([0.3, 0.8], 1.2, RATE))
    waveform = decode_waveform(path, 0.0, ClipSpec(num_frames=36))
    assert click_errors(waveform, 0.0, times).max() < 60  # one tick of the clock: 48
    assert not waveform[round(1.4 * RATE) : round(2.2 * RATE)].any()


def test_another_sampling_rate_and_length_can_be_asked_for(steady_video):
    spec = ClipSpec(sampling_rate=16_000, audio_samples=40_000)
    waveform = decode_waveform(steady_video, 1.0, spec)
    assert waveform.shape == (40_000,)
    times = np.arange(0.5, 8.0, 0.5)
    assert click_errors(waveform, 1.0, times, rate=16_000).max() < 0.6


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    sound = np.zeros(RATE * 4, np.float32)
    sound[RATE] = np.nan
    path = tmp_path / "nan.wav"
    write_media(path, sound=(sound, RATE), audio_codec="pcm_f32le")
    with pytest.raises(MediaError, match="not finite") as caught:
        decode_waveform(path, 0.0, SPEC)
    assert caught.value.problem is Problem.CORRUPT


def test_a_file_without_audio_is_refused(silent_video):
    with pytest.raises(MediaError, match="no audio that") as caught:
        decode_waveform(silent_video, 0.0, SPEC)
    assert caught.value.problem is Problem.NO_AUDIO


def _write_with_gap(path, *stretches):
    import fractions

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number, stretch in enumerate(stretches):
            samples = np.round(stretch[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = round(2.3 * RATE) * number
            frame.time_base = fractions.Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
