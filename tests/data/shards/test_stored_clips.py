"""Stored clips are cut, filled, masked and shuffled like those of files."""

import itertools

import numpy as np
import pytest

from keras_vatt.data import (
    ClipSpec,
    MediaError,
    MixedClips,
    Problem,
    StoredClips,
    decode_clip,
    make_dataset,
    open_records,
    probe,
)
from keras_vatt.data.shards._jpegs import JpegEncoder
from keras_vatt.data.shards._stored_clip import StoredClip, StoredFile, StoredFrames
from tests.data._corpus import tokenize
from tests.data._media import numbered_picture, numbers_in
from tests.data.shards.conftest import FORMATS

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=8, frame_size=32, sampling_rate=1_000)
RATE = 1_000


class Records:
    """Stored clips of a list."""

    def __init__(self, *clips):
        self._clips = clips

    def __len__(self):
        return len(self._clips)

    def read(self, index):
        clip = self._clips[index]
        if isinstance(clip, MediaError):
            raise clip
        return clip

    def where(self, index):
        return f"record {index}"


def stored(seconds, fps=10, waveform=True, captions=("a word",), rate=RATE):
    """Frames with their numbers, and a waveform that counts its samples."""
    count = round(seconds * fps)
    encode = JpegEncoder(64, 64)
    images = tuple(encode(numbered_picture(k)) for k in range(count))
    samples = np.arange(round(seconds * rate), dtype=np.float32) / 32768
    return StoredClip(
        StoredFrames(images, fps, samples if waveform else None, rate), captions
    )


def clips_of(*clips, **options):
    return StoredClips(Records(*clips), SPEC, tokenize, **options)


def first_sample(element):
    return round(float(element["audio"][0, 0]) * 32768)


def test_the_middle_is_cut_in_evaluation():
    (element,) = clips_of(stored(4.0))
    assert numbers_in(element["video"]) == list(range(16, 24))
    assert first_sample(element) == 1600
    assert element["audio"].shape == (800, 1)


def test_video_and_audio_are_cut_at_the_same_time_in_training():
    clips, starts = clips_of(stored(4.0), training=True), set()
    for epoch in range(20):
        element = clips.clip(0, epoch)
        first = numbers_in(element["video"])[0]
        assert numbers_in(element["video"]) == list(range(first, first + 8))
        assert abs(first_sample(element) / RATE - first / 10) <= 0.1
        starts.add(first)
    assert len(starts) > 8
    again = clips_of(stored(4.0), training=True)
    np.testing.assert_array_equal(again.clip(0, 3)["video"], clips.clip(0, 3)["video"])


def test_frames_are_chosen_by_time_at_any_stored_rate():
    (element,) = clips_of(stored(4.0, fps=25))
    first = numbers_in(element["video"])
    assert first == [int(np.floor((1.6 + k / 10) * 25 + 1e-6)) for k in range(8)]


def test_audio_of_another_rate_is_resampled():
    (element,) = clips_of(stored(4.0, rate=2_000))
    assert element["audio"].shape == (800, 1)
    assert abs(first_sample(element) - 3200) < 20


@pytest.mark.parametrize(
    ("short_clips", "frames", "last_sample"),
    [("repeat", [0, 1, 2, 3, 4, 0, 1, 2], 299), ("pad", [0, 1, 2, 3, 4, 0, 0, 0], 0)],
)
def test_short_clips_are_filled(short_clips, frames, last_sample):
    (element,) = clips_of(stored(0.5), short_clips=short_clips)
    assert numbers_in(element["video"]) == frames
    assert round(float(element["audio"][-1, 0]) * 32768) == last_sample


def test_short_clips_are_refused_if_wanted():
    clips = clips_of(stored(0.5), short_clips="error")
    with pytest.raises(MediaError, match=r"lasts 0\.50 s, a clip 0\.80 s"):
        clips[0]


def test_what_is_missing_is_masked():
    clips = clips_of(stored(1.0, waveform=False), stored(1.0, captions=()))
    assert [float(e["audio_mask"]) for e in clips] == [0.0, 1.0]
    assert [float(e["text_mask"]) for e in clips] == [1.0, 0.0]
    assert not clips[0]["audio"].any()
    assert not clips[1]["text"].any()


def test_silence_is_masked():
    clip = stored(1.0)
    silent = StoredFrames(clip.media.images, 10, np.zeros(1000, np.float32), RATE)
    (element,) = clips_of(StoredClip(silent, clip.captions))
    assert element["audio_mask"] == 0


def test_candidates_repeat_the_stored_captions():
    (element,) = clips_of(stored(1.0, captions=("a", "abc")), candidates=5)
    assert element["text"][:, 0].tolist() == [2, 4, 2, 4, 2]


def test_a_waveform_that_is_not_finite_is_an_error():
    clip = stored(1.0)
    broken = StoredFrames(clip.media.images, 10, np.full(1000, np.nan, "f4"), RATE)
    clips = clips_of(StoredClip(broken))
    with pytest.raises(MediaError, match="not finite"):
        clips[0]
    assert clips.report.used == 0


