"""Compares reading of shards with pipelines that are written by hand for each format.

    KERAS_BACKEND=torch python benchmarks/shard_reading.py

The library's pipeline is `make_dataset` of `StoredClips`. By hand are:

| format | reading | shuffling | decoding |
|---|---|---|---|
| arrayrecord | `array_record` and Grain | all clips | PyAV |
| tfrecord | `tf.data` | shards, and a buffer | `tf.io.decode_jpeg`, `tf.image.resize` |
| webdataset | `webdataset`, or else `tarfile` | shards, and a buffer | PyAV |

All make batches of the input of the paper, 32 frames of 224 pixels and 3.2 seconds of
audio at a random position, with the tokens of 5 captions, in the same number of
threads. Before they are measured, their batches without shuffling are compared.

The shards have clips of 10 seconds with 10 frames per second of 342 x 256 pixels. They
are written once to `--folder`, and are in the page cache of the operating system.
Rounds of both pipelines alternate, each with a new iterator, whose first batches do not
count. A ratio is the speed of the library relative to the pipeline by hand: the median
over the rounds, with quartiles. CPU time is that of all threads of the process.
"""

import argparse
import collections
import concurrent.futures
import functools
import gc
import importlib.util
import io
import itertools
import json
import os
import pathlib
import random
import tarfile
import time
import wave

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from measurement import quartiles
from report import environment, progress, spread, write

from keras_vatt.data import (
    ClipSpec,
    Segment,
    StoredClips,
    encode_clip,
    make_dataset,
    open_records,
    prepare_shards,
    write_manifest,
)

_FRAMES, _SIZE, _SAMPLES, _CANDIDATES = 32, 224, 153_600, 5
_WORDS = [f"word{number}" for number in range(1000)]
_TOKENS = {word: number for number, word in enumerate(_WORDS, 1)}
_BUFFER = 64
_MIDDLE = (0.5, 0.5)
_COLUMNS = {
    "format": lambda r: r["format"],
    "by hand": lambda r: r["by_hand"],
    "clips/s": lambda r: f"{r['rates'][0]:.1f}",
    "by hand ": lambda r: f"{r['rates'][1]:.1f}",
    "ratio": lambda r: spread(r["ratio"]),
    "clips per CPU second": lambda r: f"{r['cpu_rates'][0]:.1f}",
    "by hand  ": lambda r: f"{r['cpu_rates'][1]:.1f}",
    "ratio ": lambda r: spread(r["cpu_ratio"]),
    "frames differ": lambda r: f"{r['frames_differ']:.2f}",
    "audio differs": lambda r: f"{r['audio_differs']:.5f}",
}


def main():
    arguments = _arguments()
    folder = pathlib.Path(arguments.folder) / f"{arguments.clips}_clips"
    prepare(folder, arguments.clips, arguments.shards)
    report = {"environment": environment(), "settings": vars(arguments)}
    report["results"] = [_result(name, folder, arguments) for name in arguments.formats]
    write(arguments.output, "shard_reading", report, _COLUMNS)


def prepare(folder, num_clips, num_shards, num_files=8):
    """Writes the shards of all formats, unless they are there."""
    paths = [folder / f"{number}.mp4" for number in range(num_files)]
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        if not path.exists():
            generator = np.random.default_rng(number)
            encode_clip(path, _moving_texture(generator), 10, _noise(generator), 48_000)
    generator = np.random.default_rng(0)
    segments = [
        Segment(path, 0.0, 10.0, " ".join(generator.choice(_WORDS, 10)))
        for path in itertools.islice(itertools.cycle(paths), num_clips)
    ]
    write_manifest(folder / "manifest.jsonl", segments)
    first = folder / "arrayrecord"
    prepare_shards(folder / "manifest.jsonl", first, "arrayrecord", num_shards)
    for name in ("tfrecord", "webdataset"):
        prepare_shards(first, folder / name, name, num_shards)


def array_record_pipeline(paths, batch_size, num_threads, training):
    """Yields batches with ArrayRecord and Grain."""
    import grain
    from array_record.python import array_record_data_source

    source = array_record_data_source.ArrayRecordDataSource(paths)
    dataset = grain.MapDataset.source(source).seed(0)
    dataset = dataset.shuffle().repeat() if training else dataset

    def element(record, generator):
        place = generator.uniform(size=2) if training else _MIDDLE
        return _element(*parse_example(record), *place)

    dataset = dataset.random_map(element)
    options = grain.ReadOptions(num_threads, max(batch_size, num_threads))
    return iter(dataset.to_iter_dataset(options).batch(batch_size, drop_remainder=True))


