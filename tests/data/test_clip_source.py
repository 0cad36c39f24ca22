"""Clips are cut in time, tokenized and masked, and every problem is reported."""

import logging
import pickle

import numpy as np
import pytest

from keras_vatt.data import (
    ClipSource,
    ClipSpec,
    MediaError,
    Problem,
    Segment,
    decode_clip,
)
from tests.data._corpus import SPEC, tokenize
from tests.data._media import numbered_picture, numbers_in, write_media

pytestmark = pytest.mark.once


@pytest.fixture
def source(corpus):
    return ClipSource(corpus, SPEC, tokenize, candidates=3)


def captions_of(source):
    return [segment.caption for segment in source.segments]


def test_an_element_has_the_promised_arrays(source):
    element = source[0]
    shapes = {key: (value.shape, value.dtype.name) for key, value in element.items()}
    assert shapes == {
        "video": ((8, 16, 16, 3), "uint8"),
        "audio": ((6_400, 1), "float32"),
        "text": ((3, 4), "int32"),
        "audio_mask": ((), "float32"),
        "text_mask": ((), "float32"),
    }
    assert element["audio_mask"] == element["text_mask"] == 1.0
    assert np.abs(element["audio"]).max() > 0.5


def test_only_segments_of_files_that_can_be_used_are_kept_in_order(source):
    assert captions_of(source) == [
        "a short one",
        "the longer caption here",
        "without sound",
        "half a second",
        "not a word is said",
        "",
        "...",
    ]


def test_the_report_names_what_was_skipped_and_why(source, corpus):
    for index in range(len(source)):
        source[index]
    report = source.report
    assert report.used == 7
    assert report.counts == {
        Problem.SHORT: 1,
        Problem.TOO_SHORT: 1,
        Problem.NO_VIDEO: 1,
        Problem.CORRUPT: 1,
        Problem.MISSING: 1,
        Problem.NO_AUDIO: 1,
        Problem.NO_CAPTION: 2,
        Problem.SILENT: 2,
    }
    reasons = {finding.where.split("/")[-1]: finding for finding in report.findings}
    assert "lasts 0.5" in reasons["brief.mp4"].reason
    assert "outside the file" in reasons["talk.mp4 from 9.00 s to 11.00 s"].reason
    assert reasons["gone.mp4"].problem is Problem.MISSING


def test_findings_of_reading_open_the_report(corpus, source):
    findings = list(source.report.findings)[:1]
    report = ClipSource(corpus[:2], SPEC, tokenize, findings=findings).report
    assert report.findings == tuple(findings)
    assert report.used == 2


def test_a_missing_modality_is_zero_and_masked(source):
    for index, audio, text in (
        (2, 0.0, 1.0),
        (4, 0.0, 1.0),
        (5, 1.0, 0.0),
        (6, 0.0, 0.0),
    ):
        element = source[index]
        assert element["audio_mask"] == audio
        assert element["text_mask"] == text
        assert element["audio"].any() == bool(audio)
        assert element["text"].any() == bool(text)
        assert element["video"].any()


def test_candidates_are_the_nearest_captions_of_the_same_file(source):
    expected = tokenize(["the longer caption here", "a short one", "behind the end"])
    np.testing.assert_array_equal(source[1]["text"], expected)


@pytest.mark.parametrize(
    ("start", "end", "first"),
    [
        (1.0, 1.8, 10),  # exactly a clip
        (1.0, 3.0, 16),  # longer: its middle
        (2.0, 2.2, 17),  # shorter: widened around its center
        (0.0, 0.2, 0),  # at the start of the file
        (3.9, 4.0, 32),  # at its end
        (None, None, 16),  # the whole file
        (3.0, 99.0, 31),  # an end behind the file's
    ],
)
def test_a_clip_is_cut_from_the_middle_of_its_segment(corpus, start, end, first):
    segment = Segment(corpus[0].path, start, end, "here")
    source = ClipSource([segment], SPEC, tokenize)
    assert numbers_in(source[0]["video"])[0] == first


def test_video_and_audio_show_the_same_seconds(many_clips):
    spec = ClipSpec(num_frames=15, frame_size=32)
    source = ClipSource(many_clips, spec, tokenize)
    for index in (0, 5, 11):
        frames, waveform = decode_clip(many_clips[0].path, index / 2, spec)
        np.testing.assert_array_equal(source[index]["video"], frames)
        np.testing.assert_array_equal(source[index]["audio"][:, 0], waveform)