def test_files_in_records_are_decoded(videos):
    content = (videos / "train-a.mp4").read_bytes()
    mute = (videos / "mute.mp4").read_bytes()
    clips = clips_of(
        StoredClip(StoredFile(content)),
        StoredClip(StoredFile(mute)),
        StoredClip(StoredFile(mute, audio=content)),
        StoredClip(StoredFile(b"no video")),
    )
    middle = (probe(content).end - SPEC.duration) / 2
    np.testing.assert_array_equal(
        clips[0]["video"], decode_clip(content, middle, SPEC)[0]
    )
    assert [float(clips[k]["audio_mask"]) for k in range(3)] == [1.0, 0.0, 1.0]
    with pytest.raises(MediaError, match="record 3"):
        clips[3]


@pytest.mark.parametrize("option", ["short_clips", "on_error"])
def test_unknown_rules_are_refused(option):
    with pytest.raises(ValueError, match=f"`{option}` must be one of"):
        clips_of(stored(1.0), **{option: "x"})
    with pytest.raises(ValueError, match="`candidates` must be positive"):
        clips_of(stored(1.0), candidates=0)


def test_a_store_that_can_t_be_reached_ends_the_run():
    error = MediaError("s3://b/x.tar", Problem.UNREACHABLE, "did not answer")
    clips = clips_of(*[error] * 40)
    dataset = make_dataset(clips, 4, training=True, num_workers=1)
    with pytest.raises(OSError, match="16 clips in a row could not be reached"):
        next(iter(dataset))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_resumed_run_gets_the_next_clips(kind, prepared):
    def batches(start, count):
        splits, findings = open_records(prepared(kind))
        clips = StoredClips(
            splits["train"], SPEC, tokenize, training=True, findings=findings
        )
        data = make_dataset(clips, 2, training=True, seed=5, start_step=start)
        return list(itertools.islice(data, count))

    whole, rest = batches(0, 8), batches(5, 3)
    for batch, expected in zip(rest, whole[5:], strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(batch[name], values)


class Numbers:
    def __init__(self, numbers, on_error="skip"):
        self.numbers = numbers
        self.on_error = on_error

    def __len__(self):
        return len(self.numbers)

    def clip(self, index, epoch=0):
        return {"number": np.asarray(self.numbers[index]), "epoch": np.asarray(epoch)}


def numbers_of(sources, weights, steps, batch_size=10, **options):
    mixed = MixedClips(sources, weights)
    data = make_dataset(mixed, batch_size, True, num_workers=1, **options)
    batches = itertools.islice(data, steps)
    return np.concatenate([batch["number"] for batch in batches])


@pytest.mark.parametrize("weights", [(7, 3), (0.5, 0.25, 0.25), (1, 1, 1, 5)])
def test_proportions_hold_at_every_point(weights):
    sources = [Numbers([k] * (8 + 40 * k)) for k in range(len(weights))]
    found = numbers_of(sources, weights, 30)
    for count in range(1, len(found) + 1):
        given = np.bincount(found[:count], minlength=len(weights))
        expected = count * np.array(weights) / sum(weights)
        assert np.abs(given - expected).max() <= len(weights) - 1


def test_each_source_is_passed_through_completely_before_it_repeats():
    sources = [Numbers(range(6)), Numbers(range(100, 140))]
    found = numbers_of(sources, (0.5, 0.5), 8)
    small, large = found[found < 100], found[found >= 100]
    for start in range(0, 36, 6):
        assert sorted(small[start : start + 6]) == list(range(6))
    assert sorted(large) == list(range(100, 140))
    assert list(large) != sorted(large)


def test_a_mixture_resumes_and_is_divided_among_processes():
    sources = [Numbers(range(6)), Numbers(range(100, 140))]
    whole = numbers_of(sources, (2, 1), 6)
    np.testing.assert_array_equal(
        numbers_of(sources, (2, 1), 3, start_step=3), whole[30:]
    )
    parts = [
        numbers_of(sources, (2, 1), 6, shard_index=k, shard_count=2) for k in range(2)
    ]
    slices = [part.reshape(6, 5) for part in parts]
    np.testing.assert_array_equal(np.concatenate(slices, 1), whole.reshape(6, 10))


def test_a_mixture_is_passed_through_in_order_out_of_training():
    mixed = MixedClips([Numbers([1, 2, 3]), Numbers([4, 5])], [1, 9])
    batches = make_dataset(mixed, 2, training=False)
    assert [b["number"].tolist() for b in batches] == [[1, 2], [3, 4], [5]]
    rules = [
        MixedClips([Numbers([1]), Numbers([1], r)], [1, 1]) for r in ("skip", "raise")
    ]
    assert [mixed.on_error for mixed in rules] == ["skip", "raise"]


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        ([], [], "same length"),
        ([Numbers([1])], [1, 2], "same length"),
        ([Numbers([1])], [0.0], "must be positive"),
        ([Numbers([1]), Numbers([])], [1, 1], "Source 1 of `sources` has no clips"),
    ],
)
def test_wrong_mixtures_are_refused(sources, weights, message):
    with pytest.raises(ValueError, match=message):
        MixedClips(sources, weights)
