"""Shards of other tools, and hostile ones, give the right clips or a finding."""

import io
import json
import os
import shutil
import tarfile
import wave

import numpy as np
import pytest

from keras_vatt import _remote_files
from keras_vatt.data import (
    ClipSpec,
    MediaError,
    Problem,
    ShardError,
    StoredClips,
    open_records,
    prepare_shards,
)
from keras_vatt.data.shards._jpegs import JpegEncoder
from keras_vatt.data.shards._records import open_if_records
from keras_vatt.data.shards._sequence_example import pack_example, unpack_example
from keras_vatt.data.shards._stored_clip import (
    Cut,
    StoredClip,
    StoredFile,
    StoredFrames,
)
from keras_vatt.data.shards._tfrecord import TFRecordWriter
from keras_vatt.data.shards._webdataset import pack_sample, unpack_sample
from tests.data._corpus import tokenize
from tests.data._media import clicks, numbered_picture, numbers_in, write_media
from tests.data.shards._tar_files import tar_of

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=4, frame_size=16, sampling_rate=8_000)
IMAGE = JpegEncoder(16, 16)(np.full((16, 16, 3), 90, np.uint8))


def stored(**changes):
    values = {"waveform": np.full(8_000, 0.1, np.float32), "sampling_rate": 8_000}
    return StoredClip(StoredFrames((IMAGE,) * 10, 10.0, **values | changes), ("a",))


def write_records(path, *records):
    writer = TFRecordWriter(path)
    for record in records:
        writer.write(record)
    writer.close()


def samples(count):
    return tar_of(
        {f"{k}.{end}": b"x" * 600 for k in range(count) for end in ("mp4", "txt")}
    )


def test_rates_of_a_source_that_does_not_tell_them_are_given(tmp_path):
    clip = stored()
    record = pack_example(clip)
    for key in (b"image/frame_rate", b"WAVEFORM/feature/sample_rate"):
        record = record.replace(key, b"x" * len(key))
    write_records(tmp_path / "train-00000-of-00001", record)
    prepare_shards(
        tmp_path / "train-00000-of-00001",
        tmp_path / "out",
        "tfrecord",
        1,
        stored_frames_per_second=25.0,
        stored_sampling_rate=16_000,
        progress=False,
    )
    found = open_records(tmp_path / "out").splits["train"].read(0).media
    assert (found.frames_per_second, found.sampling_rate) == (25.0, 16_000)


@pytest.mark.parametrize("rate", [29.97, 23.976, 14.985, 12.5])
def test_rates_survive_both_kinds_of_records(rate):
    clip = StoredClip(StoredFrames((IMAGE,), rate, None, 48_000))
    for found in (
        unpack_example(pack_example(clip)),
        unpack_sample(pack_sample(clip, "x")),
    ):
        assert found.media.frames_per_second == rate


def test_frames_of_a_sample_are_in_order():
    clip = StoredClip(StoredFrames(tuple(b"%d" % k for k in range(1100)), 10, None, 1))
    found = unpack_sample(pack_sample(clip, "x"))
    assert found.media.images == clip.media.images
    foreign = unpack_sample(tar_of({f"x.{k}.jpg": b"%d" % k for k in range(12)}))
    assert foreign.media.images == tuple(b"%d" % k for k in range(12))


def flip_header(data):
    offset = 4 * 1536  # Of the fifth file.
    return data[:offset] + b"\xff" + data[offset + 1 :]


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda data: data[: 4 * 1536], 1),
        (lambda data: data[: 5 * 1536 + 200], 2),
        (flip_header, 1),
        (lambda data: data + data, 5),
    ],
    ids=["between_samples", "in_a_header", "damaged_header", "two_files"],
)
def test_a_tar_file_without_its_end_is_reported(change, count, tmp_path):
    (tmp_path / "x.tar").write_bytes(samples(6))
    whole, findings = open_records(tmp_path)
    assert (len(whole["train"]), findings) == (6, [])
    (tmp_path / "x.tar").write_bytes(change(samples(6)))
    splits, (finding,) = open_records(tmp_path)
    assert len(splits["train"]) == count
    assert finding.problem is Problem.CORRUPT
    assert "damaged or truncated" in finding.reason


