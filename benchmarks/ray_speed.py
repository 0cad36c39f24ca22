"""Compares `prepare_shards` in threads and on a Ray cluster of two nodes.

    KERAS_BACKEND=torch python benchmarks/ray_speed.py

The nodes are processes on this machine, with one processor each (`ray.cluster_utils`),
so that no network counts. The rows of Ray are a run that connects to the running
cluster and starts its workers, and a second one on the same connection. All rows write
the same shards from the same files, and the benchmark checks that they have the same
bytes. Rounds alternate in their order; a speed-up is relative to one local worker in
the same round, as the median over the rounds with quartiles. The overhead is the time
until the first shard is there, less that of two local workers.
"""

import argparse
import contextlib
import filecmp
import pathlib
import shutil
import tempfile
import threading
import time

from decoding_speed import write_clip
from measurement import quartiles
from report import environment, progress, spread, write

from keras_vatt.data import Segment, prepare_shards, write_manifest

_BASELINE, _THREADS = "local, 1 worker", "local, 2 workers"
_COLD, _WARM = "ray, 2 nodes, connecting", "ray, 2 nodes, connected"
_COLUMNS = {
    "engine": lambda r: r["engine"],
    "seconds": lambda r: spread(r["seconds"]),
    "clips/s": lambda r: f"{r['rate']:.2f}",
    "speed-up": lambda r: spread(r["speed_up"]),
    "first shard, s": lambda r: spread(r["first_shard"]),
    "overhead, s": lambda r: spread(r["overhead"]),
    "same bytes": lambda r: "yes" if r["same_bytes"] else "NO",
}


def main():
    arguments = _arguments()
    report = {"environment": environment(), "settings": vars(arguments)}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _make_corpus(folder / "files", arguments.clips)
        with _cluster() as address:
            rounds = [
                _round(folder, address, k, arguments) for k in range(arguments.rounds)
            ]
    report["results"] = [_result(engine, rounds, arguments) for engine in rounds[0]]
    write(arguments.output, "ray_speed", report, _COLUMNS)


def _make_corpus(folder, num_clips):
    """Writes files of 10 seconds, which are copies of one."""
    folder.mkdir()
    paths = [folder / f"{number:04d}.mp4" for number in range(num_clips)]
    write_clip(paths[0], "libx264", "aac", {"crf": "23"})
    for path in paths[1:]:
        shutil.copyfile(paths[0], path)
    captions = [f"clip number {number}" for number in range(num_clips)]
    segments = [
        Segment(path, 0.0, 10.0, caption)
        for path, caption in zip(paths, captions, strict=True)
    ]
    write_manifest(folder / "manifest.jsonl", segments)


@contextlib.contextmanager
def _cluster():
    """Starts a cluster of two nodes with one processor each; yields its address."""
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def _round(folder, address, index, arguments):
    """Runs all engines once, in alternating order; returns their measurements."""
    local = {
        _BASELINE: {"num_workers": 1},
        _THREADS: {"num_workers": 2},
    }
    names = list(local) if index % 2 == 0 else list(local)[::-1]
    runs = [(name, local[name]) for name in names]
    on_ray = {"engine": "ray", "address": address}
    on_ray = [(_COLD, on_ray), (_WARM, on_ray)]
    runs = [*runs, *on_ray] if index % 2 == 0 else [*on_ray, *runs]
    results, outputs = {}, {}
    for name, options in runs:
        progress(f"round {index + 1} of {arguments.rounds}: {name}")
        if name == _COLD:
            import ray

            ray.shutdown()
        outputs[name] = folder / name.replace(", ", "-").replace(" ", "-")
        results[name] = _run(folder / "files", outputs[name], options, arguments)
    for name, output in outputs.items():
        results[name]["same_bytes"] = _is_same(outputs[_BASELINE], output)
    for output in outputs.values():
        shutil.rmtree(output)
    return {name: results[name] for name in (*local, _COLD, _WARM)}


def _run(source, output, options, arguments):
    """Returns the time of a run, and that until its first shard is complete."""
    found, is_done = [], threading.Event()

    def watch():
        while not found and not is_done.wait(0.01):
            # The index is written after the shard.
            if any(output.glob(f"*.{arguments.format}.index.json")):
                found.append(time.perf_counter())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        prepare_shards(
            source,
            output,
            arguments.format,
            arguments.shards,
            progress=False,
            **options,
        )
    finally:
        end = time.perf_counter()
        is_done.set()
        watcher.join()
    return {"seconds": end - start, "first_shard": (found or [end])[0] - start}


def _is_same(folder, other):
    """Returns whether two datasets have the same files with the same bytes."""
    names = sorted(path.name for path in folder.iterdir())
    if names != sorted(path.name for path in other.iterdir()):
        return False
    _, different, failed = filecmp.cmpfiles(folder, other, names, shallow=False)
    return not different and not failed


def _result(engine, rounds, arguments):
    own = [each[engine] for each in rounds]
    seconds = [each["seconds"] for each in own]
    baselines = [each[_BASELINE]["seconds"] for each in rounds]
    firsts = [each["first_shard"] for each in own]
    local_firsts = [each[_THREADS]["first_shard"] for each in rounds]
    return {
        "engine": engine,
        "seconds": quartiles(seconds),
        "rate": arguments.clips / quartiles(seconds)[1],
        "speed_up": quartiles(
            [base / own for base, own in zip(baselines, seconds, strict=True)]
        ),
        "first_shard": quartiles(firsts),
        "overhead": quartiles(
            [first - local for first, local in zip(firsts, local_firsts, strict=True)]
        ),
        "same_bytes": all(each["same_bytes"] for each in own),
    }


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument(
        "--format", default="arrayrecord", choices=["arrayrecord", "tfrecord"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
