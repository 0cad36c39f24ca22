"""The model of a run as it is evaluated and saved."""

from keras_vatt._keras_internals import averaged_weights, keep_averages_apart
from keras_vatt.models import VATT
from keras_vatt.pretraining._devices import whole_array


def start_averages(model):
    """Starts the moving averages of the weights, if the optimizer computes them.

    Keras starts them at the weights after the first step that is applied. Until then
    they would be zeros, and a run whose steps are all skipped would end with these.
    The weights of the model are never replaced by the averages, see `EvaluatedModel`.

    Args:
        model: compiled `keras_vatt.VATT`.
    """
    keep_averages_apart(model.optimizer)
    for weight, average in averaged_weights(model.optimizer):
        # A copy: JAX donates the memory of both to the first step.
        average.assign(whole_array(weight.value))


class EvaluatedModel:
    """The model of a run on one device, with the averages of its weights.

    It is the model itself if that is on one device and there are no averages; else a
    copy, so that training continues with the weights themselves.

    Args:
        scope: `DeviceScope` in which the model is made.
    """

    def __init__(self, scope):
        self.scope = scope
        self._copy = None

    def update(self, model):
        """Returns the model to evaluate and to save, with the weights of this moment.

        All processes of a run must call it, as each may hold a part of the weights.

        Args:
            model: compiled `keras_vatt.VATT`, always the same one.

        Returns:
            `keras_vatt.VATT` for use outside of `scope`.
        """
        averages = averaged_weights(model.optimizer)
        if self.scope.make is None and not averages:
            return model
        if self._copy is None:
            self._copy = self.scope.outside(VATT.from_config, model.get_config())
        sources = {id(weight): average for weight, average in averages}
        for target, variable in zip(self._copy.variables, model.variables, strict=True):
            source = sources.get(id(variable), variable)
            target.assign(whole_array(source.value))
        return self._copy