def test_folders_in_a_tar_file_are_no_samples(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(b"x")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(folder, ".")
    splits, findings = open_records(tmp_path / "x.tar")
    assert (len(splits["train"]), findings) == (2, [])


def test_parquet_files_next_to_tar_files_are_not_the_dataset(tmp_path):
    (tmp_path / "00000.tar").write_bytes(samples(2))
    (tmp_path / "00000.parquet").write_bytes(b"captions")
    assert len(open_records(tmp_path).splits["train"]) == 2


def test_a_corpus_with_a_tar_file_is_a_corpus(videos, tmp_path):
    shutil.copy(videos / "train-a.mp4", tmp_path)
    (tmp_path / "subtitles.tar").write_bytes(samples(2))
    assert open_if_records(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("test_000", "test"),
        ("validation_0", "test"),
        ("msrvtt_test-00000-of-00001", "test"),
        ("val000", "test"),
        ("part-0", "train"),
        ("trainval_test", "test"),
        ("train-eval", "train"),
        ("contest_valley", "train"),
    ],
)
def test_the_split_is_a_word_of_the_name(name, split, tmp_path):
    write_records(tmp_path / f"{name}.tfrecord", pack_example(stored()))
    assert list(open_records(tmp_path).splits) == [split]


def test_missing_numbers_are_missing_shards(tmp_path):
    for number in (0, 2):
        name = f"howto-{number:05d}-of-00003"
        write_records(tmp_path / name, pack_example(stored()))
    splits, (finding,) = open_records(tmp_path / "howto@3")
    assert len(splits["train"]) == 2
    assert finding.problem is Problem.MISSING
    assert finding.where.endswith("howto-00001-of-00003")


def test_a_pattern_does_not_match_indexes(prepared):
    splits, findings = open_records(prepared("tfrecord") / "train*")
    assert (len(splits["train"]), findings) == (7, [])


def test_audio_in_a_file_of_its_own_is_cut_at_the_same_time(tmp_path):
    images = [numbered_picture(k) for k in range(100)]
    write_media(tmp_path / "x.mp4", images, np.arange(100) / 10)
    sound = (clicks(np.array([4.0]), 6.0, 8_000), 8_000)
    write_media(tmp_path / "x.wav", sound=sound, audio_codec="pcm_s16le")
    files = ((tmp_path / name).read_bytes() for name in ("x.mp4", "x.wav"))
    frames, waveform = StoredFile(*files).decode(Cut(SPEC, position=0.4))
    first = numbers_in(frames)[0]
    assert abs(first / 10 + np.abs(waveform).argmax() / 8_000 - 4.0) <= 0.11


def test_audio_that_is_longer_than_the_frames_is_cut_at_the_same_time():
    samples_of = np.arange(16_000, dtype=np.float32) / 32768
    media = StoredFrames((IMAGE,) * 10, 10.0, samples_of, 8_000)
    _, waveform = media.decode(Cut(SPEC, position=1.0))
    assert round(float(waveform[0]) * 32768) == round(0.6 * 8_000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"waveform": np.full(8_000, 2e4, np.float32)}, r"must lie in \[-1, 1\]"),
        ({"waveform": np.full(90, 0.1, "f4"), "sampling_rate": 1}, "rate 1 Hz"),
    ],
    ids=["scale", "rate"],
)
def test_audio_that_is_not_what_it_says_is_an_error(changes, message, tmp_path):
    write_records(tmp_path / "x.tfrecord", pack_example(stored(**changes)))
    clips = StoredClips(open_records(tmp_path).splits["train"], SPEC, tokenize)
    with pytest.raises(MediaError, match=message):
        clips[0]


