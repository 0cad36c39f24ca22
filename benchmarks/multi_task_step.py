"""Compares time and memory of the training step of a multi-task model.

Run it on PyTorch; it starts JAX by itself:

    KERAS_BACKEND=torch python benchmarks/multi_task_step.py --output results

Each step trains the same model, a shared trunk and K heads, from the same weights on
the same batch: `keras_vatt.training.MultiTaskModel` on PyTorch and on JAX, TorchJD in
the ways that its documentation describes, LibMTL, and the plain sum of the losses. Each
step has a process of its own. The processes take turns, every other round in reverse
order, so that a slow moment of the machine meets all of them. Where other programs run,
`OMP_NUM_THREADS=1` keeps threads of PyTorch from waiting for each other. With Adam,
time and CPU time are those of the median step; memory is the peak within a step.

The columns "trunk" and "heads" compare the weights after one step of SGD with those of
the step that is named in `EQUAL`: the norm of the difference of the updates, relative
to the norm of the update. TorchJD and LibMTL do not weight the gradients of the heads,
and ours does; both are usual. LibMTL has no UPGrad, hence MGDA. It is not a dependency:
`pip install --no-deps LibMTL==1.1.5`. A step that cannot be imported is left out.
"""

import argparse
import contextlib
import importlib
import multiprocessing
import os
import statistics

import keras
import numpy as np
from measurement import interleaved, peak_of_step, quartiles
from multi_task_cases import (
    QUICK_TRUNKS,
    TRUNKS,
    Case,
    keras_layers,
    random_batch,
    set_fixed_weights,
)
from report import environment, mebibytes, milliseconds, progress, spread, write

# Names of steps: where they run, and how they are made.
OURS = {
    "ours": {"harmonizer": "upgrad", "harmonized_variables": "shared"},
    "ours, heads compared": {"harmonizer": "upgrad"},
    "ours, features": {"harmonizer": "upgrad", "compare": "features"},
    "ours, plain sum": {},
    "ours MGDA": {"harmonizer": "mgda", "harmonized_variables": "shared"},
}
ON_JAX = {f"{name} (JAX)": name for name in ("ours", "ours, plain sum")}
TORCHJD = {
    "TorchJD mtl_backward": ("torchjd_mtl", "upgrad", None, False),
    "TorchJD mtl_backward, Gramian": ("torchjd_mtl", "upgrad", None, True),
    "TorchJD mtl_backward, chunk 1": ("torchjd_mtl", "upgrad", 1, False),
    "TorchJD mtl_backward, chunk 1, Gramian": ("torchjd_mtl", "upgrad", 1, True),
    "TorchJD backward, chunk 1, Gramian": ("torchjd_backward", "upgrad", 1),
    "TorchJD Engine": ("torchjd_engine", "upgrad"),
}
PLAIN = {
    "plain sum": ("plain_sum",),
    "functions of ours by hand": ("by_hand", "upgrad"),
    **TORCHJD,
    "TorchJD MGDA, chunk 1, Gramian": ("torchjd_mtl", "mgda", 1, True),
    "LibMTL MGDA": ("libmtl", "mgda"),
}
STEPS = [*OURS, *ON_JAX, *PLAIN]
# The step whose update a step must have; the others differ by definition.
EQUAL = {
    **dict.fromkeys(["ours (JAX)", "functions of ours by hand", *TORCHJD], "ours"),
    "TorchJD backward, chunk 1, Gramian": "ours, heads compared",
    **dict.fromkeys(["plain sum", "ours, plain sum (JAX)"], "ours, plain sum"),
    **dict.fromkeys(["LibMTL MGDA", "TorchJD MGDA, chunk 1, Gramian"], "ours MGDA"),
}
COLUMNS = {
    "trunk of": lambda r: r["trunk"],
    "K": lambda r: str(r["num_tasks"]),
    "step": lambda r: r["step"],
    "ms": lambda r: milliseconds(r["seconds"][1]),
    "CPU ms": lambda r: milliseconds(r["cpu_seconds"]),
    "ours / this": lambda r: _optional(r["ours_over_this"], spread),
    "ours / this, CPU": lambda r: _optional(r["ours_over_this_cpu"], spread),
    "time / plain sum": lambda r: _optional(r["over_plain"], spread),
    "peak MiB": lambda r: mebibytes(r["peak_bytes"]),
    "trunk": lambda r: _optional(r["trunk_difference"], "{:.0e}".format),
    "heads": lambda r: _optional(r["heads_difference"], "{:.0e}".format),
}


