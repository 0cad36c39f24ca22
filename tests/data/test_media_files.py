"""Broken, incomplete and hostile media files give one kind of error."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vatt.data import (
    ClipSpec,
    MediaError,
    Problem,
    decode_clip,
    decode_frames,
    decode_waveform,
    open_media,
    probe,
)
from tests.data._media import noisy_picture, numbered_picture, numbers_in, write_media

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=16, frame_size=32)


def problem_of(function, *arguments):
    with pytest.raises(MediaError) as caught:
        function(*arguments)
    return caught.value.problem


def test_probe_tells_what_a_file_holds(steady_video, silent_video):
    info = probe(steady_video)
    assert (info.has_video, info.has_audio) == (True, True)
    assert info.start == pytest.approx(0.0, abs=1e-6)
    assert info.duration == pytest.approx(8.0, abs=0.01)
    info = probe(silent_video)
    assert (info.has_video, info.has_audio) == (True, False)
    assert info.end == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".flv"])
def test_the_duration_is_that_of_the_video(tmp_path, suffix):
    images = [numbered_picture(number) for number in range(60)]
    sound = (np.zeros(44_100 * 2, np.float32), 44_100)
    path = tmp_path / f"clip{suffix}"
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    write_media(path, images, np.arange(60) / 20, sound, video_codec=codec)
    assert probe(path).duration == pytest.approx(3.0, abs=0.1)


def test_a_file_without_duration_in_its_header_is_measured(tmp_path):
    # As a recorder leaves it that was stopped before it could update the header.
    images = [numbered_picture(number) for number in range(60)]
    path = write_media(tmp_path / "clip.mkv", images, np.arange(60) / 20)
    data = bytearray(path.read_bytes())
    duration = data.index(b"\x44\x89\x88")
    data[duration : duration + 11] = b"\xec\x89" + bytes(9)  # an empty element
    assert probe(bytes(data)).duration == pytest.approx(3.0, abs=0.06)


def test_a_clip_of_a_file_without_audio_has_no_waveform(silent_video, steady_video):
    frames, waveform = decode_clip(silent_video, 1.0, SPEC)
    assert numbers_in(frames) == list(range(10, 26))
    assert waveform is None
    frames, waveform = decode_clip(steady_video, 1.0, SPEC)
    assert numbers_in(frames)[:3] == [25, 27, 30]
    np.testing.assert_array_equal(waveform, decode_waveform(steady_video, 1.0, SPEC))


def test_one_opening_serves_several_clips(steady_video):
    with open_media(steady_video) as media:
        for start in (5.0, 0.0, 6.4, 2.0):
            expected = decode_clip(steady_video, start, SPEC)
            for part, wanted in zip(
                decode_clip(media, start, SPEC), expected, strict=True
            ):
                np.testing.assert_array_equal(part, wanted)


def test_a_missing_file_is_missing(tmp_path):
    assert problem_of(probe, tmp_path / "nothing.mp4") is Problem.MISSING


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 5000, b"this is not a video", np.random.default_rng(0).bytes(50_000)],
    ids=["empty", "zeros", "text", "noise"],
)
def test_a_file_of_another_kind_is_corrupt(tmp_path, data):
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    assert problem_of(probe, path) is Problem.CORRUPT
    assert problem_of(decode_frames, path, 0.0, SPEC) is Problem.CORRUPT
    assert problem_of(decode_waveform, path, 0.0, SPEC) is Problem.CORRUPT


def test_a_folder_is_corrupt(tmp_path):
    assert problem_of(probe, tmp_path) is Problem.CORRUPT


def test_audio_without_video_has_no_video(tmp_path):
    path = write_media(tmp_path / "a.mp3", sound=_tone(), audio_codec="libmp3lame")
    assert problem_of(decode_clip, path, 0.0, SPEC) is Problem.NO_VIDEO


def test_the_cover_of_an_album_is_no_video(tmp_path):
    path = write_media(tmp_path / "a.mp3", sound=_tone(), audio_codec="libmp3lame")
    data = _with_cover(path.read_bytes())
    assert not probe(data).has_video
    assert probe(data).has_audio
    assert problem_of(decode_frames, data, 0.0, SPEC) is Problem.NO_VIDEO


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv"])
def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path, noisy_video, suffix):
    path = noisy_video
    if suffix != ".mp4":
        images = [noisy_picture(number) for number in range(200)]
        path = write_media(tmp_path / f"long{suffix}", images, np.arange(200) / 25)
    data = path.read_bytes()
    truncated = data[: len(data) * 6 // 10]
    assert numbers_in(decode_frames(truncated, 1.0, SPEC))[:3] == [25, 27, 30]
    problem = problem_of(decode_frames, truncated, 6.0, SPEC)
    assert problem in (Problem.TOO_SHORT, Problem.CORRUPT)


def test_a_truncated_mp4_with_its_index_at_the_end_is_corrupt(steady_video):
    data = steady_video.read_bytes()
    assert problem_of(probe, data[: len(data) // 2]) is Problem.CORRUPT


def test_damage_in_the_middle_is_found_where_it_is(noisy_video):
    data = bytearray(noisy_video.read_bytes())
    damage = len(data) // 2
    data[damage : damage + 3000] = np.random.default_rng(1).bytes(3000)
    data = bytes(data)
    for start in (0.0, 6.0):
        expected = decode_frames(noisy_video, start, SPEC)
        np.testing.assert_array_equal(decode_frames(data, start, SPEC), expected)
    spec = ClipSpec(num_frames=76, frame_size=32)
    assert problem_of(decode_frames, data, 0.0, spec) is Problem.CORRUPT


def test_damage_that_the_decoder_only_flags_is_found(noisy_video):
    # A few bytes: the decoder conceals them and continues. About half of such damage
    # is a valid frame with another content, which can't be detected.
    content = noisy_video.read_bytes()
    damage = len(content) // 2
    spec = ClipSpec(num_frames=76, frame_size=32)
    found = 0
    for seed in range(20):
        data = bytearray(content)
        data[damage : damage + 16] = np.random.default_rng(seed).bytes(16)
        try:
            decode_frames(bytes(data), 0.0, spec)
        except MediaError as error:
            assert re.search(r"is damaged at [34]\.\d\d s", str(error))  # noqa: PT017
            found += 1
    assert found >= 4


def test_a_cut_through_a_packet_is_found(noisy_video):
    data = noisy_video.read_bytes()
    spec = ClipSpec(num_frames=76, frame_size=32)
    with pytest.raises(MediaError, match="is truncated or damaged"):
        decode_frames(data[: len(data) * 6 // 10], 0.0, spec)


def test_a_stream_that_the_header_keeps_back_is_a_media_error(tmp_path):
    # The library fails on it with an IndexError.
    path = tmp_path / "late.flv"
    images = [numbered_picture(number % 256) for number in range(300)]
    write_media(path, images, np.arange(300) / 25)
    data = bytearray(path.read_bytes())
    data[_flv_tags(data)[290]] = 8  # a packet of video becomes one of audio
    # Once in hundreds of runs the library ends the stream there instead.
    problem = problem_of(decode_frames, bytes(data), 10.4, SPEC)
    assert problem in (Problem.CORRUPT, Problem.TOO_SHORT)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    position=st.floats(0, 1),
    damage=st.binary(min_size=1, max_size=64),
    start=st.sampled_from([0.0, 3.3, 6.4, 9.0]),
)
@pytest.mark.parametrize("video", ["steady_video", "noisy_video"])
def test_damage_anywhere_gives_a_clip_or_a_media_error(
    request, video, position, damage, start
):
    data = bytearray(request.getfixturevalue(video).read_bytes())
    first = int(position * (len(data) - len(damage)))
    data[first : first + len(damage)] = damage
    try:
        info = probe(bytes(data))
        frames, waveform = decode_clip(bytes(data), start, SPEC)
    except MediaError:
        return
    assert info.has_video
    assert frames.shape == SPEC.video_shape
    assert waveform is None or np.isfinite(waveform).all()


def test_a_playlist_named_as_a_video_opens_no_other_file(tmp_path, steady_video):
    playlist = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n"
        f"{steady_video.absolute()}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "other.mp4").write_bytes(steady_video.read_bytes())
    concatenation = "ffconcat version 1.0\nfile other.mp4\n"
    for text in (playlist, concatenation):
        path = tmp_path / "clip.mp4"
        path.write_text(text)
        assert problem_of(probe, path) is Problem.CORRUPT


def test_a_path_is_never_read_as_a_protocol(tmp_path, monkeypatch, steady_video):
    monkeypatch.chdir(tmp_path)
    for path in (f"concat:{steady_video}", f"file:{steady_video}"):
        assert problem_of(probe, path) is Problem.MISSING
    assert problem_of(probe, "http://localhost/a") is Problem.UNREACHABLE
    with pytest.raises(
        MediaError, match=r"can't be opened; known are paths, and gs://"
    ):
        probe("http://localhost/a")


def test_an_error_names_the_file_and_survives_pickling(tmp_path):
    path = tmp_path / "nothing.mp4"
    with pytest.raises(MediaError) as caught:
        probe(path)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == f"{path}: does not exist"
    assert copy.problem is Problem.MISSING


def _tone():
    return (0.5 * np.sin(np.arange(48_000 * 4) / 50)).astype(np.float32), 48_000


def _flv_tags(data):
    """Offsets of the packets of an flv file."""
    tags, position = [], 13
    while position < len(data):
        tags.append(position)
        size = int.from_bytes(data[position + 1 : position + 4], "big")
        position += 11 + size + 4
    return tags


def _with_cover(mp3):
    """Put a cover image in front of an mp3 file, as an ID3 tag."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    content = b"\0image/png\0\x03\0" + file.getvalue()
    frame = b"APIC" + len(content).to_bytes(4, "big") + b"\0\0" + content
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + mp3[mp3.index(b"\xff\xfb") :]
