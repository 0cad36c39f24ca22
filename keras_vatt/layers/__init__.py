"""The layers of VATT: stems, transformer encoder, bridge heads."""

from keras_vatt.layers.aggregation_token import AggregationToken
from keras_vatt.layers.attention import SelfAttention
from keras_vatt.layers.batch_normalization import StableBatchNormalization
from keras_vatt.layers.bridge_head import FactorizedBridgeHead, JointBridgeHead
from keras_vatt.layers.drop_token import DropToken
from keras_vatt.layers.dropout import SeededDropout
from keras_vatt.layers.feed_forward import FeedForward
from keras_vatt.layers.patch_stem import PatchStem
from keras_vatt.layers.position_embedding import AxialPositionEmbedding
from keras_vatt.layers.relative_position_bias import RelativePositionBias
from keras_vatt.layers.transformer_encoder import TransformerBlock, TransformerEncoder
from keras_vatt.layers.word_stem import WordStem

__all__ = [
    "AggregationToken",
    "AxialPositionEmbedding",
    "DropToken",
    "FactorizedBridgeHead",
    "FeedForward",
    "JointBridgeHead",
    "PatchStem",
    "RelativePositionBias",
    "SeededDropout",
    "SelfAttention",
    "StableBatchNormalization",
    "TransformerBlock",
    "TransformerEncoder",
    "WordStem",
]
