"""Records are read and written as other libraries read and write them."""

import io
import json
import pathlib
import tarfile
import wave

import numpy as np
import pytest
import tensorflow as tf
from array_record.python import array_record_data_source
from PIL import Image

from keras_vatt.data.shards._arrayrecord import ArrayRecordFile, ArrayRecordWriter
from keras_vatt.data.shards._jpegs import JpegDecoder, JpegEncoder
from keras_vatt.data.shards._pcm import quantized
from keras_vatt.data.shards._sequence_example import pack_example, unpack_example
from keras_vatt.data.shards._stored_clip import StoredClip, StoredFile, StoredFrames
from keras_vatt.data.shards._tfrecord import TFRecordFile, TFRecordWriter
from keras_vatt.data.shards._webdataset import (
    TarFile,
    TarWriter,
    pack_sample,
    unpack_sample,
)
from tests.data.shards._tar_files import tar_of

pytestmark = pytest.mark.once

RECORDS = [b"first", b"", b"x" * 100_000]


def jpeg(level):
    image = np.full((16, 24, 3), level, np.uint8)
    return JpegEncoder(16, 24)(image)


def clip(**changes):
    waveform = np.arange(-8, 8, dtype=np.float32) / 32768
    frames = StoredFrames((jpeg(10), jpeg(200)), 12.5, waveform, 44_100)
    values = {
        "captions": ("stir the soup", "é ü"),
        "name": "a.mp4",
        "start": 1.5,
        "end": 4.25,
        "labels": ("Cooking",),
    }
    return StoredClip(frames, **values | changes)


def assert_equal(found, expected):
    for name in ("captions", "name", "start", "end", "labels"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.media.images == expected.media.images
    assert found.media.frames_per_second == expected.media.frames_per_second
    assert found.media.sampling_rate == expected.media.sampling_rate
    np.testing.assert_array_equal(found.media.waveform, expected.media.waveform)


def test_tensorflow_reads_our_records_and_we_read_its(tmp_path):
    ours, theirs = tmp_path / "ours", str(tmp_path / "theirs")
    writer = TFRecordWriter(ours)
    for record in RECORDS:
        writer.write(record)
    writer.close()
    found = [r.numpy() for r in tf.data.TFRecordDataset(str(ours))]
    assert found == RECORDS
    with tf.io.TFRecordWriter(theirs) as writer:
        for record in RECORDS:
            writer.write(record)
    assert ours.read_bytes() == pathlib.Path(theirs).read_bytes()
    file = TFRecordFile(theirs)
    assert [file.read(index) for index in range(len(file))] == RECORDS
    assert file.damage is None


def test_grain_s_library_reads_our_array_records(tmp_path):
    path = str(tmp_path / "x.arrayrecord")
    writer = ArrayRecordWriter(path)
    for record in (RECORDS[0], RECORDS[2]):
        writer.write(record)
    writer.close()
    source = array_record_data_source.ArrayRecordDataSource(path)
    assert [source[k] for k in range(len(source))] == [RECORDS[0], RECORDS[2]]
    file = ArrayRecordFile(path)
    assert [file.read(k) for k in range(len(file))] == [RECORDS[0], RECORDS[2]]


def test_tensorflow_parses_our_examples_as_dmvr_does():
    expected = clip()
    context, steps = tf.io.parse_single_sequence_example(
        pack_example(expected),
        context_features={
            "caption/string": tf.io.VarLenFeature(tf.string),
            "clip/label/text": tf.io.VarLenFeature(tf.string),
            "clip/start/timestamp": tf.io.FixedLenFeature([], tf.int64),
        },
        sequence_features={
            "image/encoded": tf.io.FixedLenSequenceFeature([], tf.string),
            "WAVEFORM/feature/floats": tf.io.VarLenFeature(tf.float32),
        },
    )
    captions = context["caption/string"].values.numpy().tolist()
    assert [text.decode() for text in captions] == list(expected.captions)
    assert context["clip/label/text"].values.numpy().tolist() == [b"Cooking"]
    assert context["clip/start/timestamp"].numpy() == 1_500_000
    assert tuple(steps["image/encoded"].numpy()) == expected.media.images
    waveform = tf.sparse.to_dense(steps["WAVEFORM/feature/floats"])[0]
    np.testing.assert_array_equal(waveform, expected.media.waveform)
    assert_equal(unpack_example(pack_example(expected)), expected)


def example(context, steps):
    def feature(values):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    lists = {
        name: tf.train.FeatureList(feature=[feature(step) for step in of_list])
        for name, of_list in steps.items()
    }
    return tf.train.SequenceExample(
        context=tf.train.Features(
            feature={name: feature(values) for name, values in context.items()}
        ),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    ).SerializeToString()


@pytest.mark.parametrize(
    ("audio", "labels"),
    [
        ("WAVEFORM/feature/floats", "clip/label/text"),
        ("waveform/floats", "label/text"),
    ],
    ids=["dmvr", "toy_factory"],
)
def test_examples_of_both_conventions_are_read(audio, labels):
    record = example(
        {"caption/string": [b"one", b"", b"two"], labels: [b"Dog"]},
        {"image/encoded": [[jpeg(1)], [jpeg(2)]], audio: [[0.5, -0.25]]},
    )
    found = unpack_example(record, frames_per_second=25.0, sampling_rate=16_000)
    assert found.captions == ("one", "two")
    assert found.labels == ("Dog",)
    assert found.media.images == (jpeg(1), jpeg(2))
    assert (found.media.frames_per_second, found.media.sampling_rate) == (25.0, 16_000)
    np.testing.assert_array_equal(found.media.waveform, [0.5, -0.25])


def test_an_example_without_audio_or_captions_is_read():
    found = unpack_example(example({}, {"image/encoded": [[jpeg(1)]]}))
    assert found.media.waveform is None
    assert found.captions == ()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\xff\xff\xff", "not a SequenceExample"),
        (b"", "has no feature list 'image/encoded', but nothing"),
        (example({}, {"rgb": [[b"x"]]}), "'image/encoded', but rgb"),
        (
            example({"image/frame_rate": [-1.0]}, {"image/encoded": [[b"x"]]}),
            "'image/frame_rate' is -1.0",
        ),
    ],
    ids=["no_message", "empty", "other_features", "rate"],
)
def test_other_records_are_refused(record, message):
    with pytest.raises(ValueError, match=message):
        unpack_example(record)


