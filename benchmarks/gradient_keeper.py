"""An optimizer that stores the gradient."""

import keras


class GradientKeeper(keras.optimizers.Optimizer):
    """Stores each gradient and leaves the weights unchanged.

    With this optimizer, a train step consists of the forward pass, the gradients and
    their combination, which is the work of libraries that only combine gradients. The
    copy that it makes corresponds to the `.grad` that those libraries write.
    """

    def __init__(self, learning_rate=1.0, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.kept = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient, variable, learning_rate):
        self.assign(self.kept[self._get_variable_index(variable)], gradient)
