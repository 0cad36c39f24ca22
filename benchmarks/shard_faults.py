"""Damages prepared shards in different ways, and prints what a training run gets.

For each format and fault: the finding, the clips that are lost of 30, and whether ten
batches are read. Needs `pip install "keras-vatt[s3,demo]" "moto[server]"` for the
faults of a store.

    python benchmarks/shard_faults.py
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import shutil
import socket
import tempfile
import time

import numpy as np

from keras_vatt import KerasVATTError, _remote_files
from keras_vatt.data import (
    ClipSpec,
    MediaError,
    StoredClips,
    StoredForm,
    make_dataset,
    make_demo_corpus,
    open_records,
    prepare_shards,
)

FORMATS = {"arrayrecord": "arrayrecord", "tfrecord": "tfrecord", "webdataset": "tar"}
SPEC = ClipSpec(num_frames=4, frame_size=32, sampling_rate=8_000)
CLIPS, SHARDS = 30, 3


def tokenize(texts):
    return np.ones((len(texts), 16), np.int32)


def truncate(shard):
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])


def change_byte(shard):
    data = bytearray(shard.read_bytes())
    data[data.find(b"\xff\xd8", len(data) // 2) + 500] ^= 1
    shard.write_bytes(data)


def empty(shard):
    shard.write_bytes(b"")


def replace_by_noise(shard):
    noise = np.random.default_rng(0).bytes(shard.stat().st_size)
    shard.write_bytes(noise)


def delete(shard):
    shard.unlink()


def cut_index(shard):
    index = shard.with_name(f"{shard.name}.index.json")
    index.write_text(index.read_text()[:100])


LOCAL_FAULTS = (truncate, change_byte, empty, replace_by_noise, delete, cut_index)


def outcome(source, before_reading=lambda: None):
    """Returns the number of lost clips, the first finding, and the batches read."""
    splits, findings = open_records(source)
    clips = StoredClips(splits["train"], SPEC, tokenize, findings=findings)
    before_reading()
    lost = 0
    for index in range(len(clips)):
        try:
            clips.clip(index)
        except MediaError:
            lost += 1
    batches = list(itertools.islice(make_dataset(clips, 5, training=True), 10))
    found = clips.report.findings
    reason = f"{found[0].problem}: {found[0].reason}" if found else "-"
    return lost, reason, len(batches)


def print_row(name, fault, run):
    start = time.perf_counter()
    try:
        lost, reason, batches = run()
        result = f"{lost:>2} of {CLIPS} lost, {batches} batches; {reason}"
    except (KerasVATTError, OSError) as error:
        result = f"ends: {type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    print(f"| {name} | {fault} | {seconds:.1f} s | {result[:150]} |", flush=True)


@contextlib.contextmanager
def s3_client(address):
    """Makes the S3 client use a server at `address`."""
    os.environ |= {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    _remote_files._filesystem_of.cache_clear()
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem()


def report_store_faults(prepared):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with s3_client(f"http://{host}:{port}") as client:
        for name, suffix in FORMATS.items():
            client.mkdir(f"faults-{name}")
            client.put(f"{prepared / name}/", f"faults-{name}/", recursive=True)
            shard = f"faults-{name}/train-00001-of-00003.{suffix}"
            vanish = lambda shard=shard: client.rm(shard)  # noqa: E731
            print_row(
                name,
                "object vanishes",
                lambda name=name, vanish=vanish: outcome(f"s3://faults-{name}", vanish),
            )
    server.stop()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        s3_client(f"http://127.0.0.1:{silent.getsockname()[1]}"),
    ):
        _remote_files.REQUEST_SECONDS = 2.0
        print_row("tfrecord", "server never answers", lambda: outcome("s3://faults/x"))


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        os.environ["KERAS_VATT_CACHE"] = str(scratch / "cache")
        corpus = make_demo_corpus(scratch / "demo", CLIPS, 2, progress=False)
        form = StoredForm(frame_size=64, sampling_rate=8_000)
        print("| format | fault | time | outcome |\n|---|---|---|---|")
        for name, suffix in FORMATS.items():
            folder = scratch / name
            prepare_shards(corpus, folder, name, SHARDS, form, progress=False)
            for damage in LOCAL_FAULTS:
                copy = scratch / "copy"
                shutil.copytree(folder, copy)
                damage(copy / f"train-00001-of-0000{SHARDS}.{suffix}")
                fault = damage.__name__.replace("_", " ")
                print_row(name, fault, lambda copy=copy: outcome(copy))
                shutil.rmtree(copy)
        report_store_faults(scratch)


if __name__ == "__main__":
    main()
