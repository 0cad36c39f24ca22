"""Compares all harmonization methods with the plain sum of the losses.

Run it on any backend; it continues after an interruption:

    KERAS_BACKEND=jax python benchmarks/multi_task_methods.py

It trains each problem of `multi_task_problems.py` with each method. All methods have
the same model, initial weights, batches, epochs, Adam and grid of learning rates. For
each method, `TUNING_SEEDS` choose the learning rate by the mean score of all tasks on
validation examples. The score on test examples is that of `SEEDS`, which have other
splits, weights and batches. A row has the mean difference to the plain sum, paired by
seed, with a 95% interval of Student's t; with as many comparisons as the table states,
one in twenty such intervals misses a difference of zero by chance.

Results are the lines of `multi_task_methods.jsonl` next to the script. The first of
these commands adds the time of a step, with all methods in turn on the same batches;
the second one prints the table alone:

    KERAS_BACKEND=jax python benchmarks/multi_task_methods.py --time
    KERAS_BACKEND=jax python benchmarks/multi_task_methods.py --table
"""

import argparse
import json
import pathlib
import statistics

import keras
import numpy as np
from json_lines import add_line, read_lines
from keras import tree
from measurement import interleaved
from multi_task_problems import (
    BATCH_SIZE,
    PROBLEMS,
    all_batches,
    initial_weights,
)

from keras_vatt.training import MultiTaskModel

RESULTS = pathlib.Path(__file__).with_suffix(".jsonl")
METHODS = (
    "sum",
    "realign",
    "curriculum",
    "pcgrad",
    "gradvac",
    "cagrad",
    "config",
    "upgrad",
    "mgda",
    "imtlg",
    "alignedmtl",
    "dualproj",
    "fairgrad",
    "nashmtl",
    "krum",
    "mean",
    "random",
    "movinggradvac",
    "sdmgrad",
    "modo",
    "pcd",
)
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03)
TUNING_SEEDS = (100, 101)
SEEDS = (0, 1, 2, 3, 4)
# Of Student's t with four degrees of freedom, for 95%.
_QUANTILE = 2.776


