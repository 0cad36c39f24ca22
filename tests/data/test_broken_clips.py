"""One broken or short file of many is a finding, and an error only on request."""

import dataclasses

import av
import numpy as np
import pytest

from keras_vatt.data import (
    CachedClips,
    ClipSource,
    Finding,
    MediaError,
    Problem,
    Segment,
    build_cache,
    make_dataset,
)
from keras_vatt.data import _clip_source as clip_source
from keras_vatt.data import _clip_starts as clip_starts
from tests.data._corpus import SPEC, tokenize
from tests.data._media import numbers_in

pytestmark = pytest.mark.once

ERRORS = {
    "library": av.error.ArgumentError(22, "Invalid argument"),
    "value": ValueError("a strange frame"),
    "memory": MemoryError(),
    "system": OSError(5, "Input/output error"),
    "type": TypeError("no frame"),
}


@pytest.fixture
def broken(monkeypatch, many_clips, request):
    """A source of four clips, of which the second fails in an unforeseen way."""
    decode = clip_source.decode_clip

    def fail_at_one(path, start, *arguments):
        if start >= 0.5 and start < 1.0:
            raise ERRORS[getattr(request, "param", "value")]
        return decode(path, start, *arguments)

    monkeypatch.setattr(clip_source, "decode_clip", fail_at_one)
    return lambda **options: ClipSource(
        [dataclasses.replace(s, end=s.start + 0.8) for s in many_clips[:4]],
        SPEC,
        tokenize,
        **options,
    )


@pytest.mark.parametrize("broken", ERRORS, indirect=True)
def test_an_unforeseen_error_is_a_finding_about_its_file(broken, request):
    source = broken()
    batches = list(make_dataset(source, 2, training=False))
    assert sum(len(batch["video"]) for batch in batches) == 3
    assert source.report.used == 3
    (finding,) = source.report.findings
    assert finding.problem is Problem.CORRUPT
    assert "steady.mp4 from 0.50 s" in finding.where
    error = ERRORS[request.node.callspec.params["broken"]]
    assert type(error).__name__ in finding.reason


def test_training_continues_without_a_broken_clip(broken):
    source = broken()
    batches = iter(make_dataset(source, 4, training=True, num_workers=1))
    assert len(next(batches)["video"]) == 4
    assert source.report.count(Problem.CORRUPT) == 1


def test_a_cache_is_built_without_a_broken_clip(broken, tmp_path):
    assert build_cache(broken(), tmp_path, progress=False).used == 3
    cached = CachedClips(tmp_path, tokenize)
    assert (len(cached), cached.report.count(Problem.CORRUPT)) == (3, 1)


def test_a_file_whose_headers_fail_in_an_unforeseen_way_is_named(
    monkeypatch, many_clips
):
    def fail(_):
        raise KeyError("odd")

    monkeypatch.setattr(clip_starts, "probe", fail)
    report = ClipSource(many_clips[:1], SPEC, tokenize).report
    assert report.used == 0
    assert "KeyError: 'odd'" in report.findings[0].reason


def test_errors_are_raised_on_demand(broken, corpus, tmp_path):
    source = broken(on_error="raise")
    with pytest.raises(MediaError, match="a strange frame"):
        list(make_dataset(source, 2, training=False))
    with pytest.raises(MediaError, match="a strange frame"):
        list(zip(range(9), make_dataset(source, 2, training=True), strict=False))
    with pytest.raises(MediaError, match="a strange frame"):
        build_cache(source, tmp_path, progress=False)
    with pytest.raises(MediaError, match="does not exist"):
        ClipSource(corpus[-1:], SPEC, tokenize, on_error="raise")
    # Nothing is skipped here.
    ClipSource(corpus[2:5], SPEC, tokenize, on_error="raise")


def test_a_cache_without_a_broken_clip_does_not_hide_its_error(broken, tmp_path):
    build_cache(broken(), tmp_path, progress=False)
    with pytest.raises(MediaError, match="a strange frame"):
        build_cache(broken(on_error="raise"), tmp_path, progress=False)


@pytest.mark.parametrize("option", ["on_error", "short_clips"])
def test_unknown_options_are_refused(corpus, option):
    with pytest.raises(ValueError, match=f"`{option}` must be one of"):
        ClipSource(corpus[:1], SPEC, tokenize, **{option: "maybe"})


def test_a_file_shorter_than_a_clip_is_used_as_short_clips_says(corpus):
    segment = corpus[3]  # half a second, 5 frames
    source = ClipSource([segment], SPEC, tokenize)
    assert numbers_in(source[0]["video"]) == [0, 1, 2, 3, 4, 0, 1, 2]
    (finding,) = source.report.findings
    assert finding.problem is Problem.SHORT
    assert finding.reason == "lasts 0.50 s, a clip 0.80 s: repeated"
    padded = ClipSource([segment], SPEC, tokenize, short_clips="pad")
    assert padded[0]["video"][:5].any()
    assert not padded[0]["video"][5:].any()
    assert padded.report.findings[0].reason.endswith(": padded")
    refused = ClipSource([segment], SPEC, tokenize, short_clips="error")
    assert refused.report.used == 0
    assert refused.report.count(Problem.TOO_SHORT) == 1


def test_a_short_file_is_used_whatever_its_segments_say(corpus):
    path = corpus[3].path
    segments = [Segment(path, 0.1, 0.2, "in it"), Segment(path, 7.0, 9.0, "behind it")]
    source = ClipSource(segments, SPEC, tokenize, training=True)
    whole = ClipSource([Segment(path)], SPEC, tokenize)
    np.testing.assert_array_equal(source[0]["audio"], whole[0]["audio"])
    assert source.report.counts == {Problem.SHORT: 1, Problem.TOO_SHORT: 1}


def test_a_cache_depends_on_short_clips(corpus, tmp_path):
    for rule in ("repeat", "pad"):
        source = ClipSource(corpus[3:4], SPEC, tokenize, short_clips=rule)
        build_cache(source, tmp_path, progress=False)
        cached = CachedClips(tmp_path, tokenize)
        np.testing.assert_array_equal(cached[0]["video"], source[0]["video"])


def test_a_file_that_left_the_corpus_leaves_the_report_of_its_cache(corpus, tmp_path):
    build_cache(ClipSource(corpus, SPEC, tokenize), tmp_path, progress=False)
    records = (tmp_path / "clips.bin").stat().st_mtime_ns
    left = [segment for segment in corpus if "noise.mp4" not in segment.path]
    report = build_cache(ClipSource(left, SPEC, tokenize), tmp_path, progress=False)
    assert (tmp_path / "clips.bin").stat().st_mtime_ns == records
    assert report == CachedClips(tmp_path, tokenize).report
    assert report.count(Problem.CORRUPT) == 0
    assert report.count(Problem.SILENT) == 2


def test_findings_of_an_interrupted_run_are_restored(corpus):
    source = ClipSource(corpus, SPEC, tokenize)
    kept = list(source.report.findings)
    late = Finding(Problem.CORRUPT, str(corpus[0]), "is damaged at 0.50 s", "train")
    foreign = Finding(Problem.CORRUPT, "elsewhere.mp4", "is damaged")
    source.recall([*kept, late, late, foreign])
    assert source.report.used == len(source) - 1
    assert list(source.report.findings) == [
        *kept,
        dataclasses.replace(late, split=None),
    ]
