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

Results are the lines of `multi_task_methods.jsonl` beside the script. The table alone:

    python benchmarks/multi_task_methods.py --table
"""

import argparse
import json
import pathlib
import time

import numpy as np
from multi_task_problems import (
    BATCH_SIZE,
    PROBLEMS,
    all_batches,
    initial_weights,
)

RESULTS = pathlib.Path(__file__).with_suffix(".jsonl")
METHODS = (
    "sum",
    "realign",
    "curriculum",
    "pcgrad",
    "gradvac",
    "cagrad",
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
        method: string, the name of a harmonizer.
    """

    def __init__(self, problem, method):
        import keras

        from keras_vatt.training import MultiTaskModel

        self.problem = problem
        (inputs, _), *_ = problem.examples(0).values()
        self.model = problem.model(MultiTaskModel, inputs.shape[1:])
        self.model.compile(
            keras.optimizers.Adam(0.001),
            loss=problem.losses(),
            harmonizer=method,
            harmonized_variables="shared",
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [(v, v.numpy()) for v in self._variables()]

    def score(self, seed, learning_rate, part):
        """Trains from a seed; returns the scores, and the seconds of each step."""
        parts = self.problem.examples(seed)
        for variable, value in self.fresh:
            variable.assign(value)
        self.model.set_weights(initial_weights(self.model, seed))
        self.model.num_steps.assign(0)
        self.model.optimizer.learning_rate.assign(learning_rate)
        batches = all_batches(*parts["train"], self.problem.epochs, seed)
        start = time.perf_counter()
        self.model.fit(*batches, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
        seconds = time.perf_counter() - start
        inputs, targets = parts[part]
        outputs = self.model.predict(inputs, batch_size=500, verbose=0)
        scores = [round(score, 2) for score in self.problem.scores(outputs, targets)]
        return scores, seconds / (len(batches[0]) // BATCH_SIZE)

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
    lines = _lines(arguments.results)
    if not arguments.table:
        for name in arguments.problems:
            for method in arguments.methods:
                _run(name, method, lines, arguments.results)
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
            try:
                arm = arm or Arm(problem, method)
            except (ImportError, ValueError) as error:
                print(f"{name}, {method}: {error}", flush=True)
                return
            seeds = TUNING_SEEDS if phase == "tuning" else SEEDS
            part = "validation" if phase == "tuning" else "test"
            runs = [arm.score(seed, rate, part) for seed in seeds]
            line = {
                "problem": name,
                "method": method,
                "phase": phase,
                "rate": rate,
                "scores": [scores for scores, _ in runs],
                "ms": round(1000 * float(np.median([s for _, s in runs])), 2),
            }
            lines.append(line)
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
        if phase == "tuning":
            tuned[rate] = np.mean(line["scores"])


def _found(lines, name, method, phase, rate):
    wanted = {"problem": name, "method": method, "phase": phase, "rate": rate}
    matching = (line for line in lines if wanted.items() <= line.items())
    return next(matching, None)


def table(lines):
    """Returns the Markdown table of all finished methods."""
    tests = [line for line in lines if line["phase"] == "test"]
    text = []
    for name, problem in PROBLEMS.items():
        by_method = {x["method"]: x for x in tests if x["problem"] == name}
        if "sum" not in by_method:
            continue
        text += [
            f"{name}: difference to the plain sum in percentage points, with "
            f"{len(by_method) - 1} comparisons",
            "",
            "| method | rate | " + " | ".join(problem.tasks) + " | mean | "
            "mean - sum [95%] | " + " | ".join(f"{t} - sum" for t in problem.tasks),
            "|---" * (5 + 2 * len(problem.tasks)) + "|",
        ]
        text[-2] += " | ms per step |"
        expected = np.array(by_method["sum"]["scores"])
        text += [_row(line, expected) for line in by_method.values()]
        text.append("")
    return "\n".join(text)


def _row(line, expected):
    scores = np.array(line["scores"])
    cells = [line["method"], str(line["rate"])]
    cells += [f"{mean:.2f}" for mean in scores.mean(axis=0)]
    cells.append(f"{scores.mean():.2f}")
    if line["method"] == "sum":
        cells += ["0"] * (1 + scores.shape[1])
    else:
        cells.append(_interval((scores - expected).mean(axis=1)))
        cells += [_interval(column) for column in (scores - expected).T]
    return "| " + " | ".join([*cells, f"{line['ms']:.2f}"]) + " |"


def _interval(differences):
    mean = differences.mean()
    half = _QUANTILE * differences.std(ddof=1) / len(differences) ** 0.5
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"


def _lines(path):
    return [json.loads(line) for line in path.open()] if path.exists() else []


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
