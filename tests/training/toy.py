"""A harmonized model of a few numbers, whose gradients are known by heart."""

from keras import ops

from keras_vatt.layers import SeededDropout
from keras_vatt.training import Branch, BranchLoss, HarmonizedModel


class ToyModel(HarmonizedModel):
    """One vector of weights per branch; each loss is linear in one branch.

    Branch `name` maps `batch[name]`, of shape `(batch, dim)`, to
    `weights * dropout(batch[name])`. Its loss, `<name>_loss`, is the mean of the
    outputs: its gradient is the mean of the inputs that dropout left, and it equals
    the sum of weights times gradient.
    """

    def __init__(self, names=("first", "second"), dim=3, dropout=0.0):
        super().__init__()
        self.kernels = {
            name: self.add_weight(shape=(dim,), initializer="ones", name=name)
            for name in names
        }
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
