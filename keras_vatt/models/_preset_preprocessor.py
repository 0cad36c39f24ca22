"""Loads the preprocessor of a preset."""

import keras

from keras_vatt.models._preset_configs import constructing, read_config
from keras_vatt.storage import PresetError
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_guard import class_of


def load_preprocessor(folder):
    """Loads the preprocessor of a preset, with its tokenizer and vocabulary.

    Args:
        folder: `PresetFolder`.

    Returns:
        `keras_vatt.VATTPreprocessor`; `None` if the preset has none.

    Raises:
        PresetError: if its config or its vocabulary is damaged.
    """
    config = read_config(folder, files.PREPROCESSOR)
    if config is None:
        return None
    cls = class_of(config, keras.layers.Layer, files.PREPROCESSOR)
    assets = folder.asset_folder
    folder.check_vocabulary()
    with constructing(folder):
        preprocessor = cls.from_config(config["config"])
        if assets is not None and preprocessor.tokenizer is not None:
            preprocessor.tokenizer.load_assets(str(assets))
    return preprocessor


def check_vocabulary_size(preprocessor, backbone, folder):
    """Refuses a vocabulary with more words than the backbone has word vectors.

    Args:
        preprocessor: `keras_vatt.VATTPreprocessor`, or `None`.
        backbone: a VATT backbone.
        folder: `PresetFolder`, for the message.

    Raises:
        PresetError: if there are more words.
    """
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if tokenizer is None or tokenizer.vocabulary is None:
        return
    words, vectors = tokenizer.vocabulary_size(), backbone.vocabulary_size
    if "text" in backbone.modalities and words > vectors:
        raise PresetError(
            f"The vocabulary of the preset {folder.name!r} has {words:,} words, but "
            f"its backbone has word vectors for {vectors:,}"
        )
