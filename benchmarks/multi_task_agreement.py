"""Trains the same models with the library and with TorchJD, and compares the runs.

    KERAS_BACKEND=torch python benchmarks/multi_task_agreement.py

Both have the same layers, initial weights, batches and Keras optimizer. TorchJD
computes the Jacobian with `autojac.backward` and the weights with `jac_to_grad`, of the
shared layers; the gradients of the heads get the same weights. TorchJD's weights are
scaled to those of the library: UPGrad's preference is a vector of ones, and CAGrad's
weights are multiplied by the number of losses. The table has the largest relative
difference between the losses of both runs, in the first and in all steps (the
difference in rounding grows from step to step), and the test scores of both.
"""

import argparse

import keras
import numpy as np
import torch
from multi_task_problems import BATCH_SIZE, PROBLEMS, all_batches, initial_weights
from torchjd import aggregation
from torchjd.autojac import backward, jac_to_grad
from torchjd.linalg import QuadprogProjector

from keras_vatt import harmonization
from keras_vatt.training import MultiTaskModel

_FIRST_STEPS = 20
# The regularization of ours, where TorchJD's default is larger.
_PROJECTOR = {"projector": QuadprogProjector(reg_eps=1e-6, norm_eps=1e-30)}
METHODS = {
    "sum": (harmonization.Sum, lambda size: aggregation.Sum(), False),
    "pcgrad": (harmonization.PCGrad, lambda size: aggregation.PCGrad(), False),
    "upgrad": (
        harmonization.UPGrad,
        lambda size: aggregation.UPGrad(torch.ones(size), **_PROJECTOR),
        False,
    ),
    "mgda": (
        harmonization.MGDA,
        lambda size: aggregation.MGDA(epsilon=1e-8, max_iters=1000),
        False,
    ),
    "imtlg": (harmonization.IMTLG, lambda size: aggregation.IMTLG(), False),
    "cagrad": (
        lambda: harmonization.CAGrad(c=0.4),
        lambda size: aggregation.CAGrad(c=0.4, norm_eps=1e-30),
        True,
    ),
}


def main():
    arguments = _arguments()
    columns = ["problem", "method", "seed", "steps", "first steps", "all steps"]
    print("| " + " | ".join([*columns, "ours", "TorchJD"]) + " |")
    print("|---" * 8 + "|")
    for name in arguments.problems:
        for method in arguments.methods:
            for seed in arguments.seeds:
                print(_row(name, method, seed), flush=True)


def _row(name, method, seed):
    ours, own_scores = _run(name, method, seed, _our_step)
    theirs, their_scores = _run(name, method, seed, _torchjd_step)
    differences = np.max(np.abs(ours - theirs) / theirs, axis=1)
    cells = [name, method, str(seed), str(len(ours))]
    cells += [f"{differences[:_FIRST_STEPS].max():.0e}", f"{differences.max():.0e}"]
    cells += [_scores(own_scores), _scores(their_scores)]
    return "| " + " | ".join(cells) + " |"


def _run(name, method, seed, make_step):
    """Returns the losses of all steps, of shape `(steps, losses)`, and the scores."""
    problem = PROBLEMS[name]
    parts = problem.examples(seed)
    inputs, targets = all_batches(*parts["train"], problem.epochs, seed)
    model = problem.model(MultiTaskModel, inputs.shape[1:])
    model.set_weights(initial_weights(model, seed))
    step = make_step(model, problem, method)
    losses = []
    for start in range(0, len(inputs), BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        losses.append(step(inputs[rows], {k: v[rows] for k, v in targets.items()}))
    inputs, targets = parts["test"]
    outputs = model.predict(inputs, batch_size=500, verbose=0)
    return np.array(losses), problem.scores(outputs, targets)


def _our_step(model, problem, method):
    harmonizer, _, _ = METHODS[method]
    model.compile(
        keras.optimizers.Adam(0.003),
        loss=problem.losses(),
        harmonizer=harmonizer(),
        harmonized_variables="shared",
    )

    def step(inputs, targets):
        model.reset_metrics()  # The logs of this batch alone.
        logs = model.train_on_batch(inputs, targets, return_dict=True)
        return [float(logs[f"{task}_loss"]) for task in problem.tasks]

    return step


def _torchjd_step(model, problem, method):
    optimizer, losses = keras.optimizers.Adam(0.003), problem.losses()
    optimizer.build(model.trainable_variables)
    _, aggregator, is_mean = METHODS[method]
    aggregator = aggregator(len(losses))
    variables = model.trainable_variables
    heads = [v.value for v in variables if v.path.split("/")[-2] in problem.tasks]
    of_heads = {id(parameter) for parameter in heads}
    trunk = [v.value for v in variables if id(v.value) not in of_heads]

    def step(inputs, targets):
        outputs = model(torch.as_tensor(inputs), training=True)
        values = [
            loss(torch.as_tensor(targets[task]), outputs[task])
            for task, loss in losses.items()
        ]
        backward(values, inputs=[*trunk, *heads], parallel_chunk_size=1)
        weights = jac_to_grad(trunk, aggregator)
        for parameter in heads:
            parameter.grad = torch.tensordot(weights, parameter.jac, dims=1)
            del parameter.jac
        scale = len(values) if is_mean else 1
        gradients = [scale * variable.value.grad for variable in variables]
        with torch.no_grad():
            optimizer.apply(gradients, variables)
        for variable in variables:
            variable.value.grad = None
        return [value.item() for value in values]

    return step


def _scores(scores):
    return ", ".join(f"{score:.2f}" for score in scores)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", nargs="+", default=["digits", "overlaid"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    return parser.parse_args()


if __name__ == "__main__":
    main()
