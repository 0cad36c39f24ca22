"""Training steps on PyTorch: the library's, hand-written, TorchJD's and LibMTL's."""

import torch
from keras import ops
from scheme import Scheme, branch_loss_value, realigned


def train_step(model, batch):
    """Returns the model's own train step."""
    batch = _tensors(batch)

    def gradients():
        return [ops.convert_to_numpy(kept) for kept in model.optimizer.kept]

    return Scheme(lambda: model.train_step(batch), gradients)


def rivals(model, batch):
    """Returns other ways to the harmonized gradient, as functions by name."""
    batch = _tensors(batch)
    parameters = [variable.value for variable in model.trainable_variables]
    makers = {
        "naive two passes": lambda: _two_passes(model, batch, parameters),
        "hand-written": lambda: _hand_written(model, batch, parameters),
        "TorchJD PCGrad": lambda: _torchjd(model, batch, parameters, None),
        "TorchJD PCGrad, chunk 1": lambda: _torchjd(model, batch, parameters, 1),
        "LibMTL PCGrad": lambda: _libmtl(model, batch, parameters),
    }
    return {name: lambda make=make: _scheme(make()) for name, make in makers.items()}


def _tensors(batch):
    return {name: torch.as_tensor(value) for name, value in batch.items()}


def _scheme(step):
    def gradients():
        return [ops.convert_to_numpy(gradient) for gradient in step()]

    return Scheme(step, gradients)


def _losses(model, batch):
    outputs = {name: branch(batch) for name, branch in model.branches().items()}
    return [branch_loss_value(model, index, outputs, batch) for index in (0, 1)]


def _two_passes(model, batch, parameters):
    """Runs a separate forward pass for each loss and its two modalities."""

    def gradient(index):
        branches = model.branches()
        names = model.branch_losses()[index].branches
        outputs = {name: branches[name](batch) for name in names}
        loss = branch_loss_value(model, index, outputs, batch)
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    return lambda: realigned([gradient(0), gradient(1)])


def _hand_written(model, batch, parameters):
    """Runs one forward pass, and `torch.autograd.grad` for each loss."""

    def step():
        first, second = _losses(model, batch)
        return realigned(
            [
                torch.autograd.grad(
                    first, parameters, retain_graph=True, allow_unused=True
                ),
                torch.autograd.grad(second, parameters, allow_unused=True),
            ]
        )

    return step


def _torchjd(model, batch, parameters, chunk_size):
    from torchjd.aggregation import PCGrad
    from torchjd.autojac import backward, jac_to_grad

    aggregator = PCGrad()

    def step():
        backward(
            _losses(model, batch), inputs=parameters, parallel_chunk_size=chunk_size
        )
        jac_to_grad(parameters, aggregator)
        return _taken(parameters)

    return step


def _libmtl(model, batch, parameters):
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
        surgery.backward(_losses(model, batch))
        return _taken(parameters)

    return step


def _taken(parameters):
    """Returns the gradients that a library left in `.grad`, and clears them."""
    gradients = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return gradients
