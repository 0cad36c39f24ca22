"""The provenance of a model's weights."""

import json

from keras_vatt.models._preset_configs import constructing, read_config
from keras_vatt.models._quantization import is_quantized
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage import named_variables, saved_weights_sha256
from keras_vatt.storage._provenance import Provenance

# Settings that don't change the outputs of given weights, except for rounding.
_TRAINING_ONLY = {"name", "trainable", "dtype", "dropout", "token_keep_rate"}
_TRAINING_ONLY |= {"trainable_word_embedding", "rematerialize"}


class HasProvenance:
    """Mixin of the models that record the provenance of their weights."""

    @property
    def provenance(self) -> Provenance | None:
        """The `keras_vatt.Provenance` of the weights; `None` if it isn't known.

        `from_preset` sets it. It describes the weights at the time when it is set.
        Once any weight has changed, only the license and the source remain. Reading
        this property compares all weights.
        """
        stated = self.__dict__.get("_provenance")
        if stated is None or self._stated_weights == saved_weights_sha256(self):
            return stated
        return stated.derived("quantized") if is_quantized(self) else stated.changed()

    @provenance.setter
    def provenance(self, value: Provenance | None):
        # Not by `setattr`: Keras would wrap its dicts to track them.
        self.__dict__["_provenance"] = value
        self.__dict__["_stated_weights"] = value and saved_weights_sha256(self)


def load_provenance(model, folder, tensors):
    """Sets the provenance of a model that was loaded from a preset.

    A model that holds a part of the preset's weights, or computes something else with
    them, is described as derived from the preset. A task with a new head has no
    provenance.

    Args:
        model: a VATT backbone or task.
        folder: `PresetFolder`.
        tensors: dict of the tensors in the preset.
    """
    backbone = getattr(model, "backbone", model)
    is_whole = is_same_task(folder, model) or backbone is model
    config = folder.read_metadata().get("provenance")
    if not is_whole or not isinstance(config, dict):
        return
    with constructing(folder):
        provenance = Provenance.from_config(config, folder.read_plots())
    if len(named_variables(model)) < len(tensors):
        part = "backbone" if backbone is model else "modalities"
        made = f"the {part} ({', '.join(backbone.modalities)}) taken"
        provenance = provenance.derived(made)
    elif _computes_otherwise(backbone, read_config(folder, files.BACKBONE)["config"]):
        provenance = provenance.derived("made with other settings")
    model.provenance = provenance


def is_same_task(folder, model):
    """Returns whether a preset holds the weights of a model's head.

    Args:
        folder: `PresetFolder`.
        model: a VATT backbone or task.
    """
    saved = folder.read(files.TASK)
    if saved is None or saved["class_name"] != type(model).__name__:
        return False
    return model.keeps_head(saved["config"], model.get_config())


def _computes_otherwise(backbone, saved):
    """Returns whether a setting differs that changes the outputs."""
    config = json.loads(json.dumps(backbone.get_config()))
    names = config.keys() & saved.keys() - _TRAINING_ONLY
    return any(config[name] != saved[name] for name in names)
