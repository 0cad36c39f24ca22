"""Names of a model's tensors, the same on every backend and in every release."""

import keras


def named_variables(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Returns the weights of a model by stable name.

    The name of a weight is its place in the model, such as
    `backbone/encoder/block_0/attention/query/kernel`. It does not depend on the backend
    or on the names that users give to models.

    Args:
        model: a VATT backbone, or a task with a `weight_groups` method.

    Returns:
        Dict from name to `keras.Variable`, in the order of `model.weights`.
    """
    groups = {"backbone": model}
    if hasattr(model, "weight_groups"):
        groups = model.weight_groups()
    return {
        f"{group}/{variable.path.removeprefix(layer.path + '/')}": variable
        for group, layer in groups.items()
        for variable in layer.weights
    }
