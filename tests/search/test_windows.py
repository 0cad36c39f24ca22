"""Files are cut into equal windows, of which the middle is decoded."""

import dataclasses

import numpy as np
import pytest

from keras_vatt.data import Problem
from keras_vatt.search import _windows as windows_module
from keras_vatt.search._media_files import find_media
from keras_vatt.search._windows import DecodingRules, cut_files, decode_windows
from tests.data._media import numbers_in
from tests.search.small import SPEC, write_video

pytestmark = pytest.mark.once

BOTH = ("video", "audio")
READABLE = dataclasses.replace(SPEC, frame_size=16)


def cut(folder, seconds):
    windows, findings = cut_files(find_media(folder)[0], folder, seconds)
    assert not findings
    return windows


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
    decoded = decode_windows(cut(tmp_path, 1.0), tmp_path, READABLE, BOTH)
    # The clip from 0.3 to 0.7 s, and the one from 1.3 to 1.7 s.
    assert [numbers_in(d.frames) for d in decoded] == [
        [23, 24, 25, 26],
        [33, 34, 35, 36],
    ]
    assert [d.waveform for d in decoded] == [None, None]


def test_clips_of_short_windows_stay_inside_of_the_file(tmp_path):
    write_video(tmp_path / "a.mp4")
    decoded = decode_windows(cut(tmp_path, 0.2), tmp_path, READABLE, BOTH)
    assert not any(d.findings for d in decoded)
    assert numbers_in(decoded[0].frames) == [0, 1, 2, 3]
    assert numbers_in(decoded[-1].frames) == [16, 17, 18, 19]


def test_silence_is_not_heard_and_a_short_video_not_seen_if_that_is_the_rule(tmp_path):
    silence = (np.zeros(16_000, np.float32), 8_000)
    write_video(tmp_path / "a.mp4", seconds=0.2, sound=silence)
    (window,) = cut(tmp_path, 2.0)
    rules = DecodingRules(short_clips="error")
    (decoded,) = decode_windows([window], tmp_path, SPEC, BOTH, rules=rules)
    assert decoded.frames is None
    assert decoded.waveform is None
    assert decoded.findings[0].problem is Problem.TOO_SHORT


def test_a_file_that_claims_to_last_for_ever_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(windows_module, "_MAX_WINDOWS", 4)
    write_video(tmp_path / "a.mp4")
    windows, findings = cut_files(find_media(tmp_path)[0], tmp_path, 0.4)
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