def tfrecord_pipeline(paths, batch_size, num_threads, training):
    """Yields batches with `tf.data`, as users of VATT's code read its tables."""
    import tensorflow as tf

    words = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(_WORDS), tf.range(1, len(_WORDS) + 1)
        ),
        default_value=0,
    )

    def element(record):
        context, sequence = tf.io.parse_single_sequence_example(
            record,
            {"caption/string": tf.io.VarLenFeature(tf.string)},
            {
                "image/encoded": tf.io.FixedLenSequenceFeature([], tf.string),
                "WAVEFORM/feature/floats": tf.io.VarLenFeature(tf.float32),
            },
        )
        place = tf.random.uniform([2]) if training else tf.constant(_MIDDLE)
        images = sequence["image/encoded"]
        spare = tf.cast(tf.shape(images)[0] - _FRAMES, tf.float32)
        first = tf.cast(spare * place[0], tf.int32)
        frames = tf.map_fn(
            functools.partial(tf.io.decode_jpeg, channels=3),
            images[first : first + _FRAMES],
            fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
        )
        height, width = tf.shape(frames)[1], tf.shape(frames)[2]
        width = tf.cast(tf.round(width * _SIZE / height), tf.int32)
        frames = tf.image.resize(frames, (_SIZE, width))
        left = tf.cast(
            tf.round(tf.cast(width - _SIZE, tf.float32) * place[1]), tf.int32
        )
        frames = tf.cast(tf.round(frames[:, :, left : left + _SIZE]), tf.uint8)
        waveform = sequence["WAVEFORM/feature/floats"].values
        spare = tf.cast(tf.size(waveform) - _SAMPLES, tf.float32)
        start = tf.cast(spare * place[0], tf.int32)
        captions = context["caption/string"].values
        captions = tf.tile(captions, [_CANDIDATES])[:_CANDIDATES]
        tokens = words.lookup(
            tf.strings.split(captions).to_tensor("", shape=[None, 16])
        )
        return {
            "video": tf.ensure_shape(frames, [_FRAMES, _SIZE, _SIZE, 3]),
            "audio": waveform[start : start + _SAMPLES, tf.newaxis],
            "text": tokens,
        }

    if training:
        shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat()
        records = shards.interleave(
            tf.data.TFRecordDataset, cycle_length=4, num_parallel_calls=num_threads
        ).shuffle(_BUFFER)
    else:
        records = tf.data.TFRecordDataset(paths)
    batches = records.map(element, num_parallel_calls=num_threads)
    batches = batches.batch(batch_size, drop_remainder=True).prefetch(1)
    options = tf.data.Options()
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options).as_numpy_iterator()


def webdataset_pipeline(paths, batch_size, num_threads, training):
    """Yields batches with `webdataset` or `tarfile`, and a pool of threads."""
    generator = random.Random(0)
    samples = _tar_samples(paths, training, generator)

    def element(sample):
        names = sorted(name for name in sample if name.endswith(".jpg"))
        images = [sample[name] for name in names]
        with wave.open(io.BytesIO(sample["wav"])) as reader:
            data = reader.readframes(reader.getnframes())
        captions = json.loads(sample["json"])["captions"]
        place = (generator.random(), generator.random()) if training else _MIDDLE
        return _element(images, np.frombuffer(data, "<i2"), captions, *place)

    elements = _in_threads(element, samples, num_threads, max(batch_size, num_threads))
    while len(batch := list(itertools.islice(elements, batch_size))) == batch_size:
        yield {name: np.stack([each[name] for each in batch]) for name in batch[0]}


_BY_HAND = {
    "arrayrecord": array_record_pipeline,
    "tfrecord": tfrecord_pipeline,
    "webdataset": webdataset_pipeline,
}
_HAS_WEBDATASET = importlib.util.find_spec("webdataset") is not None
_READERS = {
    "arrayrecord": "array_record, Grain, PyAV",
    "tfrecord": "tf.data",
    "webdataset": f"{'webdataset' if _HAS_WEBDATASET else 'tarfile'}, PyAV",
}


