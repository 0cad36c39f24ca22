"""A preset on disk: what lies where, and how it comes there whole."""

import contextlib
import importlib.resources
import json
import pathlib
import re
import tempfile

import huggingface_hub
import keras

# KerasHub's layout, but for the weights.
_BACKBONE = "config.json"
_TASK = "task.json"
_TOKENIZER = "tokenizer.json"
_PREPROCESSOR = "preprocessor.json"
_WEIGHTS = "model.safetensors"
_METADATA = "metadata.json"
_TOKENIZER_ASSETS = "assets/tokenizer"

_BUILT_IN = pathlib.Path(importlib.resources.files("keras_vatt.presets"))
_HUB_URI = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_PACKAGES = ("keras", "keras_hub", "keras_nlp", "keras_vatt")


class PresetError(ValueError):
    """A preset that can't be found, read or used as asked."""


class PresetFolder:
    """A preset folder to read from.

    Args:
        preset: string or path. The name of a built-in preset, a local folder, or
            `hf://owner/name` with an optional `@revision`, which is downloaded.

    Raises:
        PresetError: if there is no such preset, or it isn't one.
    """

    def __init__(self, preset):
        self.name = str(preset)
        self.path = _find(self.name)
        if not (self.path / _BACKBONE).is_file():
            raise PresetError(
                f"{self.name!r} is no preset: it has no file {_BACKBONE!r}"
            )

    @property
    def has_weights(self):
        """Whether the preset comes with weights, a bool."""
        return self.weights_path.is_file()

    @property
    def weights_path(self):
        """Path of the weights, whether they are there or not."""
        return self.path / _WEIGHTS

    def read_backbone(self):
        """The config of the backbone: dict of `registered_name` and `config`."""
        return self._read(_BACKBONE)

    def read_task(self):
        """The config of the task, or `None` if the preset is a bare backbone."""
        return self._read(_TASK, required=False)

    def load_preprocessor(self):
        """The preprocessor with its tokenizer, or `None` if the preset has none."""
        config = self._read(_PREPROCESSOR, required=False)
        if config is None:
            return None
        tokenizer = self._load_tokenizer()
        cls = class_of(config)
        return cls.from_config(config["config"] | {"tokenizer": tokenizer})

    def _load_tokenizer(self):
        config = self._read(_TOKENIZER, required=False)
        if config is None:
            return None
        tokenizer = class_of(config).from_config(config["config"])
        tokenizer.load_assets(str(self.path / _TOKENIZER_ASSETS))
        return tokenizer

    def _read(self, name, required=True):
        path = self.path / name
        if not required and not path.is_file():
            return None
        try:
            config = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PresetError(f"{str(path)!r} can't be read: {error}") from error
        _check_classes(config, path)
        return config


def class_of(config):
    """The registered class that a config of a preset is for.

    Raises:
        PresetError: if there is none.
    """
    name = config.get("registered_name")
    cls = keras.saving.get_registered_object(name)
    if cls is None:
        raise PresetError(f"The preset is of a class that is not known here: {name!r}")
    return cls


@contextlib.contextmanager
def write_folder(folder):
    """Make a folder whole or not at all: yields one aside that takes its place.

    Args:
        folder: string or path. It may be missing, empty or an earlier preset,
            which is replaced.

    Raises:
        PresetError: if the folder holds something else.

    Example:
    ```python
    with write_folder("my_preset") as partial:
        (partial / "config.json").write_text("{}")
    ```
    """
    folder = pathlib.Path(folder).absolute()
    holds_something = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if holds_something and not (folder / _METADATA).is_file():
        raise PresetError(
            f"{str(folder)!r} holds something that is no preset: choose another folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}-", dir=folder.parent
    ) as aside:
        partial = pathlib.Path(aside) / "new"
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(pathlib.Path(aside) / "old")
        partial.rename(folder)


def write_preset(folder, backbone, task=None, preprocessor=None):
    """Write the configs and the tokenizer of a preset into an empty folder.

    Args:
        folder: `pathlib.Path`, see `write_folder`.
        backbone: the backbone.
        task: the model around it. Defaults to `None`.
        preprocessor: its preprocessor. Defaults to `None`.
    """
    _write_object(backbone, folder / _BACKBONE)
    if task is not None:
        _write_object(task, folder / _TASK, without=("backbone", "preprocessor"))
    if preprocessor is not None:
        _write_object(preprocessor, folder / _PREPROCESSOR, without=("tokenizer",))
        if preprocessor.tokenizer is not None:
            assets = folder / _TOKENIZER_ASSETS
            assets.mkdir(parents=True)
            _write_object(
                preprocessor.tokenizer, folder / _TOKENIZER, without=("vocabulary",)
            )
            preprocessor.tokenizer.save_assets(str(assets))
    model = backbone if task is None else task
    metadata = {"keras_version": keras.__version__, "parameters": model.count_params()}
    _write_json(metadata, folder / _METADATA)


def _write_object(instance, path, without=()):
    config = keras.saving.serialize_keras_object(instance)
    for entry in ("build_config", "compile_config"):
        config.pop(entry, None)
    for name in without:
        config["config"].pop(name, None)
    _write_json(config, path)


def _write_json(content, path):
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def _find(preset):
    if preset.startswith("hf://"):
        return _download(preset)
    if re.fullmatch(r"\w+", preset) and (_BUILT_IN / preset).is_dir():
        return _BUILT_IN / preset
    path = pathlib.Path(preset)
    if path.is_dir():
        return path
    raise PresetError(
        f"There is no preset {preset!r}. Give a folder, hf://owner/name, or one of: "
        f"{', '.join(built_in_presets())}"
    )


def built_in_presets():
    """Names of the presets that come with the package, a list of strings."""
    return sorted(path.parent.name for path in _BUILT_IN.glob(f"*/{_BACKBONE}"))


def _download(uri):
    match = _HUB_URI.fullmatch(uri)
    if match is None:
        raise PresetError(
            f"{uri!r} is no address on the Hugging Face Hub: expected hf://owner/name "
            "or hf://owner/name@revision"
        )
    folder = huggingface_hub.snapshot_download(
        match["repo"], revision=match["revision"]
    )
    return pathlib.Path(folder)


def _check_classes(config, path):
    """Refuse classes of other packages before anything is made of them."""
    if isinstance(config, list):
        for entry in config:
            _check_classes(entry, path)
    if not isinstance(config, dict):
        return
    for entry in config.values():
        _check_classes(entry, path)
    if "class_name" not in config:
        return
    module = config.get("module") or ""
    owner = (config.get("registered_name") or "").split(">")[0]
    known = module.split(".")[0] in _PACKAGES
    if not known and not (module in ("", "builtins") and owner in _PACKAGES):
        raise PresetError(
            f"{str(path)!r} asks for the class {config['class_name']!r} of "
            f"{module or owner!r}; presets may only use those of {_PACKAGES}"
        )
