"""The layers of VATT: stems, transformer encoder, bridge heads."""

from keras_vatt.layers._aggregation_token import AggregationToken
from keras_vatt.layers._attention import SelfAttention
from keras_vatt.layers._batch_normalization import StableBatchNormalization
from keras_vatt.layers._bridge_head import FactorizedBridgeHead, JointBridgeHead
from keras_vatt.layers._drop_token import DropToken
from keras_vatt.layers._dropout import SeededDropout
from keras_vatt.layers._feed_forward import FeedForward
from keras_vatt.layers._patch_stem import PatchStem
from keras_vatt.layers._position_embedding import AxialPositionEmbedding
from keras_vatt.layers._relative_position_bias import RelativePositionBias
from keras_vatt.layers._transformer_encoder import TransformerBlock, TransformerEncoder
from keras_vatt.layers._word_stem import WordStem

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