def library_pipeline(folder, batch_size, num_threads, training):
    """Yields batches of `make_dataset`."""
    clips = StoredClips(
        open_records(folder).splits["train"],
        ClipSpec(),
        tokenize,
        _CANDIDATES,
        training,
    )
    return iter(make_dataset(clips, batch_size, training, num_workers=num_threads))


def tokenize(texts):
    """Returns 16 tokens for each text."""
    tokens = np.zeros((len(texts), 16), np.int32)
    for row, text in zip(tokens, texts, strict=True):
        words = [_TOKENS.get(word, 0) for word in text.split()[:16]]
        row[: len(words)] = words
    return tokens


def parse_example(record):
    """Returns images, waveform and captions of a serialized `SequenceExample`.

    It reads the wire format: Python's protocol buffers would make an object of each of
    the 480,000 samples.
    """
    features = {}
    for _, start, end in _fields(record, 0, len(record)):
        for _, *entry in _fields(record, start, end):
            (_, *key), (_, *value) = _fields(record, *entry)
            features[bytes(record[slice(*key)])] = value
    images = [
        _values(record, *step)[0]
        for _, *step in _fields(record, *features[b"image/encoded"])
    ]
    ((_, *step),) = _fields(record, *features[b"WAVEFORM/feature/floats"])
    (floats,) = _values(record, *step)
    captions = _values(record, *features[b"caption/string"])
    captions = [caption.decode() for caption in captions]
    return images, np.frombuffer(floats, "<f4"), captions


def _values(record, start, end):
    """Returns the values of a `Feature`: bytes, or all floats together."""
    ((_, *values),) = _fields(record, start, end)
    return [record[start:end] for _, start, end in _fields(record, *values)]


def _fields(record, start, end):
    """Yields number, start and end of the fields of a message; all have a length."""
    while start < end:
        number, size, shift = record[start] >> 3, 0, 0
        while True:
            start += 1
            size |= (record[start] & 127) << shift
            shift += 7
            if record[start] < 128:
                break
        start += 1
        yield number, start, start + size
        start += size


def _element(images, waveform, captions, position, crop_position):
    first = int(position * (len(images) - _FRAMES))
    frames = _frames(images[first : first + _FRAMES], crop_position)
    start = int(position * (len(waveform) - _SAMPLES))
    audio = waveform[start : start + _SAMPLES, np.newaxis]
    if audio.dtype != np.float32:
        audio = audio / np.float32(32768)
    captions = list(itertools.islice(itertools.cycle(captions), _CANDIDATES))
    return {"video": frames, "audio": audio, "text": tokenize(captions)}


def _frames(images, crop_position):
    """Decodes, resizes and crops JPEG images with PyAV."""
    context = av.CodecContext.create("mjpeg", "r")
    context.thread_count = 1
    scaler = VideoReformatter()
    frames = np.empty((len(images), _SIZE, _SIZE, 3), np.uint8)
    for number, image in enumerate(images):
        (frame,) = context.decode(av.Packet(image))
        width = round(frame.width * _SIZE / frame.height)
        frame = scaler.reformat(
            frame, width, _SIZE, "rgb24", interpolation="BILINEAR", threads=1
        )
        left = round((width - _SIZE) * crop_position)
        frames[number] = frame.to_ndarray()[:, left : left + _SIZE]
    return frames


def _tar_samples(paths, training, generator):
    """Yields dicts from suffix to bytes, shuffled as `webdataset` does."""
    samples = _shuffled_shards(paths, training, generator)
    if not training:
        yield from samples
        return
    buffer = []
    for sample in samples:
        buffer.append(sample)
        if len(buffer) > _BUFFER:
            place = generator.randrange(len(buffer))
            buffer[place], buffer[-1] = buffer[-1], buffer[place]
            yield buffer.pop()


def _shuffled_shards(paths, training, generator):
    while True:
        order = generator.sample(paths, len(paths)) if training else paths
        if _HAS_WEBDATASET:
            import webdataset

            yield from webdataset.WebDataset(order, shardshuffle=False)
        else:
            yield from itertools.chain.from_iterable(map(_samples_of_tar, order))
        if not training:
            return


