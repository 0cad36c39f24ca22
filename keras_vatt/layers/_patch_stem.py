"""Embedding of frames or waveforms as the tokens of a transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_vatt.layers._aggregation_token import AggregationToken
from keras_vatt.layers._dense_activation import dense_activation
from keras_vatt.layers._drop_token import DropToken
from keras_vatt.layers._inner_call import call_inner
from keras_vatt.layers._position_embedding import AxialPositionEmbedding

_CONVOLUTIONS = {1: keras.layers.Conv1D, 3: keras.layers.Conv3D}


@keras.saving.register_keras_serializable(package="keras_vatt")
class PatchStem(keras.layers.Layer):
    """Patch embedding, positions, DropToken and aggregation token.

    The patch embedding is a convolution: over time, rows and columns for video, and
    over time for a waveform. Its stride is its kernel size unless `patch_stride` is
    given. An incomplete patch at the end of an axis is dropped.

    Args:
        hidden_dim: int. Width of the tokens.
        patch_size: tuple of ints. Extent of a patch: `(frames, rows, columns)`
            for video, `(samples,)` for audio.
        position_sizes: tuple of ints. Length of each axis' position table, in
            patches.
        projection: bool. Whether a Dense layer follows the patch embedding, as in
            the modality-agnostic model. Defaults to `False`.
        keep_rate: float. Fraction of the tokens that DropToken keeps in training.
            Defaults to `0.5`.
        dropout: float. Dropout rate after the positions. Defaults to `0.0`.
        layer_norm_epsilon: float. Epsilon of the positions' norm. Defaults to
            `1e-6`.
        patch_stride: tuple of ints. Distance between the starts of two patches. A
            smaller one than `patch_size` makes patches overlap. Defaults to `None`,
            `patch_size`.
        activation: string. Activation of the projection. Defaults to `"gelu"`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        x: float tensor of shape `(batch, frames, height, width, 3)` or
            `(batch, samples, 1)`.
        training: bool. Whether dropout and DropToken are active.

    Returns:
        Tensor of shape `(batch, 1 + tokens, hidden_dim)`.

    Example:
    ```python
    stem = keras_vatt.layers.PatchStem(64, (128,), (1200,))
    stem(np.ones((2, 153_600, 1), "float32")).shape  # (2, 1201, 64)
    ```
    """

    def __init__(
        self,
        hidden_dim: int,
        patch_size: Sequence[int],
        position_sizes: Sequence[int],
        projection: bool = False,
        keep_rate: float = 0.5,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-6,
        patch_stride: Sequence[int] | None = None,
        activation: str = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.patch_size = tuple(patch_size)
        self.position_sizes = tuple(position_sizes)
        self.has_projection = projection
        self.keep_rate = keep_rate
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.patch_stride = tuple(patch_stride or patch_size)
        self.activation = activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        policy = self.dtype_policy
        tokens_shape = (None, *[None] * len(self.patch_size), self.hidden_dim)
        self.patch_embedding = _CONVOLUTIONS[len(self.patch_size)](
            self.hidden_dim,
            self.patch_size,
            strides=self.patch_stride,
            dtype=policy,
            name="patch_embedding",
        )
        self.patch_embedding.build(input_shape)
        self.projection = None
        if self.has_projection:
            self.projection = keras.layers.Dense(
                self.hidden_dim,
                activation=dense_activation(self.activation),
                dtype=policy,
                name="projection",
            )
            self.projection.build(tokens_shape)
        self.positions = AxialPositionEmbedding(
            self.position_sizes,
            layer_norm_epsilon=self.layer_norm_epsilon,
            dropout=self.dropout,
            dtype=policy,
            name="positions",
        )
        self.positions.build(tokens_shape)
        self.drop_token = DropToken(
            math.prod(self.position_sizes),
            self.keep_rate,
            dtype=policy,
            name="drop_token",
        )
        self.aggregation_token = AggregationToken(
            dtype=policy, name="aggregation_token"
        )
        self.aggregation_token.build((None, None, self.hidden_dim))

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = call_inner(self.patch_embedding, x)
        if self.projection is not None:
            x = call_inner(self.projection, x)
        x = call_inner(self.positions, x, training=training)
        x = call_inner(self.drop_token, x, training=training)
        return call_inner(self.aggregation_token, x)

    def grid(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """Returns the number of patches along each axis of an input."""
        axes = zip(input_shape[1:-1], self.patch_size, self.patch_stride, strict=True)
        return tuple(
            (extent - patch) // stride + 1 if extent >= patch else 0
            for extent, patch, stride in axes
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "hidden_dim": self.hidden_dim,
                "patch_size": self.patch_size,
                "position_sizes": self.position_sizes,
                "projection": self.has_projection,
                "keep_rate": self.keep_rate,
                "dropout": self.dropout,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "patch_stride": self.patch_stride,
                "activation": self.activation,
            }
        )
        return config
