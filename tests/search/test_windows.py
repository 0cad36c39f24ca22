"""Files are cut into equal windows, and the clip in their middle is decoded."""

import dataclasses

import numpy as np
import pytest

from keras_vatt.data import Problem
from keras_vatt.search import _windows as windows_module
from keras_vatt.search._media_files import find_media
from keras_vatt.search._windows import DecodingRules, WindowReader
from tests.data._media import numbers_in
from tests.search.small import SPEC, write_video

pytestmark = pytest.mark.once

READABLE = dataclasses.replace(SPEC, frame_size=16)


def cut(folder, seconds):
    windows, findings = WindowReader(folder, SPEC).cut(find_media(folder)[0], seconds)
    assert not findings
    return windows


def decode(windows, folder, spec=READABLE, **rules):
    reader = WindowReader(folder, spec, rules=DecodingRules(**rules))
    return [reader.decode(window) for window in windows]


def numbers(decoded):
    return numbers_in(decoded.arrays["video"][0])


@pytest.mark.parametrize(
    ("seconds", "edges"),
    [
        (0.4, [0.0, 0.4, 0.8, 1.2, 1.6, 2.0]),
        (0.9, [0.0, 1.0, 2.0]),
        (60.0, [0.0, 2.0]),
        (0.2, np.linspace(0.0, 2.0, 11).round(6).tolist()),
    ],
)
def test_the_windows_of_a_file_are_equal_and_cover_it(tmp_path, seconds, edges):
    write_video(tmp_path / "a.mp4")
    windows = cut(tmp_path, seconds)
    assert [window.start for window in windows] == edges[:-1]
    assert [window.end for window in windows] == edges[1:]


def test_the_clip_is_the_middle_of_its_window(tmp_path):
    write_video(tmp_path / "a.mp4", first=20)
    decoded = decode(cut(tmp_path, 1.0), tmp_path)
    # The clip from 0.3 to 0.7 s, and the one from 1.3 to 1.7 s.
    assert [numbers(d) for d in decoded] == [[23, 24, 25, 26], [33, 34, 35, 36]]
    assert [set(d.arrays) for d in decoded] == [{"video"}, {"video"}]


def test_clips_of_short_windows_stay_inside_of_the_file(tmp_path):
    write_video(tmp_path / "a.mp4")
    decoded = decode(cut(tmp_path, 0.2), tmp_path)
    assert not any(d.findings for d in decoded)
    assert numbers(decoded[0]) == [0, 1, 2, 3]
    assert numbers(decoded[-1]) == [16, 17, 18, 19]


def test_silence_and_a_short_video_are_left_out_if_that_is_the_rule(tmp_path):
    silence = (np.zeros(16_000, np.float32), 8_000)
    write_video(tmp_path / "a.mp4", seconds=0.2, sound=silence)
    (window,) = cut(tmp_path, 2.0)
    (decoded,) = decode([window], tmp_path, short_clips="error")
    assert decoded.arrays == {}
    assert decoded.findings[0].problem is Problem.TOO_SHORT


def test_a_file_that_claims_to_last_for_ever_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(windows_module, "_MAX_WINDOWS", 4)
    write_video(tmp_path / "a.mp4")
    reader = WindowReader(tmp_path, SPEC)
    windows, findings = reader.cut(find_media(tmp_path)[0], 0.4)
    assert not windows
    assert [(f.problem, f.where) for f in findings] == [(Problem.MALFORMED, "a.mp4")]


def test_only_media_inside_of_the_folder_are_found(media, tmp_path):
    assert [file.path for file in find_media(media)[0]] == [
        "noise.mp4",
        "talk.mp4",
        "trip/hum.wav",
        "trip/mute.mp4",
    ]
    (tmp_path / "linked.mp4").symlink_to(media / "talk.mp4")
    assert find_media(tmp_path)[0] == []
