"""Frames are those that are shown at the times of the clip."""

import numpy as np
import pytest

from keras_vatt.data import ClipSpec, MediaError, Problem, decode_frames
from tests.data._media import numbered_picture, numbers_in, write_media

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=16, frames_per_second=10.0, frame_size=32)


def shown_at(frame_times, start, spec):
    """The number of the last frame whose time has passed, at each time of a clip."""
    wanted = start + np.arange(spec.num_frames) / spec.frames_per_second
    return [int(np.flatnonzero(frame_times <= t + 1e-9)[-1]) for t in wanted]


@pytest.mark.parametrize("start", [0.0, 0.04, 0.3, 1.6, 2.017, 3.99, 6.4])
def test_frame_k_is_the_one_shown_at_its_time(steady_video, start):
    frames = decode_frames(steady_video, start, SPEC)
    assert frames.shape == (16, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert numbers_in(frames) == shown_at(np.arange(200) / 25, start, SPEC)


@pytest.mark.parametrize("rate", [4.0, 12.5, 25.0, 30.0])
def test_the_frame_rate_of_the_clip_is_free(steady_video, rate):
    spec = ClipSpec(num_frames=9, frames_per_second=rate, frame_size=32)
    frames = decode_frames(steady_video, 1.0, spec)
    assert numbers_in(frames) == shown_at(np.arange(200) / 25, 1.0, spec)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_of_uneven_duration_are_found_by_their_times(tmp_path, suffix):
    durations = np.random.default_rng(0).choice([0.02, 0.05, 0.2, 0.45], size=40)
    times = np.concatenate([[0.0], np.cumsum(durations)])
    images = [numbered_picture(number) for number in range(41)]
    path = write_media(tmp_path / f"uneven{suffix}", images, times, group=7)
    for start in (0.0, 1.01, 3.33):
        frames = decode_frames(path, start, SPEC)
        assert numbers_in(frames) == shown_at(times, start, SPEC)


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_time_zero_is_the_start_of_the_file(tmp_path, suffix):
    times = 37.2 + np.arange(100) / 25
    images = [numbered_picture(number) for number in range(100)]
    path = write_media(tmp_path / f"late{suffix}", images, times, group=30)
    for start in (0.0, 1.5, 2.2):
        frames = decode_frames(path, start, SPEC)
        assert numbers_in(frames) == shown_at(times - 37.2, start, SPEC)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".avi", {"video_codec": "mpeg4"}),
        (".webm", {"video_codec": "libvpx-vp9"}),
        (".mov", {"video_codec": "mjpeg", "pixel_format": "yuvj420p"}),
        (".mkv", {"video_codec": "libx265"}),
        (".flv", {"video_codec": "libx264"}),
        # A seek in this format may end between key frames, and the decoder of this
        # codec then returns invalid frames.
        (".ts", {"video_codec": "mpeg4", "clock": 25}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["video_codec"],
)
def test_other_formats_give_the_same_frames(tmp_path, suffix, options):
    images = [numbered_picture(number) for number in range(100)]
    path = tmp_path / f"other{suffix}"
    write_media(path, images, np.arange(100) / 25, group=20, **options)
    for start in (0.0, 0.5, 1.7, 2.4):
        expected = shown_at(np.arange(100) / 25, start, SPEC)
        assert numbers_in(decode_frames(path, start, SPEC)) == expected


def test_priming_of_the_audio_does_not_move_the_frames(tmp_path):
    # Opus in WebM starts 7 milliseconds before time zero.
    images = [numbered_picture(number) for number in range(50)]
    path = tmp_path / "primed.webm"
    sound = (np.zeros(96_000, np.float32), 48_000)
    codecs = {"video_codec": "libvpx-vp9", "audio_codec": "libopus"}
    write_media(path, images, np.arange(50) / 25, sound, **codecs)
    expected = shown_at(np.arange(50) / 25, 0.04, SPEC)
    assert numbers_in(decode_frames(path, 0.04, SPEC)) == expected


def test_a_millisecond_clock_does_not_delay_frames(tmp_path):
    # 1/30 s is not a whole number of milliseconds: Matroska writes 0.033, 0.067, ...
    times = np.arange(90) / 30
    images = [numbered_picture(number) for number in range(90)]
    path = write_media(tmp_path / "rounded.mkv", images, times)
    spec = ClipSpec(num_frames=60, frames_per_second=30.0, frame_size=32)
    assert numbers_in(decode_frames(path, 0.0, spec)) == list(range(60))


