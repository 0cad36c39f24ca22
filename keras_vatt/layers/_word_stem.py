"""Embedding of word ids as the tokens of a transformer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.layers._aggregation_token import AggregationToken
from keras_vatt.layers._dense_activation import dense_activation
from keras_vatt.layers._dropout import SeededDropout
from keras_vatt.layers._inner_call import call_inner
from keras_vatt.layers._position_embedding import AxialPositionEmbedding


@keras.saving.register_keras_serializable(package="keras_vatt")
class WordStem(keras.layers.Layer):
    """Word embedding, projection, positions and aggregation token.

    The two text towers of VATT apply them in different orders:

    - modality-agnostic (`position_size` given): a Dense layer with bias and
      activation, learned positions, then the aggregation token of width
      `hidden_dim`;
    - modality-specific, T5-style (`position_size=None`): the aggregation token
      of the word vectors' width, a Dense layer without bias, its activation, and
      dropout. It has no positions: the encoder has a relative position bias
      instead.

    Args:
        vocabulary_size: int. Number of words; id 0 is padding.
        embedding_dim: int. Width of the word vectors.
        hidden_dim: int. Width of the tokens.
        position_size: int. Length of the position table, in words; `None` for
            the T5-style tower. Defaults to `None`.
        trainable_embedding: bool. Whether the word vectors are trained. VATT uses
            fixed word2vec vectors. Defaults to `False`.
        dropout: float. Dropout rate. Defaults to `0.0`.
        layer_norm_epsilon: float. Epsilon of the positions' norm. Defaults to
            `1e-6`.
        projection: bool. Whether there is a Dense layer; without it `embedding_dim`
            must be `hidden_dim`. Defaults to `True`.
        aggregation: bool. Whether there is an aggregation token. Defaults to `True`.
        activation: string. Activation of the Dense layer. Defaults to `"gelu"`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Raises:
        ValueError: if the widths differ without a projection.

    Call arguments:
        word_ids: int tensor of shape `(rows, words)`.
        training: bool. Whether dropout is active.

    Returns:
        Tensor of shape `(rows, 1 + words, hidden_dim)`, or `(rows, words, hidden_dim)`
        without an aggregation token.

    Example:
    ```python
    stem = keras_vatt.layers.WordStem(1000, 300, 64, position_size=16)
    stem(np.ones((2, 16), "int32")).shape  # (2, 17, 64)
    ```
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        hidden_dim: int,
        position_size: int | None = None,
        trainable_embedding: bool = False,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-6,
        projection: bool = True,
        aggregation: bool = True,
        activation: str = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not projection and embedding_dim != hidden_dim:
            raise ValueError(
                "Without a projection, the word vectors must have the width of the "
                f"tokens. Received: embedding_dim={embedding_dim}, "
                f"hidden_dim={hidden_dim}"
            )
        self.has_projection = projection
        self.has_aggregation_token = aggregation
        self.activation = activation
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.position_size = position_size
        self.trainable_embedding = trainable_embedding
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        policy = self.dtype_policy
        has_positions = self.position_size is not None
        vectors_shape = (None, None, self.embedding_dim)
        tokens_shape = (None, None, self.hidden_dim)
        self.embedding = keras.layers.Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            trainable=self.trainable_embedding,
            dtype=policy,
            name="embedding",
        )
        self.embedding.build(input_shape)
        self.projection = None
        if self.has_projection:
            self.projection = keras.layers.Dense(
                self.hidden_dim,
                activation=dense_activation(self.activation),
                use_bias=has_positions,
                dtype=policy,
                name="projection",
            )
            self.projection.build(vectors_shape)
        self.aggregation_token = None
        if self.has_aggregation_token:
            self.aggregation_token = AggregationToken(
                dtype=policy, name="aggregation_token"
            )
            shape = tokens_shape if has_positions else vectors_shape
            self.aggregation_token.build(shape)
        self.positions = None
        self.output_dropout = None
        if has_positions:
            self.positions = AxialPositionEmbedding(
                (self.position_size,),
                layer_norm_epsilon=self.layer_norm_epsilon,
                dropout=self.dropout,
                dtype=policy,
                name="positions",
            )
            self.positions.build(tokens_shape)
        else:
            self.output_dropout = SeededDropout(
                self.dropout, dtype=policy, name="dropout"
            )

    def call(self, word_ids: Any, training: bool | None = None) -> Any:
        vectors = self.embedding(word_ids)
        if self.positions is None:
            tokens = self._projected(self._aggregated(vectors))
            return call_inner(self.output_dropout, tokens, training=training)
        vectors = self._projected(vectors)
        tokens = call_inner(self.positions, vectors, training=training)
        return self._aggregated(tokens)

    def _projected(self, x):
        return x if self.projection is None else call_inner(self.projection, x)

    def _aggregated(self, x):
        if self.aggregation_token is None:
            return x
        return call_inner(self.aggregation_token, x)

    def attention_mask(self, word_ids: Any) -> Any:
        """Returns the bool mask of the tokens, `(rows, tokens)`."""
        if self.aggregation_token is None:
            return ops.not_equal(word_ids, 0)
        with_aggregation = ops.pad(word_ids, ((0, 0), (1, 0)), constant_values=1)
        return ops.not_equal(with_aggregation, 0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "vocabulary_size": self.vocabulary_size,
                "embedding_dim": self.embedding_dim,
                "hidden_dim": self.hidden_dim,
                "position_size": self.position_size,
                "trainable_embedding": self.trainable_embedding,
                "dropout": self.dropout,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "projection": self.has_projection,
                "aggregation": self.has_aggregation_token,
                "activation": self.activation,
            }
        )
        return config
