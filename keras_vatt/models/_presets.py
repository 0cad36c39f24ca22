"""Models from presets, and presets from models."""

import contextlib
import inspect
import json
import pathlib
import tempfile

import keras

from keras_vatt._files import check_space
from keras_vatt.models._quantization import is_quantized
from keras_vatt.storage import (
    PresetError,
    PresetFolder,
    built_in_presets,
    named_variables,
    save_weights,
    saved_weights_sha256,
    write_folder,
)
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._card_facts import card_facts, describe_inputs
from keras_vatt.storage._config_guard import (
    available_parameters,
    check_config,
    check_parameters,
    class_of,
)
from keras_vatt.storage._deferred_weights import deferred_weights, register_parameters
from keras_vatt.storage._hub import is_hub_uri, parse_hub_uri, upload_preset
from keras_vatt.storage._model_card import write_card
from keras_vatt.storage._preset_writer import write_configs, write_metadata
from keras_vatt.storage._provenance import Provenance
from keras_vatt.storage._safetensors_weights import match_tensors

# What a damaged or a hostile config makes of a constructor.
_CONSTRUCTION_ERRORS = (TypeError, ValueError, LookupError, AttributeError)
_CONSTRUCTION_ERRORS += (ArithmeticError, RecursionError, AssertionError, OSError)


# Settings of a backbone on which the outputs of given weights do not depend, but for
# rounding.
_TRAINING_ONLY = {"name", "trainable", "dtype", "dropout", "token_keep_rate"}
_TRAINING_ONLY |= {"trainable_word_embedding", "rematerialize"}


class class_property(property):  # noqa: N801
    """A property of a class, as Keras' base classes have for their presets."""

    def __get__(self, _, owner):
        return self.fget(owner)


class ListsPresets:
    """A class that built-in presets can make."""

    @class_property
    def presets(cls):  # noqa: N805
        """The built-in presets of this class; see `describe_presets`."""
        facts = describe_presets()
        return {name: facts[name] for name in facts if cls._makes(facts[name])}

    @classmethod
    def _makes(cls, facts):
        return True