def test_training_cuts_depend_on_seed_epoch_and_index_alone(corpus):
    segments = [Segment(corpus[0].path, 0.0, 4.0, "all of it")] * 3

    def first_frames(seed):
        source = ClipSource(segments, SPEC, tokenize, training=True, seed=seed)
        return {
            (epoch, index): numbers_in(source.clip(index, epoch)["video"])[0]
            for epoch in (2, 0, 1)
            for index in (2, 1, 0)
        }

    once, again, other = first_frames(1), first_frames(1), first_frames(2)
    assert once == again
    assert once != other
    assert len(set(once.values())) >= 5


def test_training_cuts_cover_the_segment_and_stay_inside(corpus):
    segment = Segment(corpus[0].path, 1.0, 3.0, "two seconds")
    source = ClipSource([segment], SPEC, tokenize, training=True)
    firsts = [numbers_in(source.clip(0, epoch)["video"])[0] for epoch in range(60)]
    assert min(firsts) in (10, 11)
    assert max(firsts) in (20, 21, 22)


def test_training_crops_along_the_longer_side(tmp_path):
    # The number of the visible column shows where the image was cropped.
    columns = np.arange(0, 256, 2, dtype=np.uint8)
    image = np.repeat(np.tile(columns, (32, 1))[..., None], 3, axis=2)
    path = write_media(tmp_path / "wide.mp4", [image] * 10, np.arange(10) / 10)
    segments = [Segment(str(path), 0.0, 0.8, "words")]
    source = ClipSource(segments, SPEC, tokenize, training=True)
    crops = [source.clip(0, epoch)["video"].mean() for epoch in range(20)]
    assert min(crops) < 70
    assert max(crops) > 180
    centered = ClipSource(segments, SPEC, tokenize)[0]["video"].mean()
    assert centered == pytest.approx(127, abs=6)


def test_a_file_may_be_one_frame_period_shorter_than_a_clip(tmp_path):
    for frames, usable in ((7, 1), (6, 0)):
        images = [numbered_picture(number) for number in range(frames)]
        path = tmp_path / f"{frames}.mp4"
        write_media(path, images, np.arange(frames) / 10, rate=10)
        source = ClipSource([Segment(str(path))], SPEC, tokenize, short_clips="error")
        assert len(source) == usable
    source = ClipSource([Segment(str(tmp_path / "7.mp4"))], SPEC, tokenize)
    assert numbers_in(source[0]["video"]) == [0, 1, 2, 3, 4, 5, 6, 6]


def test_evaluation_cuts_are_the_same_in_every_epoch(source):
    first, second = source.clip(1, epoch=0), source.clip(1, epoch=5)
    np.testing.assert_array_equal(first["video"], second["video"])


def test_a_clip_that_can_not_be_decoded_is_reported_once(tmp_path, noisy_video, caplog):
    # The header claims 8 seconds.
    path = tmp_path / "cut.mp4"
    path.write_bytes(noisy_video.read_bytes()[: noisy_video.stat().st_size // 2])
    segments = [Segment(str(path), t, t + 1.0, "words") for t in (0.5, 6.0, 6.5)]
    source = ClipSource(segments, SPEC, tokenize)
    assert source.report.used == 3
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            for index in (1, 2):
                with pytest.raises(MediaError):
                    source[index]
    assert source.report.used == 1
    assert source.report.count(Problem.CORRUPT) == len(caplog.records) == 2
    assert "cut.mp4 from 6.00 s to 7.00 s" in caplog.text
    assert source[0]["video"].any()


def test_a_tokenizer_with_another_shape_is_refused(corpus):
    with pytest.raises(ValueError, match=r"shape \(texts, words\)"):
        ClipSource(corpus[:1], SPEC, lambda texts: np.ones(4, np.int32))


def test_no_candidates_are_refused(corpus):
    with pytest.raises(ValueError, match="candidates"):
        ClipSource(corpus[:1], SPEC, tokenize, candidates=0)


def test_a_source_survives_pickling(source):
    copy = pickle.loads(pickle.dumps(source))
    assert captions_of(copy) == captions_of(source)
    for key, value in source[1].items():
        np.testing.assert_array_equal(copy[1][key], value)


def test_a_corpus_without_a_usable_clip_is_empty(corpus):
    source = ClipSource(corpus[-1:], SPEC, tokenize)
    assert len(source) == source.report.used == 0
