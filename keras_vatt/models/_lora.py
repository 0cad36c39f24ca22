"""LoRA for backbones."""

from collections.abc import Sequence

import keras

from keras_vatt._keras_internals import all_layers


class TrainsLora:
    """Mixin of the backbones that are trained with LoRA."""

    def enable_lora(
        self, rank: int, target_layer_names: Sequence[str] | None = None
    ) -> None:
        """Freezes the backbone and adds trainable low-rank matrices (LoRA).

        Each target layer, a Dense layer, gets two matrices whose product is added to
        its kernel. The product is zero at first, so the outputs don't change. All other
        weights of the backbone are frozen, biases included. Compile the model
        afterwards.

        `save_lora_weights("mine.lora.h5")` saves only these matrices, and
        `load_lora_weights` loads them into the same backbone. A preset or a `.keras`
        file of the whole model holds the sum of kernel and product: the loaded model
        has the same outputs, and no LoRA.

        Args:
            rank: int. Rank of the product.
            target_layer_names: list of strings, names of Dense layers: `"query"`,
                `"key"`, `"value"` and `"output"` of the attention, `"inner"` and
                `"outer"` of the MLP. Defaults to `None`, `"query"` and `"value"` of
                all blocks.

        Raises:
            ValueError: if the rank is not a positive int, LoRA is already enabled, or
                a name is not that of a Dense layer.

        Example:
        ```python
        classifier.backbone.enable_lora(rank=4)
        classifier.compile(optimizer="adam", loss=loss)
        classifier.fit(waveforms, labels, epochs=3)
        classifier.backbone.save_lora_weights("mine.lora.h5")
        ```
        """
        names = target_layer_names or self.default_lora_layer_names()
        targets = [
            layer
            for layer in all_layers(self, include_self=False)
            if layer.name in names and hasattr(layer, "enable_lora")
        ]
        _check(rank, target_layer_names, targets)
        super().enable_lora(rank, target_layer_names)
        for layer in targets:
            if layer.bias is not None:
                layer.bias.trainable = False  # LoRA weight files don't hold it.


def _check(rank, names, targets):
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f"`rank` must be a positive int. Received: rank={rank}")
    if not targets or not all(isinstance(t, keras.layers.Dense) for t in targets):
        raise ValueError(
            "`target_layer_names` must be names of Dense layers of the backbone. "
            f"Received: target_layer_names={names}"
        )
    if any(layer.lora_enabled for layer in targets):
        raise ValueError(
            "LoRA is already enabled on this backbone. Load the model again to use "
            "another rank or other layers."
        )
