"""A cache returns the clips that decoding returns, or it does not exist."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

from keras_vatt.data import (
    CachedClips,
    ClipSource,
    ClipSpec,
    Problem,
    Segment,
    build_cache,
    make_dataset,
)
from tests.data._corpus import SPEC, tokenize

pytestmark = pytest.mark.once


@pytest.fixture
def source(corpus):
    return ClipSource(corpus, SPEC, tokenize, candidates=3)


def build(source, folder, **options):
    return build_cache(source, folder, progress=False, **options)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_cached_clips_are_the_decoded_ones_up_to_rounding(
    source, tmp_path, num_workers
):
    report = build(source, tmp_path / "cache", num_workers=num_workers)
    cached = CachedClips(tmp_path / "cache", tokenize)
    assert report == source.report
    assert len(cached) == len(source) == 7
    assert cached.segments == source.segments
    assert cached.spec == SPEC
    for index in range(len(source)):
        expected, element = source[index], cached[index]
        assert element.keys() == expected.keys()
        rounding = np.abs(element.pop("audio") - expected.pop("audio"))
        assert rounding.max() <= 0.5 / 32767 + 1e-7
        for key, value in expected.items():
            np.testing.assert_array_equal(element[key], value)
            assert element[key].dtype == value.dtype


def test_fewer_candidates_are_the_first_of_them(source, tmp_path, corpus):
    build(source, tmp_path)
    one = ClipSource(corpus, SPEC, tokenize, candidates=1)
    cached = CachedClips(tmp_path, tokenize, candidates=1)
    np.testing.assert_array_equal(cached[1]["text"], one[1]["text"])
    with pytest.raises(ValueError, match="3 candidates for each clip"):
        CachedClips(tmp_path, tokenize, candidates=4)


def test_the_tokenizer_is_that_of_reading(source, tmp_path):
    build(source, tmp_path)

    def first_letters(texts):
        return np.array([[ord(text[:1] or "\0")] for text in texts], np.int32)

    cached = CachedClips(tmp_path, first_letters)
    assert cached[0]["text"][0, 0] == ord("a")
    assert cached[6]["text_mask"] == 1.0  # "..." begins with a dot
    assert CachedClips(tmp_path, tokenize)[6]["text_mask"] == 0.0


def test_the_report_is_kept(source, tmp_path):
    report = build(source, tmp_path)
    cached = CachedClips(tmp_path, tokenize)
    assert cached.report == report
    assert cached.report.count(Problem.CORRUPT) == 1
    assert cached.report.count(Problem.SILENT) == 2


def test_a_clip_that_can_not_be_decoded_is_skipped(tmp_path, noisy_video):
    path = tmp_path / "cut.mp4"
    path.write_bytes(noisy_video.read_bytes()[: noisy_video.stat().st_size // 2])
    segments = [Segment(str(path), t, t + 1.0, f"at {t}") for t in (0.5, 6.0, 1.5)]
    report = build(ClipSource(segments, SPEC, tokenize), tmp_path / "cache")
    cached = CachedClips(tmp_path / "cache", tokenize)
    assert [segment.caption for segment in cached.segments] == ["at 0.5", "at 1.5"]
    assert (report.used, report.count(Problem.CORRUPT)) == (2, 1)


def test_the_same_corpus_is_not_decoded_again(source, tmp_path, corpus):
    report = build(source, tmp_path)
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = ClipSource(corpus, SPEC, tokenize, candidates=3)
    assert build(again, tmp_path) == report
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


def test_another_specification_caption_or_file_makes_a_new_cache(many_clips, tmp_path):
    def frames_of(segments, spec=SPEC, candidates=1):
        source = ClipSource(segments, spec, tokenize, candidates)
        build(source, tmp_path / "cache")
        return CachedClips(tmp_path / "cache", tokenize)

    video = tmp_path / "copy.mp4"
    shutil.copyfile(many_clips[0].path, video)
    segments = [Segment(str(video), 0.0, 1.0, "first")]
    assert len(frames_of(segments)) == 1
    assert len(frames_of([*segments, Segment(str(video), 1.0, 2.0, "next")])) == 2
    larger = ClipSpec(num_frames=8, frame_size=24, sampling_rate=8_000)
    assert frames_of(segments, larger)[0]["video"].shape == (8, 24, 24, 3)
    assert frames_of(segments, candidates=2)[0]["text"].shape == (2, 4)
    renamed = [Segment(str(video), 0.0, 1.0, "word")]
    assert frames_of(renamed).segments == renamed
    before = (tmp_path / "cache" / "cache.json").read_text()
    os.utime(video, ns=(1, 1))
    frames_of(renamed)
    assert (tmp_path / "cache" / "cache.json").read_text() != before


class Interrupted(ClipSource):
    """A source that is interrupted at its fourth clip."""

    def decode(self, index, epoch=0):
        if index == 3:
            raise KeyboardInterrupt
        return super().decode(index, epoch)


def test_an_interrupted_build_leaves_nothing_behind(corpus, tmp_path):
    interrupted = Interrupted(corpus, SPEC, tokenize, candidates=3)
    with pytest.raises(KeyboardInterrupt):
        build(interrupted, tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="no complete cache"):
        CachedClips(tmp_path, tokenize)


def test_an_interrupted_build_leaves_the_old_cache_whole(source, corpus, tmp_path):
    build(source, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        build(Interrupted(corpus, SPEC, tokenize, candidates=2), tmp_path)
    cached = CachedClips(tmp_path, tokenize)
    np.testing.assert_array_equal(cached[1]["video"], source[1]["video"])


def test_a_killed_build_is_not_taken_for_a_cache(source, corpus, tmp_path):
    class Watched(ClipSource):
        """A source that copies what lies on the disk in the middle of the build."""

        def decode(self, index, epoch=0):
            if index == 5:
                shutil.copytree(tmp_path / "cache", tmp_path / "killed")
            return super().decode(index, epoch)

    watched = Watched(corpus, SPEC, tokenize, candidates=3)
    build(watched, tmp_path / "cache", num_workers=1)
    assert list((tmp_path / "killed").iterdir())
    with pytest.raises(FileNotFoundError, match="no complete cache"):
        CachedClips(tmp_path / "killed", tokenize)
    build(source, tmp_path / "killed")
    assert len(CachedClips(tmp_path / "killed", tokenize)) == 7


@pytest.mark.parametrize("moved", [0, 1])
def test_a_build_killed_at_its_end_is_not_taken_for_a_cache(
    source, corpus, tmp_path, monkeypatch, moved
):
    build(source, tmp_path)
    moves = []

    def replace(source_path, target):
        if len(moves) == moved:
            raise KeyboardInterrupt
        moves.append(target)
        return original(source_path, target)

    original = os.replace
    monkeypatch.setattr(os, "replace", replace)
    other = ClipSource(corpus[:2], SPEC, tokenize, candidates=3)
    with pytest.raises(KeyboardInterrupt):
        build(other, tmp_path)
    with pytest.raises(FileNotFoundError, match="no complete cache"):
        CachedClips(tmp_path, tokenize)


def test_an_index_without_its_records_is_refused(source, corpus, tmp_path):
    build(source, tmp_path / "whole")
    build(ClipSource(corpus[:1], SPEC, tokenize), tmp_path / "other")
    records = "clips.bin"
    os.replace(tmp_path / "other" / records, tmp_path / "whole" / records)
    with pytest.raises(ValueError, match="damaged"):
        CachedClips(tmp_path / "whole", tokenize)


def test_a_cache_of_another_version_is_built_again(source, tmp_path):
    build(source, tmp_path)
    index = json.loads((tmp_path / "cache.json").read_text())
    index["format_version"] += 1
    (tmp_path / "cache.json").write_text(json.dumps(index))
    with pytest.raises(FileNotFoundError, match="of this version"):
        CachedClips(tmp_path, tokenize)
    build(source, tmp_path)
    assert len(CachedClips(tmp_path, tokenize)) == 7


def test_the_records_of_an_earlier_version_are_replaced(source, tmp_path):
    old = tmp_path / "clips.array_record"
    old.write_bytes(b"records")
    (tmp_path / "cache.json").write_text('{"format_version": 2}')
    with pytest.raises(FileNotFoundError, match="of this version"):
        CachedClips(tmp_path, tokenize)
    build(source, tmp_path)
    assert len(CachedClips(tmp_path, tokenize)) == 7
    assert not old.exists()


def test_random_cuts_can_not_be_cached(corpus, tmp_path):
    source = ClipSource(corpus, SPEC, tokenize, training=True)
    with pytest.raises(ValueError, match="training=False"):
        build(source, tmp_path)


def test_a_corpus_without_clips_has_an_empty_cache(corpus, tmp_path):
    report = build(ClipSource(corpus[-1:], SPEC, tokenize), tmp_path)
    assert report.used == len(CachedClips(tmp_path, tokenize)) == 0


def test_cached_clips_survive_pickling_and_are_batched(source, tmp_path):
    build(source, tmp_path)
    cached = CachedClips(tmp_path, tokenize)
    copy = pickle.loads(pickle.dumps(cached))
    batch = next(iter(make_dataset(copy, 6, training=False, num_workers=3)))
    for index in range(6):
        for key, value in cached[index].items():
            np.testing.assert_array_equal(batch[key][index], value)
