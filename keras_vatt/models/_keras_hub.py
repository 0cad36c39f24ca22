"""The base classes of KerasHub that VATT extends: the only import of KerasHub.

KerasHub imports TensorFlow on every backend, for its own tokenizers. Here that import
is deferred on JAX and PyTorch until KerasHub uses TensorFlow, which VATT never does.
"""

import keras

from keras_vatt.models._deferred_import import deferred_imports

_TENSORFLOW = ("tensorflow", "tensorflow_text")

with deferred_imports(*_TENSORFLOW if keras.config.backend() != "tensorflow" else ()):
    from keras_hub.layers import AudioConverter, VideoConverter
    from keras_hub.models import Backbone, Preprocessor, Task
    from keras_hub.tokenizers import Tokenizer

__all__ = [
    "AudioConverter",
    "Backbone",
    "Preprocessor",
    "Task",
    "Tokenizer",
    "VideoConverter",
]