def test_a_sample_is_files_that_other_programs_read(tmp_path):
    expected, path = clip(), tmp_path / "x.tar"
    writer = TarWriter(path)
    writer.write(pack_sample(expected, "sample"))
    writer.write(pack_sample(clip(captions=()), "other"))
    writer.close()
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar}
    assert list(files)[:4] == [
        "sample.json",
        "sample.wav",
        "sample.000000.jpg",
        "sample.000001.jpg",
    ]
    assert json.loads(files["sample.json"])["captions"] == list(expected.captions)
    image = np.asarray(Image.open(io.BytesIO(files["sample.000001.jpg"])))
    assert image.shape == (16, 24, 3)
    assert abs(int(image.mean()) - 200) < 3
    with wave.open(io.BytesIO(files["sample.wav"])) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (44_100, 16)
    file = TarFile(path)
    assert len(file) == 2
    assert file.damage is None
    assert file.offsets == writer.offsets
    assert_equal(unpack_sample(file.read(0)), expected)


@pytest.mark.parametrize(
    ("files", "captions"),
    [
        ({"k.mp4": b"v", "k.txt": b"a dog\n"}, ("a dog",)),
        ({"k.mp4": b"v", "k.json": b'{"caption": "a cat"}'}, ("a cat",)),
        ({"k.MP4": b"v", "k.json": b'{"text": ["a", "b  c"]}'}, ("a", "b c")),
        ({"k.mp4": b"v", "k.json": b'{"captions": [1, null]}'}, ()),
        ({"k.webm": b"v"}, ()),
    ],
    ids=["txt", "json", "list", "no_text", "none"],
)
def test_samples_with_videos_of_other_tools_are_read(files, captions):
    found = unpack_sample(tar_of(files))
    assert isinstance(found.media, StoredFile)
    assert found.media.content == b"v"
    assert found.captions == captions


def test_audio_next_to_a_video_is_used():
    assert unpack_sample(tar_of({"k.mp4": b"v", "k.m4a": b"a"})).media.audio == b"a"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"k.txt": b"a dog"}, r"no video and no JPEG images, but \.txt"),
        ({"k.mp4": b"v", "k.json": b"{"}, "its JSON can't be read"),
        ({"k.0.jpg": b"x", "k.wav": b"x"}, "its audio is not a WAV file"),
        (
            {"k.0.jpg": b"x", "k.json": b'{"frames_per_second": 0}'},
            "`frames_per_second` is not a positive number",
        ),
    ],
    ids=["no_video", "json", "wav", "rate"],
)
def test_damaged_samples_are_refused(files, message):
    with pytest.raises(ValueError, match=message):
        unpack_sample(tar_of(files))


def test_names_of_samples_end_at_the_first_dot(tmp_path):
    path = tmp_path / "x.tar"
    names = ["a/b.c.jpg", "a/b.mp4", "a/c.mp4", f"a/{'long' * 40}.mp4", "b.txt"]
    path.write_bytes(tar_of(dict.fromkeys(names, b"x" * 700)))
    file = TarFile(path)
    assert len(file) == 4
    with tarfile.open(fileobj=io.BytesIO(file.read(2))) as tar:
        assert tar.getnames() == names[3:4]


def test_samples_are_rounded_to_16_bits_and_clipped():
    np.testing.assert_array_equal(
        quantized(np.array([-1.5, -1.0, 0.4 / 32768, 1.0])), [-32768, -32768, 0, 32767]
    )


def test_images_are_those_of_pillow_up_to_rounding():
    y, x = np.mgrid[:64, :80]
    image = np.stack([2 * x + y, 255 - 3 * y, x + 2 * y], -1).astype(np.uint8)
    data = JpegEncoder(64, 80)(image)
    expected = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    found = JpegDecoder()(data).to_ndarray(format="rgb24")
    assert np.abs(found - expected).mean() < 2
    assert np.abs(expected - image).mean() < 4


@pytest.mark.parametrize("data", [b"", b"no image", jpeg(3)[:200]])
def test_what_is_no_image_is_an_error(data):
    with pytest.raises((ValueError, OSError)):
        JpegDecoder()(data)
