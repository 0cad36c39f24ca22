"""`prepare_shards` stores the clips of a corpus, in the same way in all formats."""

import json
import shutil

import numpy as np
import pytest

from keras_vatt.data import (
    ClipSpec,
    MediaError,
    Problem,
    ShardError,
    StoredClips,
    StoredForm,
    decode_clip,
    open_records,
    prepare_shards,
    probe,
    verify_shards,
)
from keras_vatt.data.shards import _shard_work
from tests.data._corpus import tokenize
from tests.data._media import numbers_in
from tests.data.shards.conftest import FORM, FORMATS, prepare_videos

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=8, frame_size=32, sampling_rate=16_000)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def elements(folder, split="train", **options):
    splits, _ = open_records(folder)
    clips = StoredClips(splits[split], SPEC, tokenize, **options)
    return [clips.clip(index, epoch=1) for index in range(len(clips))]


@pytest.mark.parametrize("kind", FORMATS)
def test_each_caption_is_a_clip_in_the_split_of_its_file(kind, prepared):
    splits, findings = open_records(prepared(kind))
    assert not findings
    captions = {name: list(split.captions()) for name, split in splits.items()}
    words = [
        f"{word} words of {name}" for name in "abcd" for word in ("first", "later")
    ]
    assert sorted(captions["train"] + captions["test"]) == ["", *sorted(words)]
    files = {
        name: {split.read(k).name for k in range(len(split))}
        for name, split in splits.items()
    }
    assert not files["train"] & files["test"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_report_names_what_was_skipped_or_is_incomplete(kind, prepared):
    report = json.loads((prepared(kind) / "report.json").read_text())
    problems = {row["problem"]: row["where"] for row in report["findings"]}
    assert report["used"] == 9
    assert problems.keys() == {"corrupt", "no_audio", "no_caption"}
    assert problems["corrupt"].endswith("noise.mp4")
    assert problems["no_audio"].endswith("mute.mp4")


@pytest.mark.parametrize("training", [False, True])
def test_all_formats_give_the_same_elements(training, prepared):
    first, *others = [
        elements(prepared(kind), training=training, seed=3) for kind in FORMATS
    ]
    for other in others:
        for element, expected in zip(other, first, strict=True):
            assert element.keys() == expected.keys()
            for name, values in expected.items():
                np.testing.assert_array_equal(element[name], values)


def test_stored_clips_are_those_of_the_files_up_to_jpeg(videos, prepared):
    records = open_records(prepared("tfrecord")).splits["train"]
    for index, element in enumerate(elements(prepared("tfrecord"))):
        stored = records.read(index)
        seconds = len(stored.media.images) / FORM.frames_per_second
        start = stored.start + (seconds - SPEC.duration) / 2
        frames, waveform = decode_clip(videos / stored.name, start, SPEC)
        assert numbers_in(element["video"]) == numbers_in(frames)
        assert np.abs(element["video"].astype(int) - frames).mean() < 6
        has_audio = waveform is not None
        assert element["audio_mask"] == has_audio
        expected = waveform if has_audio else np.zeros(SPEC.audio_samples)
        np.testing.assert_allclose(element["audio"][:, 0], expected, atol=1e-3)


def test_a_long_segment_is_cut_into_equal_parts_and_a_short_one_is_widened(
    tmp_path, videos
):
    folder = tmp_path / "corpus"
    folder.mkdir()
    shutil.copy(videos / "train-a.mp4", folder)
    rows = [{"path": "train-a.mp4"}, {"path": "train-a.mp4", "start": 3, "end": 3.5}]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    form = StoredForm(frame_size=32, min_seconds=1.0, max_seconds=3.0)
    prepare_shards(folder, tmp_path / "out", "tfrecord", 1, form, progress=False)
    records = open_records(tmp_path / "out").splits["train"]
    clips = [records.read(index) for index in range(len(records))]
    times = [(round(clip.start, 3), round(clip.end, 3)) for clip in clips]
    part = probe(folder / "train-a.mp4").end / 3
    starts = [0.0, round(part, 3), round(2 * part, 3)]
    parts = [(start, round(start + 2.6, 3)) for start in starts]
    assert times == [*parts, (2.75, 3.75)]
    assert [len(clip.media.images) for clip in clips] == [26, 26, 26, 10]


def test_candidates_are_the_nearest_captions(prepared):
    records = open_records(prepared("webdataset")).splits["train"]
    captions = [records.read(index).captions for index in range(len(records))]
    two = [found for found in captions if found]
    assert all(len(found) == 2 for found in two)
    assert all({c.split()[0] for c in found} == {"first", "later"} for found in two)


@pytest.mark.parametrize("kind", FORMATS)
def test_preparing_twice_gives_the_same_bytes(kind, videos, prepared, tmp_path):
    prepare_videos(videos, tmp_path, kind, num_workers=1)
    assert contents(tmp_path) == contents(prepared(kind))


class Stop(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stopped_run_resumes_and_gives_the_same(
    kind, videos, prepared, tmp_path, monkeypatch
):
    def prepare():
        prepare_videos(videos, tmp_path, kind, num_workers=1)

    write, written = _shard_work._write, []

    def stop_in_the_second(work, path, progress):
        if len(written) == 1:
            path.write_bytes(b"half a shard")
            raise Stop
        written.append(work.name)
        return write(work, path, progress)

    monkeypatch.setattr(_shard_work, "_write", stop_in_the_second)
    with pytest.raises(Stop):
        prepare()
    assert not (tmp_path / "dataset.json").exists()
    monkeypatch.setattr(
        _shard_work, "_write", lambda *a: (written.append(a[0].name), write(*a))[1]
    )
    prepare()
    assert len(written) == len(set(written)), "no complete shard is written again"
    assert contents(tmp_path) == contents(prepared(kind))


def test_a_damaged_shard_is_written_again(videos, prepared, tmp_path):
    shutil.copytree(prepared("tfrecord"), tmp_path / "copy")
    shard = tmp_path / "copy" / "train-00001-of-00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:1000])
    prepare_videos(videos, tmp_path / "copy", "tfrecord")
    assert contents(tmp_path / "copy") == contents(prepared("tfrecord"))


@pytest.mark.parametrize("kind", ["arrayrecord", "webdataset"])
def test_shards_are_converted_without_loss(kind, prepared, tmp_path):
    report = prepare_shards(
        prepared("tfrecord"), tmp_path / kind, kind, 2, FORM, progress=False
    )
    assert report.used_by_split.keys() == {"train", "test"}
    for split in ("train", "test"):
        pairs = zip(
            elements(tmp_path / kind, split),
            elements(prepared("tfrecord"), split),
            strict=True,
        )
        for element, expected in pairs:
            for name, values in expected.items():
                np.testing.assert_array_equal(element[name], values)


def test_a_folder_of_another_run_is_not_touched(videos, prepared, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ShardError, match="is not empty"):
        prepare_shards(videos, tmp_path, progress=False)
    before = contents(prepared("tfrecord"))
    with pytest.raises(ShardError, match="another source, or with other settings"):
        prepare_shards(videos, prepared("tfrecord"), "tfrecord", 2, progress=False)
    assert contents(prepared("tfrecord")) == before


def test_errors_are_raised_if_wanted(videos, tmp_path):
    with pytest.raises(MediaError, match=r"noise\.mp4"):
        prepare_shards(videos, tmp_path / "out", on_error="raise", progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "parquet"}, "`format` must be one of"),
        ({"engine": "slurm"}, "`engine` must be one of"),
        ({"num_shards": 0}, "`num_shards` must be at least 1"),
        ({"test_fraction": 1.0}, "`test_fraction` in"),
    ],
)
def test_wrong_arguments_are_refused(options, message, videos, tmp_path):
    with pytest.raises(ValueError, match=message):
        prepare_shards(videos, tmp_path / "out", progress=False, **options)