def _samples_of_tar(path):
    name, sample = None, {}
    with tarfile.open(path, "r|") as tar:
        for member in tar:
            stem, _, suffix = member.name.partition(".")
            if stem != name and sample:
                yield sample
                sample = {}
            name, sample[suffix] = stem, tar.extractfile(member).read()
    yield sample


def _in_threads(function, items, num_threads, num_ahead):
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > num_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _result(name, folder, arguments):
    paths = sorted(map(str, (folder / name).glob("train-*-of-?????.*")))
    paths = [path for path in paths if not path.endswith(".json")]
    settings = (arguments.batch, arguments.threads)
    pipelines = {
        "library": functools.partial(library_pipeline, folder / name, *settings),
        "by hand": functools.partial(_BY_HAND[name], paths, *settings),
    }
    differences = _differences(*(run(training=False) for run in pipelines.values()))
    usages = {key: [] for key in pipelines}
    for index in range(arguments.rounds):
        progress(f"{name}: round {index + 1} of {arguments.rounds}")
        for key in sorted(pipelines, reverse=index % 2 == 1):
            usages[key].append(_usage(pipelines[key], arguments.batches))
    seconds = {key: np.array(each) for key, each in usages.items()}
    ours, theirs = seconds["library"], seconds["by hand"]
    clips = arguments.batch * arguments.batches
    rates = [clips / np.median(each, axis=0) for each in (ours, theirs)]
    ratios = theirs / ours
    return {
        "format": name,
        "by_hand": _READERS[name],
        "rates": [float(rate[0]) for rate in rates],
        "cpu_rates": [float(rate[1]) for rate in rates],
        "ratio": quartiles(ratios[:, 0].tolist()),
        "cpu_ratio": quartiles(ratios[:, 1].tolist()),
        **differences,
    }


def _usage(pipeline, num_batches, num_warmup=3):
    """Returns wall time and CPU time of some batches, once reading ahead is steady."""
    batches = pipeline(training=True)
    for _ in range(num_warmup):
        next(batches)
    started, used = time.perf_counter(), time.process_time()
    for _ in range(num_batches):
        next(batches)
    result = time.perf_counter() - started, time.process_time() - used
    if hasattr(batches, "close"):
        batches.close()
    del batches
    gc.collect()
    time.sleep(0.5)  # Clips that are being read ahead.
    return result


def _differences(ours, theirs):
    """Checks that the first batches are nearly the same."""
    ours, theirs = next(ours), next(theirs)
    for name in ("video", "audio", "text"):
        one, other = ours[name], theirs[name]
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise AssertionError(
                f"{one.shape} {one.dtype}, {other.shape} {other.dtype}"
            )
    if (ours["text"] != theirs["text"]).any():
        raise AssertionError("The tokens differ.")
    found = {
        f"{key}_differ{'s' if key == 'audio' else ''}": float(
            np.abs(ours[name] - theirs[name].astype(np.float32)).mean()
        )
        for key, name in (("frames", "video"), ("audio", "audio"))
    }
    if found["frames_differ"] > 5 or found["audio_differs"] > 1e-3:
        raise AssertionError(f"The clips differ: {found}")
    return found


def _moving_texture(generator):
    """Returns 10 seconds of frames that give JPEG files of 10 to 20 kB."""
    rows, columns = np.linspace(0, 1, 256), np.linspace(0, 1, 550)
    gradient = 110 + 60 * np.sin(
        6 * rows[:, None] + 9 * columns + generator.uniform(0, 9)
    )
    coarse = generator.normal(size=(32, 69)).repeat(8, 0).repeat(8, 1)[:, :550]
    fine = generator.normal(size=(256, 550))
    image = gradient[..., None] + (10 * coarse + 4 * fine)[..., None]
    image = image + generator.uniform(-40, 40, 3)
    image = np.clip(image, 0, 255).astype(np.uint8)
    return np.stack([image[:, 2 * k : 2 * k + 342] for k in range(100)])


def _noise(generator):
    return generator.uniform(-0.5, 0.5, 480_000).astype(np.float32)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--folder", default="results/shard_reading", help="of shards")
    parser.add_argument("--formats", nargs="+", default=list(_BY_HAND))
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=12, help="per round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
