"""Clips of a dataset are decoded to windows, and short ones have a finding."""

import av
import numpy as np
import pytest

from keras_vatt.data import ClipSpec, MediaError, Problem
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.inference._clip_decoder import ClipDecoder
from tests.data._media import numbered_picture, numbers_in, write_media
from tests.evaluation._tiny_datasets import write_image

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=8, frame_size=64, sampling_rate=8_000)


def rows_of(clip):
    (rows,) = clip.arrays.values()
    return rows


def reason_of(clip):
    (finding,) = clip.findings
    assert finding.problem is Problem.SHORT
    return finding.reason


@pytest.fixture
def video(tmp_path):
    """A video of 4 seconds. Each of its 40 frames shows its number."""
    frames = [numbered_picture(number) for number in range(40)]
    return write_media(tmp_path / "v.mp4", frames, np.arange(40) / 10, rate=10)


def test_windows_lie_within_a_segment(video):
    clips = rows_of(ClipDecoder("video", SPEC, 2)(MediaSegment(str(video), 1.0, 2.0)))
    assert numbers_in(clips[0]) == list(range(10, 18))
    assert numbers_in(clips[1]) == list(range(12, 20))


def test_a_short_video_is_repeated_from_its_start(video):
    clip = ClipDecoder("video", SPEC, 2)(MediaSegment(str(video), 2.0, 2.5))
    assert rows_of(clip).shape == (2, 8, 64, 64, 3)
    for row in rows_of(clip):
        assert numbers_in(row) == [20, 21, 22, 23, 24, 20, 21, 22]
    assert reason_of(clip).endswith(": repeated")


def test_a_video_that_lasts_as_long_as_a_clip_is_not_short(video):
    clip = ClipDecoder("video", SPEC, 2)(MediaSegment(str(video), 2.0, 2.8))
    assert numbers_in(rows_of(clip)[0]) == list(range(20, 28))
    assert clip.findings == ()


def test_a_short_video_can_be_padded_or_refused(video):
    segment = MediaSegment(str(video), 2.0, 2.5)
    clip = ClipDecoder("video", SPEC, 1, short_clips="pad")(segment)
    assert rows_of(clip)[0, :5].any()
    assert not rows_of(clip)[0, 5:].any()
    assert reason_of(clip).endswith(": padded")
    with pytest.raises(MediaError) as caught:
        ClipDecoder("video", SPEC, 1, short_clips="error")(segment)
    assert caught.value.problem is Problem.TOO_SHORT


def test_short_audio_is_repeated(tmp_path):
    audio = (np.full(2_000, 0.5, np.float32), 8_000)
    path = write_media(tmp_path / "s.wav", sound=audio, audio_codec="pcm_s16le")
    clip = ClipDecoder("audio", SPEC, 1)(MediaSegment(str(path)))
    assert rows_of(clip).shape == (1, 6_400, 1)
    np.testing.assert_allclose(rows_of(clip), 0.5, atol=0.01)
    assert reason_of(clip).endswith(": repeated")


def test_an_image_has_its_crops(tmp_path):
    frame = np.zeros((64, 128, 3), np.uint8)
    frame[:, :64] = 255
    path = write_image(tmp_path / "i.png", frame)
    clip = ClipDecoder("image", SPEC, 1, num_crops=3)(MediaSegment(str(path)))
    assert rows_of(clip).shape == (3, 64, 64, 3)
    assert rows_of(clip).mean(axis=(1, 2, 3)) == pytest.approx([255, 127.5, 0], abs=3)
    assert clip.findings == ()


def test_a_short_video_has_its_crops_in_each_window(tmp_path):
    frames = [numbered_picture(number, width=128) for number in range(4)]
    path = write_media(tmp_path / "v.mp4", frames, np.arange(4) / 10, rate=10)
    clip = ClipDecoder("video", SPEC, 2, num_crops=3)(MediaSegment(str(path)))
    clips = rows_of(clip)
    assert clips.shape[0] == 6
    np.testing.assert_array_equal(clips[:3], clips[3:])
    assert (clips[0] != clips[2]).any()


def test_a_segment_after_the_end_is_refused(video):
    with pytest.raises(MediaError) as caught:
        ClipDecoder("video", SPEC, 1)(MediaSegment(str(video), 9.0, 9.5))
    assert caught.value.problem is Problem.TOO_SHORT


def test_silence_is_an_error_if_it_is_refused(tmp_path):
    silence = (np.zeros(16_000, np.float32), 8_000)
    path = write_media(tmp_path / "s.wav", sound=silence, audio_codec="pcm_s16le")
    segment = MediaSegment(str(path))
    assert rows_of(ClipDecoder("audio", SPEC, 4)(segment)).shape == (4, 6_400, 1)
    with pytest.raises(MediaError, match="is silent"):
        ClipDecoder("audio", SPEC, 4, refuse_silence=True)(segment)


def test_a_video_that_can_not_be_scaled_is_a_media_error(tmp_path):
    path = write_media(
        tmp_path / "odd.mov",
        [np.zeros((60_000, 2, 3), np.uint8)] * 12,
        np.arange(12) / 10,
        video_codec="png",
        pixel_format="rgb24",
        rate=10,
    )
    with pytest.raises(MediaError, match=r"odd\.mov"):
        ClipDecoder("video", SPEC, 1)(MediaSegment(str(path)))


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_a_short_clip_is_decoded_once(modality, video, monkeypatch):
    opened = []
    open_file = av.open

    def count(file, *args, **kwargs):
        opened.append(file)
        return open_file(file, *args, **kwargs)

    path = video
    if modality == "audio":
        audio = (np.full(2_000, 0.5, np.float32), 8_000)
        path = write_media(
            video.with_suffix(".wav"), sound=audio, audio_codec="pcm_s16le"
        )
    monkeypatch.setattr(av, "open", count)
    clip = ClipDecoder(modality, SPEC, 1)(MediaSegment(str(path), 0.0, 0.2))
    assert reason_of(clip) == "lasts 0.20 s, a clip 0.80 s: repeated"
    assert len(opened) == 1
