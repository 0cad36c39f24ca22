"""The models of `multi_task_cases.py` as PyTorch modules, without Keras' layers."""

from torch import nn
from torch.nn import functional


class PlainMultiTask(nn.Module):
    """A trunk and one head per task, in the layout that is usual in PyTorch.

    Args:
        case: `multi_task_cases.Case`.
        model: Keras model of this case, whose weights are copied.
    """

    def __init__(self, case, model):
        super().__init__()
        trunk = _Transformer if case.trunk == "transformer" else _Convolutions
        self.trunk = trunk(case, model)
        self.heads = nn.ModuleList(
            nn.Sequential(
                _dense(model.get_layer(f"{name}_hidden")),
                nn.ReLU(),
                _dense(model.get_layer(name)),
            )
            for name in case.task_names
        )

    def losses_of(self, features, labels):
        """Returns the list of the losses of all tasks."""
        return [
            functional.cross_entropy(head(features), own)
            for head, own in zip(self.heads, labels, strict=True)
        ]

    def forward(self, inputs, labels):
        return self.losses_of(self.trunk(inputs), labels)

    def weights_by_name(self):
        """Returns arrays in the layout of Keras, by `layer/variable` as in Keras."""
        weights = {}
        for module in self.modules():
            if hasattr(module, "keras_name"):
                name, (first, second) = module.keras_name
                weights[f"{name}/{first}"] = _keras_layout(module.weight.detach())
                weights[f"{name}/{second}"] = module.bias.detach()
        return {name: weight.numpy().copy() for name, weight in weights.items()}


class _Convolutions(nn.Sequential):
    def __init__(self, case, model):
        layers = []
        for stage in range(len(case.widths)):
            layers += [nn.AvgPool2d(2)] if stage else []
            for index in range(2):
                layer = model.get_layer(f"convolution_{stage}_{index}")
                layers += [_convolution(layer), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2))


class _Transformer(nn.Module):
    def __init__(self, case, model):
        super().__init__()
        self.stem = _dense(model.get_layer("stem"))
        names = [f"block_{index}" for index in range(len(case.widths))]
        self.blocks = nn.Sequential(*(_Block(model, name) for name in names))
        self.norm = _layer_norm(model.get_layer("norm"))

    def forward(self, x):
        return self.norm(self.blocks(self.stem(x))).mean(dim=1)


class _Block(nn.Module):
    def __init__(self, model, name):
        super().__init__()
        parts = ("query", "key", "value", "output", "inner", "outer")
        self.norm_1 = _layer_norm(model.get_layer(f"{name}_norm_1"))
        self.norm_2 = _layer_norm(model.get_layer(f"{name}_norm_2"))
        for part in parts:
            setattr(self, part, _dense(model.get_layer(f"{name}_{part}")))

    def forward(self, x):
        normed = self.norm_1(x)
        attended = functional.scaled_dot_product_attention(
            *(_split(layer(normed)) for layer in (self.query, self.key, self.value))
        )
        x = x + self.output(attended.transpose(1, 2).flatten(2))
        hidden = functional.gelu(self.inner(self.norm_2(x)))
        return x + self.outer(hidden)


def _split(x):
    return x.unflatten(-1, (-1, 16)).transpose(1, 2)


def _dense(dense):
    layer = nn.Linear(*dense.kernel.shape)
    layer.weight = nn.Parameter(_values(dense.kernel).T.contiguous())
    layer.bias = nn.Parameter(_values(dense.bias))
    layer.keras_name = dense.name, ("kernel", "bias")
    return layer


def _convolution(convolution):
    *_, channels, filters = convolution.kernel.shape
    layer = nn.Conv2d(channels, filters, 3, padding=1)
    kernel = _values(convolution.kernel).permute(3, 2, 0, 1)
    layer.weight = nn.Parameter(kernel.contiguous())
    layer.bias = nn.Parameter(_values(convolution.bias))
    layer.keras_name = convolution.name, ("kernel", "bias")
    return layer


def _layer_norm(norm):
    layer = nn.LayerNorm(norm.gamma.shape, norm.epsilon)
    layer.weight = nn.Parameter(_values(norm.gamma))
    layer.bias = nn.Parameter(_values(norm.beta))
    layer.keras_name = norm.name, ("gamma", "beta")
    return layer


def _values(variable):
    return variable.value.detach().clone()


def _keras_layout(parameter):
    if parameter.ndim == 4:
        return parameter.permute(2, 3, 1, 0)
    return parameter.T if parameter.ndim == 2 else parameter
