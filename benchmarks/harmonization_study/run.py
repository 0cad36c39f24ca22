"""Runs an experiment of the study, or continues it after a stop.

    python benchmarks/harmonization_study/run.py demo_scout

The experiments are the files of `configs/`; `--list` counts the runs of each. A run
trains one small model on one processor and adds its line to `records/`. Runs that are
there are not repeated, in any experiment. The tables and figures are made by
`summary.py`.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import time

# Before any library starts its threads: each run has one processor.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("KERAS_BACKEND", "torch")

from records import add_record, key_of, read_records  # noqa: E402
from settings import experiment_names, runs_of  # noqa: E402

FOLDER = "results/harmonization_study"


def main():
    arguments = _arguments()
    if arguments.list:
        _list()
        return
    for name in arguments.experiments:
        _run_all(name, arguments)


def _list():
    records = read_records()
    for name in experiment_names():
        keys = {key_of(run) for run in runs_of(name)}
        done = sum(key in records for key in keys)
        print(f"{name}: {done} of {len(keys)} runs are done")


def _run_all(name, arguments):
    records = read_records()
    missing = {key_of(run): run for run in runs_of(name)}
    missing = [run for key, run in missing.items() if key not in records]
    if not missing:
        print(f"{name}: all runs are done", flush=True)
        return
    from corpora import decode

    decode(missing[0].corpus, arguments.folder)
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(arguments.workers, context) as pool:
        futures = {pool.submit(result, r, arguments.folder): r for r in missing}
        done = concurrent.futures.as_completed(futures)
        for count, future in enumerate(done, 1):
            run = futures[future]
            add_record(name, run, future.result())
            minutes = (time.perf_counter() - start) / 60
            print(
                f"{name} {count}/{len(missing)}, {minutes:.1f} min: seed {run.seed}, "
                f"{run.noise.fraction:.0%} {run.noise.where}, {run.arm}, "
                f"{run.learning_rate:g}: {_summary(future.result())}",
                flush=True,
            )


def result(run, folder):
    """Trains and evaluates one run; returns its results, for `records`."""
    from drops import dropped_clips
    from outcomes import outcomes
    from training import Trained

    _limit_threads()
    trained = Trained(run, folder)
    further = {}
    if run.arm.rule == "audit":
        further["audit"] = _audit(trained, folder)
    else:
        trained.fit(dropped_clips(run, folder))
    return {
        "outcomes": outcomes(trained),
        "curves": trained.curves,
        "seconds": trained.seconds,
        **further,
    }


def _audit(trained, folder):
    """Trains a model and returns, by step, how its measures agree with the truth."""
    from drops import keep_measures
    from measures import detection, measure

    steps = trained.run.training.steps
    results = {}

    def at_step(step):
        if step % (steps // 6) == 0:
            measures = measure(trained)
            results[step] = detection(trained, measures)
            if step == steps:
                keep_measures(trained.run, folder, measures)

    trained.fit(at_step=at_step)
    return results


def _limit_threads():
    import keras

    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(1)


def _summary(results):
    shown = ("text->video R@1", "audio->video R@1")
    values = ", ".join(f"{name} {results['outcomes'][name]:.3f}" for name in shown)
    return f"{values}; {results['seconds']['cpu']:.0f} s"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("experiments", nargs="*", help="names of configs, in order")
    parser.add_argument("--list", action="store_true", help="count the runs")
    parser.add_argument("--folder", default=FOLDER, help="folder of the corpora")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    return parser.parse_args()


if __name__ == "__main__":
    main()