HOSTILE = {
    "start": b'{"start": 1' + b"0" * 400 + b"}",
    "end": b'{"end": NaN, "start": Infinity}',
    "surrogate": b'{"caption": "\\ud800 x"}',
    "large": b'{"start": 1e30, "end": 1e300}',
    "deep": b"[" * 100_000,
    "types": b'{"labels": [1, {}], "caption": {"a": 1}, "name": 3}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_descriptions_end_neither_training_nor_preparation(name, tmp_path):
    sample = {"b.000.jpg": IMAGE, "b.json": HOSTILE[name]}
    good = {"a.000.jpg": IMAGE, "a.json": b"{}"}
    (tmp_path / "x.tar").write_bytes(tar_of(good | sample))
    clips = StoredClips(open_records(tmp_path).splits["train"], SPEC, tokenize)
    assert clips[0]["video"].shape == SPEC.video_shape
    try:
        clips[1]
    except MediaError:
        assert clips.report.used == 1
    report = prepare_shards(tmp_path, tmp_path / "out", "tfrecord", 1, progress=False)
    assert report.used in (1, 2)


def test_a_sparse_file_in_a_sample_is_not_unpacked(tmp_path):
    header = tarfile.TarInfo("a.mp4")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    data = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    data[483:495] = b"0" * 11 + b"\0"
    with pytest.raises(ValueError, match=r"no video|damaged"):
        unpack_sample(bytes(data) + b"\0" * 1536)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of Unix")
@pytest.mark.parametrize("kind", ["tfrecord", "arrayrecord", "webdataset"])
def test_a_pipe_is_no_shard(kind, prepared, tmp_path):
    shutil.copytree(prepared(kind), tmp_path / "data")
    shard = next(
        p for p in (tmp_path / "data").glob("train-00001-*") if p.suffix != ".json"
    )
    shard.unlink()
    os.mkfifo(shard)
    clips = StoredClips(open_records(tmp_path / "data").splits["train"], SPEC, tokenize)
    with pytest.raises(MediaError, match="not a regular file"):
        clips[1]


def test_a_lost_index_of_an_array_record_loses_nothing_but_captions(prepared, tmp_path):
    shutil.copytree(prepared("arrayrecord"), tmp_path / "data")
    next((tmp_path / "data").glob("train-00001-*.index.json")).unlink()
    records = open_records(tmp_path / "data").splits["train"]
    assert len(list(records.captions())) == 7
    clips = StoredClips(records, SPEC, tokenize)
    assert all(clips[index] for index in range(7))


def test_a_replaced_file_is_prepared_again(videos, tmp_path):
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    prepare_shards(folder, tmp_path / "out", "tfrecord", 1, progress=False)
    shutil.copy(folder / "train-b.mp4", folder / "train-a.mp4")
    with pytest.raises(ShardError, match="another source"):
        prepare_shards(folder, tmp_path / "out", "tfrecord", 1, progress=False)


def test_a_source_of_which_no_clip_can_be_used_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.mp4").write_bytes(b"noise")
    with pytest.raises(ShardError, match=r"no clip .* can be used.*x\.mp4"):
        prepare_shards(tmp_path / "in", tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [("dog", ("dog",)), (["a", "b"], ("a", "b")), (None, ()), (3, ())],
)
def test_labels_of_a_manifest_are_kept(labels, expected, videos, tmp_path):
    shutil.copy(videos / "train-a.mp4", tmp_path)
    row = {"path": "train-a.mp4", "labels": labels}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row))
    prepare_shards(tmp_path, tmp_path / "out", "tfrecord", 1, progress=False)
    assert open_records(tmp_path / "out").splits["train"].read(0).labels == expected


def test_shards_without_a_test_split_are_divided(tmp_path):
    write_records(tmp_path / "x.tfrecord", *[pack_example(stored())] * 8)
    report = prepare_shards(
        tmp_path, tmp_path / "out", "tfrecord", 1, test_fraction=0.25, progress=False
    )
    assert report.used_by_split == {"train": 6, "test": 2}


def test_a_store_with_other_files_is_not_written_to(s3_store, videos):
    s3_store.put("train-00000-of-00001.tfrecord", b"mine")
    with pytest.raises(ShardError, match="is not empty"):
        prepare_shards(videos, s3_store.url, "tfrecord", 1, progress=False)
    url = f"{s3_store.url}/train-00000-of-00001.tfrecord"
    assert _remote_files.read_bytes(url) == b"mine"


def test_the_wav_of_a_sample_is_mono_with_16_bits():
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(b"\0" * 400)
    with pytest.raises(ValueError, match="not mono with 16 bits"):
        unpack_sample(tar_of({"a.0.jpg": IMAGE, "a.wav": stream.getvalue()}))
