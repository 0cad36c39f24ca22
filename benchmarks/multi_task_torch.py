"""Steps of a multi-task model in plain PyTorch: TorchJD's, LibMTL's and by hand.

All train `plain_multi_task.PlainMultiTask`, which uses nothing of Keras. TorchJD is
part of the `test` extra. LibMTL is not: `pip install --no-deps LibMTL==1.1.5`.
"""

import importlib.util
import sys
import types

import keras
import torch
from multi_task_cases import keras_layers, set_fixed_weights
from plain_multi_task import PlainMultiTask

from keras_vatt import harmonization


class PlainStep:
    """A training step of a plain PyTorch model.

    Args:
        case: `multi_task_cases.Case`.
        batch: tuple of the inputs and a dict of the labels, arrays.
        optimizer: string, `"adam"`, or `"sgd"` with learning rate 0.1.
        write_gradients: function `(module, features, labels) -> None` that leaves the
            combined gradient in `.grad` of the module's parameters. It may have an
            attribute `prepare`, a function that is called once with the module.
    """

    def __init__(self, case, batch, optimizer, write_gradients):
        inputs, _, outputs = keras_layers(case)
        model = keras.Model(inputs, outputs)
        set_fixed_weights(model)
        self.module = PlainMultiTask(case, model).train()
        self.inputs = torch.as_tensor(batch[0])
        self.labels = [torch.as_tensor(y).long() for y in batch[1].values()]
        parameters = list(self.module.parameters())
        if optimizer == "adam":
            self.optimizer = torch.optim.Adam(parameters, 1e-3, eps=1e-7, fused=True)
        else:
            self.optimizer = torch.optim.SGD(parameters, 0.1)
        self.write_gradients = write_gradients
        if hasattr(write_gradients, "prepare"):
            write_gradients.prepare(self.module)

    def run(self):
        features = self.module.trunk(self.inputs)
        self.write_gradients(self.module, features, self.labels)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def weights(self):
        return self.module.weights_by_name()


def plain_sum(module, features, labels):
    """Differentiates the sum of the losses: the step without any comparison."""
    sum(module.losses_of(features, labels)).backward()


def by_hand(method):
    """Combines the gradients of the trunk with functions of `keras_vatt`."""
    harmonizer = harmonization.get(method)

    def write_gradients(module, features, labels):
        trunk = list(module.trunk.parameters())
        leaf = features.detach().requires_grad_()
        losses, cotangents = module.losses_of(leaf, labels), []
        for head, loss in zip(module.heads, losses, strict=True):
            own = list(head.parameters())
            *gradients, cotangent = torch.autograd.grad(loss, [*own, leaf])
            _write(own, gradients)
            cotangents.append(cotangent)
        last = len(cotangents) - 1
        gradients = [
            torch.autograd.grad(features, trunk, cotangent, retain_graph=index < last)
            for index, cotangent in enumerate(cotangents)
        ]
        gram = harmonization.gradient_gram(gradients)
        weights, _ = harmonizer(gram)
        _write(trunk, harmonization.combine_gradients(gradients, weights))

    return write_gradients


def torchjd_mtl(method, chunk_size, gramian):
    """Calls `mtl_backward`: a Jacobian of the trunk, a sum for the heads."""
    from torchjd.autojac import jac_to_grad, mtl_backward

    aggregator = _aggregator(method)

    def write_gradients(module, features, labels):
        trunk = list(module.trunk.parameters())
        losses = module.losses_of(features, labels)
        mtl_backward(
            losses,
            features=features,
            tasks_params=[list(head.parameters()) for head in module.heads],
            shared_params=trunk,
            parallel_chunk_size=chunk_size,
        )
        jac_to_grad(
            trunk, aggregator(len(losses)), optimize_gramian_computation=gramian
        )

    return write_gradients


def torchjd_backward(method, chunk_size):
    """Calls `backward`, for a Jacobian of all variables, the heads included."""
    from torchjd.autojac import backward, jac_to_grad

    aggregator = _aggregator(method)

    def write_gradients(module, features, labels):
        losses = module.losses_of(features, labels)
        parameters = list(module.parameters())
        backward(losses, inputs=parameters, parallel_chunk_size=chunk_size)
        jac_to_grad(
            parameters, aggregator(len(losses)), optimize_gramian_computation=True
        )

    return write_gradients


def torchjd_engine(method):
    """Computes the Gram matrix by the `Engine`, then differentiates a weighted sum.

    The weights scale the gradients of the heads, too, unlike in the other steps.
    """
    from torchjd.autogram import Engine

    engines = {}
    aggregator = _aggregator(method)

    def write_gradients(module, features, labels):
        losses = torch.stack(module.losses_of(features, labels))
        gram = engines["engine"].compute_gramian(losses)
        losses.backward(aggregator(len(losses)).gramian_weighting(gram))

    write_gradients.prepare = lambda module: engines.setdefault(
        "engine", Engine(module.trunk, batch_dim=None)
    )
    return write_gradients


def libmtl(method):
    """Calls a weighting of LibMTL with `rep_grad=False`.

    Raises:
        ImportError: if LibMTL is not installed.
    """
    weighting = getattr(_libmtl_weightings(), {"mgda": "MGDA"}[method])

    class Weighting(weighting):
        """The attributes of LibMTL's trainer that its methods read."""

        rep_grad, device = False, "cpu"

        def get_share_params(self):
            return self.trunk.parameters()

        def zero_grad_share_params(self):
            # LibMTL writes to `.grad`, which `zero_grad` of today's PyTorch removes.
            self.trunk.zero_grad(set_to_none=False)

    own = Weighting()

    def write_gradients(module, features, labels):
        own.trunk, own.task_num = module.trunk, len(labels)
        losses = module.losses_of(features, labels)
        own.backward(torch.stack(losses), mgda_gn="none")

    return write_gradients


def _aggregator(method):
    """Returns a function from the number of losses to an aggregator.

    With a preference of ones, UPGrad returns a sum as ours does, not a mean. The
    regularization is ours; TorchJD's default, 1e-4, changes the fourth digit.
    """
    from torchjd import aggregation
    from torchjd.linalg import QuadprogProjector

    cache = {}

    def make(size):
        if method == "mgda":
            return aggregation.MGDA(epsilon=1e-6, max_iters=1000)
        return aggregation.UPGrad(
            pref_vector=torch.ones(size), projector=QuadprogProjector(reg_eps=1e-6)
        )

    def aggregator(size):
        if size not in cache:
            cache[size] = make(size)
        return cache[size]

    return aggregator


def _libmtl_weightings():
    """Imports `LibMTL.weighting` alone: LibMTL's models need an old torchvision."""
    if "LibMTL" not in sys.modules:
        spec = importlib.util.find_spec("LibMTL")
        if spec is None:
            raise ImportError("not installed: pip install --no-deps LibMTL==1.1.5")
        sys.modules["LibMTL"] = package = types.ModuleType("LibMTL")
        package.__path__ = list(spec.submodule_search_locations)
    return importlib.import_module("LibMTL.weighting")


def _write(parameters, gradients):
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