def test_bytes_and_file_objects_are_read_like_paths(steady_video):
    expected = decode_frames(steady_video, 2.0, SPEC)
    data = steady_video.read_bytes()
    np.testing.assert_array_equal(decode_frames(data, 2.0, SPEC), expected)
    with steady_video.open("rb") as file:
        np.testing.assert_array_equal(decode_frames(file, 2.0, SPEC), expected)


def test_the_shorter_side_is_resized_and_the_longer_one_cropped(tmp_path):
    image = np.zeros((64, 192, 3), np.uint8)
    image[:, :64, 0] = image[:, 64:128, 1] = image[:, 128:, 2] = 255
    path = write_media(tmp_path / "wide.mp4", [image] * 20, np.arange(20) / 10)
    for position, channel in ((0.0, 0), (0.5, 1), (1.0, 2)):
        frame = decode_frames(path, 0.0, SPEC, crop_position=position)[0]
        inner = frame[4:-4, 4:-4].mean(axis=(0, 1))
        assert inner.argmax() == channel
        assert inner[channel] > 200
        assert np.delete(inner, channel).max() < 30


def test_resizing_averages_over_pixels(tmp_path):
    gradient = np.linspace(0, 180, 128).astype(np.uint8)
    stripes = gradient + np.tile(np.array([0, 70], np.uint8), 64)
    image = np.repeat(np.tile(stripes, (128, 1))[..., None], 3, axis=2)
    path = write_media(tmp_path / "stripes.mp4", [image] * 20, np.arange(20) / 10)
    frame = decode_frames(path, 0.0, SPEC)[0].astype(float)
    expected = stripes.reshape(32, 4).mean(axis=1)
    inner = np.s_[1:-1]
    np.testing.assert_allclose(frame.mean(axis=(0, 2))[inner], expected[inner], atol=5)


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    # 64 x 64 stored, shown as 128 x 64: the middle half of the columns remains.
    path = tmp_path / "anamorphic.mp4"
    images = [numbered_picture(0b00111100)] * 20
    write_media(path, images, np.arange(20) / 10, pixel_aspect=2)
    frame = decode_frames(path, 0.0, SPEC)[0]
    assert frame[:, 3:-3].min() > 200


def test_a_rotated_video_is_turned_upright(tmp_path):
    # Red at the top; a phone held sideways stores it at another side.
    image = np.zeros((64, 64, 3), np.uint8)
    image[:16, :, 0] = 255
    path = write_media(tmp_path / "plain.mp4", [image] * 20, np.arange(20) / 10)
    for matrix, red in ((_QUARTER_CLOCKWISE, np.s_[:, -6:]), (_HALF, np.s_[-6:, :])):
        turned = _with_matrix(path.read_bytes(), matrix)
        frame = decode_frames(turned, 0.0, SPEC)[0]
        assert frame[..., 0][red].mean() > 200
        assert frame[..., 0].mean() < 90


def test_a_clip_may_end_one_frame_period_after_the_video(tmp_path):
    images = [numbered_picture(number) for number in range(16)]
    path = write_media(tmp_path / "exact.mp4", images, np.arange(16) / 10)
    assert numbers_in(decode_frames(path, 0.0, SPEC)) == list(range(16))
    later = decode_frames(path, 0.1, SPEC)
    assert numbers_in(later) == [*range(1, 16), 15]
    with pytest.raises(MediaError, match="no frames for all") as caught:
        decode_frames(path, 0.25, SPEC)
    assert caught.value.problem is Problem.TOO_SHORT


def test_a_video_that_starts_behind_the_clip_is_refused(tmp_path):
    images = [numbered_picture(number) for number in range(60)]
    silence = (np.zeros(48_000 * 4, np.float32), 48_000)
    path = tmp_path / "delayed.mp4"
    write_media(path, images, 1.0 + np.arange(60) / 25, silence)
    with pytest.raises(MediaError, match="has no frame at 0.00 s") as caught:
        decode_frames(path, 0.0, SPEC)
    assert caught.value.problem is Problem.TOO_SHORT
    assert numbers_in(decode_frames(path, 1.0, SPEC))[:3] == [0, 2, 5]


_QUARTER_CLOCKWISE = (0, 1, -1, 0)
_HALF = (-1, 0, 0, -1)


def _with_matrix(data, matrix):
    """Return an mp4 file whose track header rotates the frames."""
    a, b, c, d = (np.array(entry << 16, ">i4").tobytes() for entry in matrix)
    unity = np.array(1 << 30, ">i4").tobytes()
    zero = bytes(4)
    identity = np.array(1 << 16, ">i4").tobytes()
    plain = identity + zero * 3 + identity + zero * 3 + unity
    turned = a + b + zero + c + d + zero * 3 + unity
    track = data.index(b"tkhd")
    position = data.index(plain, track)
    return data[:position] + turned + data[position + len(plain) :]
