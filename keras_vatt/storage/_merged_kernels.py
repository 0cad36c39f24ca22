"""What is saved of a model with LoRA: kernels with their changes added."""

import dataclasses

import keras

from keras_vatt._keras_internals import all_layers, own_kernel
from keras_vatt.storage._preset_files import PresetError
from keras_vatt.storage._tensor_names import named_variables


@dataclasses.dataclass(frozen=True)
class MergedKernel:
    """The kernel of a layer with LoRA, which is computed when it is asked for.

    Attributes:
        layer: a `keras.layers.Dense` with LoRA.
    """

    layer: keras.layers.Dense

    @property
    def shape(self):
        return own_kernel(self.layer).shape

    @property
    def dtype(self):
        return own_kernel(self.layer).dtype

    @property
    def value(self):
        # Not Keras' `kernel`, which half precision rounds to the compute dtype.
        layer = self.layer
        scale = layer.lora_alpha / layer.lora_rank
        change = keras.ops.matmul(layer.lora_kernel_a.value, layer.lora_kernel_b.value)
        kernel = keras.ops.cast(own_kernel(layer).value, change.dtype) + scale * change
        return keras.ops.cast(kernel, self.dtype)


def tensors_to_save(model):
    """The weights of a model by stable name, as any model of its kind loads them.

    They are those of `named_variables`, but for layers with LoRA: the product of its
    matrices is added to the kernel, so that the outputs are the same without it.

    Args:
        model: a VATT model or backbone; see `named_variables`.

    Returns:
        Dict from name to what has a `shape`, a `dtype` and a `value`.

    Raises:
        PresetError: if a quantized layer has LoRA, as its sum would have to be rounded
            anew.
    """
    tensors = named_variables(model)
    names = {id(variable): name for name, variable in tensors.items()}
    for layer in all_layers(model):
        if not getattr(layer, "lora_enabled", False):
            continue
        if layer.quantization_mode is not None:
            raise PresetError(
                "LoRA can't be added to quantized weights without changing what the "
                "model says. Save the LoRA weights alone with "
                "`backbone.save_lora_weights(path)`, for the quantized preset as it "
                "was; or train LoRA on the model before it is quantized."
            )
        tensors[names[id(own_kernel(layer))]] = MergedKernel(layer)
        del tensors[names[id(layer.lora_kernel_a)]]
        del tensors[names[id(layer.lora_kernel_b)]]
    return tensors