class LoadsFromPreset(ListsPresets):
    """What backbones and tasks share: `from_preset`, `save_to_preset`, `presets`."""

    @classmethod
    def from_preset(cls, preset, load_weights=True, dtype=None, **kwargs):
        """A model from a preset.

        Args:
            preset: string or path. The name of a built-in preset, a folder, or
                `hf://owner/name` with an optional `@revision`.
            load_weights: bool. `False` gives random weights, of a model of up to a
                billion parameters that fits half of the memory; larger ones are made
                by the constructor of the class. Defaults to `True`.
            dtype: string or `keras.DTypePolicy`. Defaults to `None`, the preset's.
            **kwargs: arguments of the class or of its backbone, which win over
                those of the preset.

        Returns:
            An instance of the class. A base class gives the class of the preset.

        Raises:
            PresetError: if there is no such preset, it is damaged, doesn't fit the
                class, or has no weights.
            WeightsMismatchError: if its weights don't fit the model.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        ```
        """
        folder = PresetFolder(preset, with_weights=load_weights)
        if load_weights and not folder.has_weights:
            raise PresetError(_no_weights(folder))
        tensors = folder.stored_tensors() if load_weights else None
        available = available_parameters()
        # No variable takes memory before all are known to fit.
        with deferred_weights() as pending:
            model = cls._checked_model(folder, tensors, dtype, kwargs)
            check_parameters(model.count_params(), available, folder.name)
            if load_weights:
                pending += _own_tensors(model, folder, tensors)
                folder.check_weights()
        register_parameters(model)
        if load_weights:
            _remember_provenance(model, folder, tensors)
        return model

    def save_to_preset(self, folder, max_shard_size=5.0, keras_hub_weights=False):
        """Save the model, with its preprocessor, tokenizer, and a model card.

        The folder is written aside and takes its place once it is whole. An earlier
        preset there is replaced; anything else is left alone.

        Args:
            folder: string or path; or `hf://owner/name[@branch]`, see `push_to_hub`.
            max_shard_size: float. Weights are cut into files of so many gigabytes.
                Defaults to `5.0`.
            keras_hub_weights: bool. Whether `model.weights.h5` is written beside,
                for `keras_nlp.models.Backbone.from_preset`. Defaults to `False`.

        Raises:
            PresetError: if the folder holds something that is no preset.
            OSError: if it can't be written, such as on a full disk. It names the
                folder, in which an earlier preset is as it was.
        """
        if is_hub_uri(folder):
            repository, revision = parse_hub_uri(str(folder))
            self.push_to_hub(repository, revision=revision)
            return
        with write_folder(folder) as partial:
            self._write_preset(partial, pathlib.Path(folder).name, max_shard_size)
            if keras_hub_weights:
                _save_keras_hub_weights(_backbone_of(self), partial)

    def push_to_hub(
        self,
        repo_id,
        private=None,
        revision=None,
        create_pr=False,
        token=None,
        commit_message=None,
    ):
        """Save the model as a preset in a repository of the Hugging Face Hub.

        Args:
            repo_id: string, `owner/name`. Made if it is missing.
            private: bool. Whether a new repository is private. Defaults to `None`,
                as the account has it.
            revision: string, the branch; made if it is missing. Defaults to `None`,
                the main one.
            create_pr: bool. Whether to propose it as a pull request. Defaults to
                `False`.
            token: string. Defaults to `None`, the one that `hf auth login` stored.
            commit_message: string. Defaults to `None`.

        Returns:
            String, the address of the commit or of the pull request.

        Raises:
            PresetError: if the Hub can't be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._write_preset(pathlib.Path(folder), f"hf://{repo_id}")
            return upload_preset(
                folder, repo_id, private, revision, create_pr, token, commit_message
            )

    @property
    def provenance(self):
        """What is known of the weights: a `keras_vatt.Provenance`, or `None`.

        `from_preset` sets it. It is a record of the weights at the time when it is
        set: once any of them has changed, all that is left of it is what they were
        made from. To find that out, all weights are read.
        """
        stated = self.__dict__.get("_provenance")
        if stated is None or self._stated_weights == saved_weights_sha256(self):
            return stated
        return stated.derived("quantized") if is_quantized(self) else stated.changed()

    @provenance.setter
    def provenance(self, value):
        # Past Keras' tracker, which would wrap its dicts.
        self.__dict__["_provenance"] = value
        self.__dict__["_stated_weights"] = value and saved_weights_sha256(self)

    @classmethod
    def _checked_model(cls, folder, tensors, dtype, overrides):
        model = cls._model_from_preset(folder, tensors, dtype, overrides)
        if overrides:
            raise PresetError(
                f"Neither {cls.__name__} nor its backbone takes {sorted(overrides)}"
            )
        return model

    def _write_preset(self, folder, name, max_shard_size=5.0):
        is_task = hasattr(self, "backbone")
        preprocessor = self.preprocessor if is_task else None
        write_configs(
            folder, _backbone_of(self), self if is_task else None, preprocessor
        )
        weights = save_weights(self, folder, max_shard_size)
        provenance = self.provenance or Provenance()
        write_metadata(folder, self, weights, provenance.get_config())
        write_card(folder, name, card_facts(self), provenance)


class BackboneFromPreset(LoadsFromPreset):
    """A backbone that loads from presets."""

    @classmethod
    def _model_from_preset(cls, folder, tensors, dtype, overrides):
        config = _read(folder, files.BACKBONE)
        found = class_of(config, BackboneFromPreset, files.BACKBONE)
        if not issubclass(found, cls):
            raise PresetError(
                f"The preset {folder.name!r} has a {found.__name__}, no {cls.__name__}"
            )
        own = _taken(found, overrides)
        if dtype is not None:
            _check_not_quantized(config, folder)
            own["dtype"] = dtype
        config = config["config"] | own
        with _constructing(folder):
            minimum = found.minimum_parameters(_defaults(found) | config)
            check_parameters(minimum, available_parameters(tensors), folder.name)
            return found.from_config(config)

    @classmethod
    def _makes(cls, facts):
        return issubclass(_own_class(facts["backbone"]), cls)


def task_class(folder):
    """The class of the task in a `PresetFolder`.

    Raises:
        PresetError: if the preset holds no task.
    """
    config = _read(folder, files.TASK)
    if config is None:
        raise PresetError(f"The preset {folder.name!r} is a backbone without a task")
    return class_of(config, TaskFromPreset, files.TASK)


class TaskFromPreset(LoadsFromPreset):
    """A backbone with something around it that loads from presets.

    A preset of another task gives its backbone, under new weights of this one. So does
    one of this task whose weights around the backbone don't fit what is asked for. A
    task of one modality then takes only that one's part of the backbone.
    """

    modality = None

    @classmethod
    def keeps_head(cls, saved, asked):
        """Whether what a preset has around the backbone is what is asked for.

        Args:
            saved: dict, the config of a preset of this class.
            asked: dict of arguments of this class.

        Returns:
            bool.
        """
        return True

    @classmethod
    def _model_from_preset(cls, folder, tensors, dtype, overrides):
        saved = _read(folder, files.TASK)
        own = _taken(cls, overrides)
        config = {}
        if saved is not None and class_of(saved, TaskFromPreset, files.TASK) is cls:
            with _constructing(folder):
                config = saved["config"] if cls.keeps_head(saved["config"], own) else {}
        backbone = own.pop("backbone", None)
        if backbone is None:
            if not config and cls.modality in _saved_modalities(folder):
                overrides.setdefault("modalities", (cls.modality,))
            backbone = cls.backbone_cls._model_from_preset(
                folder, tensors, dtype, overrides
            )
        preprocessor = own.pop("preprocessor", None)
        if preprocessor is None:
            preprocessor = load_preprocessor(folder)
            _check_words(preprocessor, backbone, folder)
        missing = _required(cls) - {"backbone", *config, *own}
        if missing:
            raise PresetError(
                f"The preset {folder.name!r} has no head for {cls.__name__}. For a "
                f"new one give {sorted(missing)}"
            )
        with _constructing(folder):
            widest = max(backbone.feature_dims.values()) * _largest(config)
            check_parameters(widest, available_parameters(tensors), folder.name)
            if dtype is not None and "bridge_head" in config:
                config["bridge_head"]["config"]["dtype"] = _serialized(dtype)
            own |= {"backbone": backbone, "preprocessor": preprocessor}
            return cls.from_config(config | own)

    @classmethod
    def _makes(cls, facts):
        return issubclass(_own_class(facts["class"]), cls)


def load_preprocessor(folder):
    """The preprocessor of a `PresetFolder`, `None` if it has none.

    Raises:
        PresetError: if its config or its vocabulary is damaged.
    """
    config = _read(folder, files.PREPROCESSOR)
    if config is None:
        return None
    cls = class_of(config, keras.layers.Layer, files.PREPROCESSOR)
    assets = folder.asset_folder
    folder.check_vocabulary()
    with _constructing(folder):
        preprocessor = cls.from_config(config["config"])
        if assets is not None and preprocessor.tokenizer is not None:
            preprocessor.tokenizer.load_assets(str(assets))
    return preprocessor


def _check_words(preprocessor, backbone, folder):
    """Refuses words that the backbone has no vectors for."""
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if tokenizer is None or tokenizer.vocabulary is None:
        return
    words, vectors = tokenizer.vocabulary_size(), backbone.vocabulary_size
    if "text" in backbone.modalities and words > vectors:
        raise PresetError(
            f"The vocabulary of the preset {folder.name!r} has {words:,} words, and "
            f"its backbone has vectors for {vectors:,}"
        )


class PartFromPreset(ListsPresets):
    """A preprocessor, or a part of one, that loads from presets."""

    @classmethod
    def from_preset(cls, preset):
        """What the preprocessor of a preset has of this class.

        Args:
            preset: string or path; see `keras_vatt.VATT.from_preset`.

        Returns:
            An instance of the class.

        Raises:
            PresetError: if there is no such preset or it has none.
        """
        folder = PresetFolder(preset, with_weights=False)
        whole = load_preprocessor(folder)
        names = ("tokenizer", "video_converter", "audio_converter")
        for part in (whole, *(getattr(whole, name, None) for name in names)):
            if isinstance(part, cls):
                return part
        raise PresetError(f"The preset {folder.name!r} has no {cls.__name__}")


def describe_presets():
    """What the built-in presets are.

    Returns:
        Dict from name to a dict of `"description"`, `"class"` and `"backbone"` (names
        of classes), `"parameters"` (an int), `"modalities"` (a tuple of strings),
        `"inputs"` (a dict from modality to what it takes, with units), `"licence"`,
        `"source"`, and `"has_weights"` (a bool).
    """
    return {name: _describe(PresetFolder(name)) for name in built_in_presets()}


def _describe(folder):
    metadata = folder.read_metadata()
    provenance = Provenance.from_config(metadata["provenance"])
    backbone = folder.read(files.BACKBONE)
    modalities = tuple(backbone["config"]["modalities"])
    return {
        "description": provenance.description,
        "class": folder.read(files.TASK)["class_name"],
        "backbone": backbone["class_name"],
        "parameters": metadata["parameters"],
        "modalities": modalities,
        "inputs": describe_inputs(load_preprocessor(folder), modalities),
        "licence": provenance.licence,
        "source": provenance.source,
        "has_weights": folder.has_weights,
    }


def _own_class(name):
    return keras.saving.get_registered_object(f"keras_vatt>{name}")


def _check_not_quantized(config, folder):
    policy = config["config"].get("dtype")
    if isinstance(policy, dict) and policy.get("class_name") == "DTypePolicyMap":
        raise PresetError(
            f"The preset {folder.name!r} is quantized, which fixes its dtypes: leave "
            "`dtype` out, or load the preset that it was made from"
        )


def _save_keras_hub_weights(backbone, folder):
    path = folder / "model.weights.h5"
    check_space(path, 4 * backbone.count_params())
    backbone.save_weights(path)


def _backbone_of(model):
    return getattr(model, "backbone", model)


def _no_weights(folder):
    return (
        f"The preset {folder.name!r} has no weights here. Pass `load_weights=False` to "
        "start from random ones, or make a preset from a checkpoint of the original "
        f"VATT code: `keras-vatt convert --from CHECKPOINT_PREFIX --config "
        f"{folder.path.name} --output FOLDER`"
    )


def _read(folder, name):
    config = folder.read(name)
    if config is not None:
        check_config(config, str(folder.path / name))
    return config


@contextlib.contextmanager
def _constructing(folder):
    """Say of which preset a config is that nothing can be made of."""
    try:
        yield
    except PresetError:
        raise
    except _CONSTRUCTION_ERRORS as error:
        raise PresetError(
            f"The configs of the preset {folder.name!r} can't be used: {error}"
        ) from error


def _largest(config):
    """The largest whole number in a config, at least 1."""
    if isinstance(config, dict | list):
        entries = config.values() if isinstance(config, dict) else config
        return max((_largest(entry) for entry in entries), default=1)
    return config if isinstance(config, int) and config > 1 else 1


def _own_tensors(model, folder, tensors):
    """The variables of a model that the preset has weights of, with their tensors."""
    left_out = set(_saved_modalities(folder)) - set(_backbone_of(model).modalities)
    target, ignored = model, tuple(f"backbone/{modality}_" for modality in left_out)
    saved = folder.read(files.TASK)
    if not _is_of_task(folder, model):
        # Of another task only the backbone is this model's too.
        target = _backbone_of(model)
        ignored += () if saved is None else ("bridge_head/", "classifier/")
    return match_tensors(named_variables(target), tensors, folder.name, ignored)


def _saved_modalities(folder):
    """The modalities of a preset's backbone, nothing where its config is damaged."""
    saved = _read(folder, files.BACKBONE)
    config = saved.get("config") if isinstance(saved, dict) else None
    modalities = config.get("modalities") if isinstance(config, dict) else None
    return modalities if isinstance(modalities, list) else ()


