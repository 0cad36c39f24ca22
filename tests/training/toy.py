"""A harmonized model of a few numbers, whose gradients are known by heart."""

from keras import ops

from keras_vatt.layers import SeededDropout
from keras_vatt.training import Branch, BranchLoss, HarmonizedModel


class ToyModel(HarmonizedModel):
    """One vector of weights per branch; each loss is linear in one branch.

    Branch `name` maps `batch[name]`, of shape `(batch, 3)`, to
    `weights * dropout(batch[name])`. Its loss, `<name>_loss`, is the mean of the
    outputs: its gradient is the mean of the inputs that dropout left, divided by 3, and
    it equals the sum of weights times gradient.

    Args:
        shared: bool. Whether all branches have the same weights. Defaults to `False`.
        dropout: float. Defaults to `0.0`.
    """

    names = ("first", "second")

    def __init__(self, shared=False, dropout=0.0):
        super().__init__()
        kernels = [
            self.add_weight(shape=(3,), initializer="ones", name=name)
            for name in (self.names[:1] if shared else self.names)
        ]
        self.kernels = dict(zip(self.names, kernels * len(self.names), strict=False))
        self.dropout = SeededDropout(dropout)
        self.built = True

    def branches(self):
        def encode_with(name):
            def encode(batch, training):
                return self.dropout(batch[name], training=training) * self.kernels[name]

            return encode

        return {
            name: Branch((name,), encode_with(name), lambda x, training: x)
            for name in self.kernels
        }

    def branch_losses(self):
        def mean_of(name):
            return lambda outputs, batch: ops.mean(outputs[name], axis=-1)

        return [
            BranchLoss(f"{name}_loss", (name,), 1.0, mean_of(name))
            for name in self.kernels
        ]
