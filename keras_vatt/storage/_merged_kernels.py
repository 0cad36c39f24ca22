"""Merges LoRA into the kernels of a model that is saved."""

import dataclasses

import keras

from keras_vatt.storage._preset_files import PresetError
from keras_vatt.storage._tensor_names import named_variables


@dataclasses.dataclass(frozen=True)
class MergedKernel:
    """The kernel of a layer with LoRA merged into it, computed on access.

    Attributes:
        layer: a `keras.layers.Dense` with LoRA.
    """

    layer: keras.layers.Dense

    @property
    def shape(self):
        return self.layer._kernel.shape

    @property
    def dtype(self):
        return self.layer._kernel.dtype

    @property
    def value(self):
        # Not `layer.kernel`, which mixed precision rounds to the compute dtype.
        layer = self.layer
        scale = layer.lora_alpha / layer.lora_rank
        change = keras.ops.matmul(layer.lora_kernel_a.value, layer.lora_kernel_b.value)
        kernel = keras.ops.cast(layer._kernel.value, change.dtype) + scale * change
        return keras.ops.cast(kernel, self.dtype)


def tensors_to_save(model):
    """Returns the weights of a model by stable name, with LoRA merged.

    They are those of `named_variables`, except for layers with LoRA: the product of the
    LoRA matrices is added to the kernel. A model without LoRA loads them and has the
    same outputs.

    Args:
        model: a VATT model or backbone; see `named_variables`.

    Returns:
        Dict from name to an object with a `shape`, a `dtype` and a `value`.

    Raises:
        PresetError: if a quantized layer has LoRA: the sum would be rounded again.
    """
    tensors = named_variables(model)
    names = {id(variable): name for name, variable in tensors.items()}
    for layer in model._flatten_layers():
        if not getattr(layer, "lora_enabled", False):
            continue
        if layer.quantization_mode is not None:
            raise PresetError(
                "LoRA can't be merged into quantized weights without changing the "
                "outputs. Save only the LoRA weights with "
                "`backbone.save_lora_weights(path)` and load them into the quantized "
                "preset, or train LoRA before you quantize the model."
            )
        tensors[names[id(layer._kernel)]] = MergedKernel(layer)
        del tensors[names[id(layer.lora_kernel_a)]]
        del tensors[names[id(layer.lora_kernel_b)]]
    return tensors
