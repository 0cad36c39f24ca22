"""The base classes of KerasHub that VATT extends: the only import of KerasHub."""

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
