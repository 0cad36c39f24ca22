"""An optimizer that keeps the gradient."""

import keras


class GradientKeeper(keras.optimizers.Optimizer):
    """Stores each gradient and changes no weight.

    With it a train step is the forward pass, the gradients and their combination:
    what libraries that only combine gradients do. The one copy that it adds stands for
    the `.grad` that those write.
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
