"""The numbers of the frozen layers of a model, for the file that it is saved in.

A layer's own config has it too, but Keras makes the layers of a subclassed model again
and leaves them trainable. Then a loaded model would train what was frozen, and Keras
would drop the optimizer's state, which is that of other weights.
"""

from keras_vatt._keras_internals import all_layers


def frozen_layers(model):
    """Returns the numbers of the frozen layers of a model, in the order of its layers.

    Args:
        model: a built `keras.Model`.

    Returns:
        List of ints; empty for a model with LoRA, which is saved without it.
    """
    layers = _layers(model)
    if any(getattr(layer, "lora_enabled", False) for layer in layers):
        return []
    return [number for number, layer in enumerate(layers) if not layer.trainable]


def freeze_layers(model, numbers):
    """Freezes the layers that `frozen_layers` has found, and no others.

    Args:
        model: a built `keras.Model` of the same form.
        numbers: list of ints.

    Raises:
        ValueError: if the model has no such layers.
    """
    layers, numbers = _layers(model), set(numbers)
    if not numbers <= set(range(len(layers))):
        raise ValueError(
            f"The frozen layers that were saved are not those of this {len(layers)}-"
            f"layer model. Received: {sorted(numbers)}"
        )
    for number in numbers:
        layers[number].trainable = False
    # Freezing a layer has frozen the layers in it.
    for number, layer in enumerate(layers):
        if number not in numbers and not layer.trainable:
            layer.trainable = True


def _layers(model):
    return all_layers(model, include_self=False)
