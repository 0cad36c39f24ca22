"""Training steps on PyTorch: the library's, hand-written, TorchJD's and LibMTL's.

All but the library's train `plain_torch.PlainVATT`, which uses nothing of Keras.
"""

import torch
from keras import ops
from plain_torch import PlainVATT
from scheme import Scheme, realigned


def train_step(model, batch):
    """Returns the model's own train step."""
    batch = _tensors(batch)

    def gradients():
        return [ops.convert_to_numpy(kept) for kept in model.optimizer.kept]

    return Scheme(lambda: model.train_step(batch), gradients)


def hand_written(model, batch, adam):
    """Returns the plain step of a user: autograd and maybe `torch.optim.Adam`."""
    batch, plain = _tensors(batch), PlainVATT(model).train()
    parameters = _trained(plain)
    optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7)

    def step():
        sum(plain.losses(batch)).backward()
        if not adam:
            return _taken(parameters)
        optimizer.step()
        optimizer.zero_grad()
        return None

    return Scheme(step) if adam else _scheme(step)


def rivals(model, batch):
    """Returns other ways to the harmonized gradient, as functions by name."""
    batch, plain = _tensors(batch), PlainVATT(model).train()
    parameters = _trained(plain)
    makers = {
        "naive two passes": lambda: _two_passes(plain, batch, parameters),
        "hand-written harmonized": lambda: _two_gradients(plain, batch, parameters),
        "TorchJD PCGrad": lambda: _torchjd(plain, batch, parameters, None),
        "TorchJD PCGrad, chunk 1": lambda: _torchjd(plain, batch, parameters, 1),
        "TorchJD mtl_backward": lambda: _mtl_backward(plain, batch, parameters),
        "LibMTL PCGrad": lambda: _libmtl(plain, batch, parameters),
    }
    return {name: lambda make=make: _scheme(make()) for name, make in makers.items()}


def _trained(plain):
    return [p for p in plain.parameters() if p.requires_grad]


def _tensors(batch):
    return {name: torch.as_tensor(value) for name, value in batch.items()}


def _scheme(step):
    def gradients():
        return [ops.convert_to_numpy(gradient) for gradient in step()]

    return Scheme(step, gradients)


def _two_passes(plain, batch, parameters):
    """Runs a separate forward pass for each loss and its two modalities."""

    def gradient(other):
        names = ("video", other)
        pooled = {name: plain.pooled(name, batch[name]) for name in names}
        (loss,) = plain.losses_of(pooled)
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    return lambda: realigned([gradient("audio"), gradient("text")])


def _two_gradients(plain, batch, parameters):
    """Runs one forward pass, and `torch.autograd.grad` for each loss."""

    def step():
        first, second = plain.losses(batch)
        return realigned(
            [
                torch.autograd.grad(
                    first, parameters, retain_graph=True, allow_unused=True
                ),
                torch.autograd.grad(second, parameters, allow_unused=True),
            ]
        )

    return step


def _torchjd(plain, batch, parameters, chunk_size):
    from torchjd.aggregation import PCGrad
    from torchjd.autojac import backward, jac_to_grad

    aggregator = PCGrad()

    def step():
        losses = plain.losses(batch)
        backward(losses, inputs=parameters, parallel_chunk_size=chunk_size)
        jac_to_grad(parameters, aggregator)
        return _taken(parameters)

    return step


def _mtl_backward(plain, batch, parameters):
    """Compares the gradients of the towers only; those of the heads are summed."""
    from torchjd.aggregation import PCGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    aggregator = PCGrad()
    heads = [[*parts] for parts in plain.head_parameters()]
    in_heads = {id(parameter) for parts in heads for parameter in parts}
    towers = [p for p in parameters if id(p) not in in_heads]

    def step():
        pooled = plain(batch)
        mtl_backward(
            plain.losses_of(pooled),
            features=list(pooled.values()),
            tasks_params=heads,
            shared_params=towers,
            retain_graph=True,  # Some layers of the heads are used by both losses.
        )
        jac_to_grad(towers, aggregator)
        return _taken(parameters)

    return step


def _libmtl(plain, batch, parameters):
    from LibMTL.weighting import PCGrad

    class Surgery(PCGrad):
        """The attributes of LibMTL's trainer that its weighting methods read."""

        task_num, rep_grad, device = 2, False, "cpu"

        def get_share_params(self):
            return parameters

        def zero_grad_share_params(self):
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.zero_()

    surgery = Surgery()

    def step():
        surgery.backward(plain.losses(batch))
        return _taken(parameters)

    return step


def _taken(parameters):
    """Returns the gradients that a library left in `.grad`, and clears them."""
    gradients = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return gradients
