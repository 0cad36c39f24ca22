"""Frames are those that the `ffmpeg` program decodes, of whatever kind of file."""

import numpy as np
import pytest

from keras_vatt.data import decode_frames, probe
from keras_vatt.data.decoding._raw_clips import raw_frames
from tests.data._ffmpeg_cases import VIDEOS
from tests.data._ffmpeg_comparison import (
    SPEC,
    frame_difference,
    video_starts,
    with_places,
)
from tests.data._ffmpeg_program import decoded_video, ffmpeg, needs_ffmpeg

pytestmark = [pytest.mark.once, needs_ffmpeg]


def assert_same_frames(path, frames, start):
    difference = frame_difference(path, frames, start)
    assert difference.wrong == 0, f"from {start:.4f} s: {difference.message}"
    # Two versions of the scaler round differently; a wrong color matrix or range
    # makes 5 levels or more.
    assert difference.levels <= 2.0, f"from {start:.4f} s"


@pytest.mark.parametrize(("name", "place"), with_places(VIDEOS))
def test_frames_are_those_that_ffmpeg_shows(ffmpeg_file, name, place):
    path = ffmpeg_file(name)
    start = video_starts(path)[place]
    assert_same_frames(path, decode_frames(path, start, SPEC), start)


@pytest.mark.parametrize("name", VIDEOS)
def test_the_middle_of_a_file_is_that_of_ffmpeg(ffmpeg_file, name):
    path = ffmpeg_file(name)
    info = probe(path)
    start = (info.start + info.end - SPEC.duration) / 2
    assert_same_frames(path, raw_frames(path, SPEC)[0], start)


@pytest.mark.parametrize(
    "name",
    [name for name in VIDEOS if name not in ("discontinuous.ts", "still_theora.ogv")],
)
def test_the_frames_begin_and_end_where_ffmpeg_has_them(ffmpeg_file, name):
    path = ffmpeg_file(name)
    info, video = probe(path), decoded_video(path, SPEC.frame_size)
    assert info.has_video
    # By the header: AVI and edit lists leave out the frames that B-frames reorder, and
    # two versions count Opus' priming differently.
    assert info.start == pytest.approx(video.times[0], abs=0.09)
    assert info.end == pytest.approx(video.end, abs=0.09)


@pytest.mark.parametrize(
    "name", ["h264_aac.mp4", "uneven.mp4", "ntsc.mp4", "film.mkv", "offset.mkv"]
)
def test_frames_by_their_times_are_those_of_the_fps_filter(ffmpeg_file, name):
    # Of the oracle itself: it selects among all frames, which is faster.
    path, size = ffmpeg_file(name), SPEC.frame_size
    start = 0.5371
    filters = (
        f"settb=1/1000000,setpts=PTS-{start}/TB,"
        f"fps={SPEC.frames_per_second}:round=up:start_time=0,"
        f"scale={size * 4 // 3}:{size}:flags=bilinear+full_chroma_int,"
        f"format=rgb24,crop={size}:{size}"
    )
    output = ("-an", "-frames:v", SPEC.num_frames, "-f", "rawvideo", "pipe:1")
    data, _ = ffmpeg("-i", path, "-vf", filters, *output)
    expected = np.frombuffer(data, np.uint8).reshape(SPEC.video_shape)
    np.testing.assert_array_equal(
        decoded_video(path, size).shown(start, SPEC), expected
    )