class KerasStep:
    """A training step of a `MultiTaskModel`, with `train_on_batch`."""

    def __init__(self, case, batch, optimizer, arguments):
        from keras_vatt.training import MultiTaskModel

        inputs, _, outputs = keras_layers(case)
        self.model = MultiTaskModel(inputs, outputs)
        set_fixed_weights(self.model)
        self.batch = batch
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizers = {
            "adam": lambda: keras.optimizers.Adam(1e-3, epsilon=1e-7),
            "sgd": lambda: keras.optimizers.SGD(0.1),
        }
        losses = dict.fromkeys(case.task_names, loss)
        self.model.compile(optimizers[optimizer](), loss=losses, **arguments)

    def run(self):
        self.model.train_on_batch(*self.batch)

    def weights(self):
        """Returns the weights as `PlainMultiTask.weights_by_name` does."""
        return {
            "/".join(v.path.split("/")[-2:]): keras.ops.convert_to_numpy(v).copy()
            for v in self.model.trainable_variables
        }


class Worker:
    """A process that has one step ready.

    On PyTorch it is a fork, which shares the memory of the imported libraries.

    Args:
        step: string, one of `STEPS`.
        case: `Case`.
    """

    def __init__(self, step, case):
        context = multiprocessing.get_context("spawn" if step in ON_JAX else "fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, step, case))
        with _environment("KERAS_BACKEND", "jax" if step in ON_JAX else "torch"):
            self.process.start()
        theirs.close()

    def wait(self):
        """Returns when the step is ready.

        Raises:
            ImportError: if the process lacks a library.
        """
        error = self.pipe.recv()
        if error:
            raise ImportError(error)

    def ask(self, *request):
        """Sends a request to the process and returns its answer."""
        self.pipe.send(request)
        return self.pipe.recv()

    def close(self):
        self.process.kill()
        self.process.join()


@contextlib.contextmanager
def _environment(name, value):
    before = os.environ[name]
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ[name] = before


def main():
    arguments = _arguments()
    importlib.import_module("keras_vatt.training")  # Once, before the forks.
    importlib.import_module("torchjd.autogram")
    facts, left_out, results = environment(), [], []
    for trunk in arguments.trunks:
        for num_tasks in arguments.tasks:
            sizes = (QUICK_TRUNKS if arguments.quick else TRUNKS)[trunk]
            case = Case(trunk, num_tasks, **sizes)
            results += measured_case(case, arguments, left_out)
    report = {
        "environment": facts,
        "settings": vars(arguments),
        "results": results,
        "left_out": left_out,
    }
    write(arguments.output, "multi_task_step", report, COLUMNS)


def measured_case(case, arguments, left_out):
    """Returns the results of all steps in one case, a list of dicts."""
    progress(f"{case.trunk} trunk, {case.num_tasks} tasks")
    started = {step: Worker(step, case) for step in arguments.steps}
    try:
        workers = _ready(started, left_out)
        usages = _usages(workers, arguments.rounds)
        updates = _updates(workers)
        peaks = {step: worker.ask("peak") for step, worker in workers.items()}
    finally:
        for worker in started.values():
            worker.close()
    return [
        {
            "trunk": case.trunk,
            "num_tasks": case.num_tasks,
            "step": step,
            "seconds": quartiles([usage.seconds for usage in own]),
            "cpu_seconds": statistics.median(usage.cpu_seconds for usage in own),
            "ours_over_this": _ratios(usages, "ours", step, "seconds"),
            "ours_over_this_cpu": _ratios(usages, "ours", step, "cpu_seconds"),
            "over_plain": _ratios(usages, step, "plain sum", "seconds"),
            "peak_bytes": peaks[step],
            **_differences(updates, step),
        }
        for step, own in usages.items()
    ]


def _ready(started, left_out):
    """Returns those workers that could import their library."""
    workers = {}
    for step, worker in started.items():
        try:
            worker.wait()
        except ImportError as error:
            message = f"{step}: {error}"
            left_out += [] if message in left_out else [message]
        else:
            workers[step] = worker
    return workers


def _usages(workers, rounds):
    """Returns lists of `Usage`s, measured by the processes in turn."""
    usages = {step: [] for step in workers}

    def one_step(step):
        return lambda: usages[step].append(workers[step].ask("run"))

    interleaved({step: one_step(step) for step in workers}, rounds)
    return usages


def _ratios(usages, step, other, field):
    """Returns the quartiles of the ratios in the same round, or `None`."""
    if step not in usages or other not in usages:
        return None
    pairs = zip(usages[step], usages[other], strict=True)
    return quartiles([getattr(a, field) / getattr(b, field) for a, b in pairs])


def _updates(workers):
    """Returns what one step of SGD adds to each weight, by step."""
    return {step: worker.ask("update") for step, worker in workers.items()}


def _differences(updates, step):
    expected = updates.get(EQUAL.get(step))
    differences = {"trunk_difference": None, "heads_difference": None}
    if expected is None:
        return differences
    heads = [name for name in expected if name.startswith("task_")]
    trunk = [name for name in expected if not name.startswith("task_")]
    own = updates[step]
    return {
        "trunk_difference": _difference(own, expected, trunk),
        "heads_difference": _difference(own, expected, heads),
    }


def _difference(own, expected, names):
    """Returns the relative norm of the difference of two updates."""
    squares = [np.sum((own[name] - expected[name]) ** 2) for name in names]
    scale = [np.sum(expected[name] ** 2) for name in names]
    return float(np.sqrt(np.sum(squares) / np.sum(scale)))


def _serve(pipe, step, case):
    """Answers the requests of a `Worker`."""
    try:
        ready = _made(step, case, "adam")
    except ImportError as error:
        pipe.send(str(error))
        return
    for _ in range(3):
        ready.run()
    pipe.send(None)
    answers = {
        "run": lambda: interleaved({"own": ready.run}, 1)["own"][0],
        "peak": lambda: peak_of_step(ready.run),
        "update": lambda: _update(_made(step, case, "sgd")),
    }
    while True:
        (request,) = pipe.recv()
        pipe.send(answers[request]())


def _made(step, case, optimizer):
    batch = random_batch(case)
    if step in PLAIN:
        import multi_task_torch

        function, *values = PLAIN[step]
        write_gradients = getattr(multi_task_torch, function)
        if values:
            write_gradients = write_gradients(*values)
        return multi_task_torch.PlainStep(case, batch, optimizer, write_gradients)
    return KerasStep(case, batch, optimizer, OURS[ON_JAX.get(step, step)])


def _update(ready):
    before = ready.weights()
    ready.run()
    after = ready.weights()
    return {name: after[name].astype("float64") - before[name] for name in before}


def _optional(value, form):
    return "-" if value is None else form(value)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--rounds", type=int, default=11, help="steps that are timed")
    parser.add_argument("--quick", action="store_true", help="use tiny models")
    parser.add_argument("--trunks", nargs="+", choices=TRUNKS, default=list(TRUNKS))
    parser.add_argument("--tasks", nargs="+", type=int, default=[2, 3, 10])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