def _remember_provenance(model, folder, tensors):
    is_whole = _is_of_task(folder, model) or _backbone_of(model) is model
    config = folder.read_metadata().get("provenance")
    if not is_whole or not isinstance(config, dict):
        return
    with _constructing(folder):
        provenance = Provenance.from_config(config, folder.read_plots())
    backbone = _backbone_of(model)
    if len(named_variables(model)) < len(tensors):
        made = f"the backbone ({', '.join(backbone.modalities)}) taken"
        provenance = provenance.derived(made)
    elif _computes_otherwise(backbone, _read(folder, files.BACKBONE)["config"]):
        provenance = provenance.derived("made with other settings")
    model.provenance = provenance


def _computes_otherwise(backbone, saved):
    """Returns whether a setting differs on which the outputs of the weights depend."""
    config = json.loads(json.dumps(backbone.get_config()))
    names = config.keys() & saved.keys() - _TRAINING_ONLY
    return any(config[name] != saved[name] for name in names)


def _is_of_task(folder, model):
    saved = folder.read(files.TASK)
    if saved is None or saved["class_name"] != type(model).__name__:
        return False
    return model.keeps_head(saved["config"], model.get_config())


def _defaults(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _taken(cls, arguments):
    """Move those arguments that a class's constructor takes out of a dict."""
    names = set(inspect.signature(cls.__init__).parameters) & set(arguments)
    return {name: arguments.pop(name) for name in names}


def _required(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {
        p.name
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    } - {"self"}


def _serialized(dtype):
    return keras.saving.serialize_keras_object(keras.dtype_policies.get(dtype))