class Arm:
    """A model that is compiled once and trained from many seeds.

    Args:
        problem: `Problem`.
        method: string, the name of a harmonizer; `"sum"` is the plain step without one.
    """

    def __init__(self, problem, method):
        self.problem = problem
        (inputs, _), *_ = problem.examples(0).values()
        self.model = problem.model(MultiTaskModel, inputs.shape[1:])
        harmonized = {"harmonizer": method, "harmonized_variables": "shared"}
        self.model.compile(
            keras.optimizers.Adam(0.001),
            loss=problem.losses(),
            **({} if method == "sum" else harmonized),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [(v, v.numpy()) for v in self._variables()]

    def score(self, seed, learning_rate, part):
        """Trains from a seed; returns the score of each task in a part."""
        parts = self.problem.examples(seed)
        for variable, value in self.fresh:
            variable.assign(value)
        self.model.set_weights(initial_weights(self.model, seed))
        self.model.num_steps.assign(0)
        self.model.optimizer.learning_rate.assign(learning_rate)
        batches = all_batches(*parts["train"], self.problem.epochs, seed)
        self.fit(batches)
        inputs, targets = parts[part]
        outputs = self.model.predict(inputs, batch_size=500, verbose=0)
        return [round(score, 2) for score in self.problem.scores(outputs, targets)]

    def fit(self, batches):
        """Takes the step of each batch."""
        self.model.fit(*batches, batch_size=BATCH_SIZE, shuffle=False, verbose=0)

    def _variables(self):
        """Returns the variables of the optimizer and of the harmonizer."""
        own = {id(variable) for variable in self.model.weights}
        return [
            variable
            for variable in [
                *self.model.optimizer.variables,
                *(v for metric in self.model.metrics for v in metric.variables),
            ]
            if id(variable) not in own
        ]


def main():
    arguments = _arguments()
    lines = read_lines(arguments.results)
    for name in arguments.problems:
        if arguments.time:
            _measure_time(name, arguments.methods, lines, arguments.results)
        elif not arguments.table:
            for method in arguments.methods:
                try:
                    _run(name, method, lines, arguments.results)
                except (ImportError, ValueError) as error:
                    # No such package or method, or too few losses for the method.
                    print(f"{name}, {method}: {error}", flush=True)
    print(table(lines))


def _run(name, method, lines, path):
    """Adds the lines of one method that are not there yet."""
    problem, arm = PROBLEMS[name], None
    tuned = {}
    for rate in (*LEARNING_RATES, None):  # At last, the best of them.
        phase = "tuning" if rate else "test"
        if rate is None:
            rate = max(tuned, key=tuned.get)
        line = _found(lines, name, method, phase, rate)
        if line is None:
            arm = arm or Arm(problem, method)
            seeds = TUNING_SEEDS if phase == "tuning" else SEEDS
            part = "validation" if phase == "tuning" else "test"
            line = {
                "problem": name,
                "method": method,
                "phase": phase,
                "rate": rate,
                "scores": [arm.score(seed, rate, part) for seed in seeds],
            }
            _add(line, lines, path)
        if phase == "tuning":
            tuned[rate] = np.mean(line["scores"])


def _measure_time(name, methods, lines, path, rounds=7, num_steps=200):
    """Adds a line per method with the milliseconds of a step, all methods in turn."""
    problem = PROBLEMS[name]
    inputs, targets = problem.examples(0)["train"]
    epochs = -(-num_steps * BATCH_SIZE // len(inputs))
    batches = all_batches(inputs, targets, epochs, 0)
    batches = tree.map_structure(lambda x: x[: num_steps * BATCH_SIZE], batches)
    arms = {method: Arm(problem, method) for method in methods}
    for arm in arms.values():
        arm.fit(batches)
    functions = {
        method: lambda arm=arm: arm.fit(batches) for method, arm in arms.items()
    }
    for method, usages in interleaved(functions, rounds).items():
        seconds = statistics.median(usage.seconds for usage in usages)
        line = {"problem": name, "method": method, "phase": "time"}
        _add({**line, "ms": round(1000 * seconds / num_steps, 3)}, lines, path)


def _add(line, lines, path):
    lines.append(line)
    add_line(path, line)
    print(json.dumps(line), flush=True)


def _found(lines, name, method, phase, rate):
    wanted = {"problem": name, "method": method, "phase": phase, "rate": rate}
    matching = (line for line in lines if wanted.items() <= line.items())
    return next(matching, None)


def table(lines):
    """Returns the Markdown tables of all problems with a finished plain sum."""
    return "\n\n".join(_table(name, lines) for name in PROBLEMS if _tests(name, lines))


def _tests(name, lines):
    """Returns the test scores of each method, if there are those of the plain sum."""
    scores = {
        line["method"]: np.array(line["scores"])
        for line in lines
        if line["problem"] == name and line["phase"] == "test"
    }
    return scores if "sum" in scores else {}


def _table(name, lines):
    tests, tasks = _tests(name, lines), list(PROBLEMS[name].tasks)
    heading = ["method", *tasks, "mean", "mean - sum"]
    heading += [*(f"{task} - sum" for task in tasks), "time / sum"]
    times = {
        line["method"]: line["ms"]
        for line in lines
        if line["problem"] == name and line["phase"] == "time"
    }
    text = [
        f"{name}, {len(tests) - 1} comparisons:",
        "",
        "| " + " | ".join(heading) + " |",
        "|---" * len(heading) + "|",
    ]
    for method in METHODS:
        if method in tests:
            cells = [method, *_cells(tests[method], tests["sum"])]
            known = {method, "sum"} <= times.keys()
            cells.append(f"{times[method] / times['sum']:.2f}" if known else "-")
            text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def _cells(scores, expected):
    """Returns the means of all seeds, and the intervals of the differences."""
    differences = scores - expected
    return [
        *(f"{mean:.2f}" for mean in [*scores.mean(axis=0), scores.mean()]),
        _interval(differences.mean(axis=1)),
        *(_interval(column) for column in differences.T),
    ]


def _interval(differences):
    mean = differences.mean()
    half = _QUANTILE * differences.std(ddof=1) / len(differences) ** 0.5
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--time", action="store_true", help="measure steps only")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