@pytest.mark.parametrize(
    "options", [{"frame_size": 0}, {"frames_per_second": -1.0}, {"max_seconds": 4.0}]
)
def test_a_form_that_stores_nothing_is_refused(options):
    with pytest.raises(ShardError, match="must be"):
        StoredForm(**options)


def test_a_source_without_clips_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ShardError, match="there are no clips"):
        prepare_shards(tmp_path / "empty", tmp_path / "out", progress=False)


@pytest.mark.parametrize("kind", FORMATS)
def test_verification_names_changed_and_missing_shards(kind, prepared, tmp_path):
    folder = tmp_path / kind
    shutil.copytree(prepared(kind), folder)
    assert verify_shards(folder, progress=False).findings == ()
    first, second, _ = sorted(
        folder.glob(f"train-*{'.tar' if kind == 'webdataset' else kind}")
    )
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    second.unlink()
    report = verify_shards(folder, progress=False)
    assert {(f.problem, f.where) for f in report.findings} == {
        (Problem.CORRUPT, str(first)),
        (Problem.MISSING, str(second)),
    }
    # Of the train clips in shards of 1, 3 and 3, those of the last; and 2 of tests.
    assert report.used == 3 + 2


def test_an_incomplete_dataset_is_not_verified(tmp_path):
    with pytest.raises(ShardError, match="has completed"):
        verify_shards(tmp_path)
