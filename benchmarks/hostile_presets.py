"""Hostile presets: a valid preset, and functions that change it as an attacker would.

`CASES` contains changes that a loader must reject, by name. `random_change` damages a
preset at random. The result may be rejected, or load as its files specify.
"""

import dataclasses
import json
import math
import os
import pathlib
import shutil
import struct
import sys
import sysconfig
import traceback

import numpy as np
import safetensors.numpy

import keras_vatt

WEIGHTS = "model.safetensors"
VOCABULARY = "assets/tokenizer/vocabulary.txt"
CANARY = "zyxwcanary"
CONFIGS = (
    *("config.json", "task.json", "preprocessor.json", "metadata.json"),
    "tokenizer.json",
)
_WORDS = ["<pad>", "<bos>", "<eos>", "<unk>"]
_SIZES = {
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "num_layers": 1,
    "num_heads": 2,
    "head_dim": 8,
}
_INPUTS = {
    "video_patch_size": (2, 4, 4),
    "audio_patch_size": 16,
    "video_positions": (2, 2, 2),
    "audio_positions": 6,
    "text_positions": 5,
    "vocabulary_size": 20,
    "word_embedding_dim": 8,
    "projection_dim": 16,
}
_HUGE = 2_000_000_000
_EVENTS = ("open", "socket.connect", "os.exec", "subprocess.Popen", "os.system")
_PACKAGE = str(pathlib.Path(keras_vatt.__file__).parent)


def write_valid_preset(folder):
    """Writes a small valid preset, and returns its model.

    Args:
        folder: path, which is created.
    """
    backbone = keras_vatt.VATTAgnosticBackbone(**_SIZES, **_INPUTS)
    head = keras_vatt.layers.FactorizedBridgeHead(12, 8, name="bridge_head")
    preprocessor = keras_vatt.VATTPreprocessor(
        keras_vatt.VATTTokenizer.from_captions(["a red star"], sequence_length=5),
        keras_vatt.VATTVideoConverter(4, 5.0, 8),
        keras_vatt.VATTAudioConverter(4000, 96),
    )
    model = keras_vatt.VATT(backbone, head, preprocessor)
    model.provenance = keras_vatt.Provenance(
        description="A test.", plots={"losses.png": b"\x89PNG"}
    )
    model.save_to_preset(folder)
    return model


def write_outside(folder):
    """Writes files that no preset may read: a vocabulary with a unique word."""
    folder.mkdir(parents=True)
    (folder / "words.txt").write_text("\n".join([*_WORDS, CANARY]) + "\n")
    os.mkfifo(folder / "pipe")


@dataclasses.dataclass(frozen=True)
class Case:
    """A change that makes a preset hostile.

    Args:
        change: function of the preset folder, of a folder outside it, and of a NumPy
            random generator.
        load_weights: bool. Whether the weights are loaded. Defaults to `True`.
    """

    change: object
    load_weights: bool = True


def edited(file, function, load_weights=True):
    """Returns a change to the object in a JSON file."""

    def change(folder, outside, _random):
        path = folder / file
        content = json.loads(path.read_text())
        function(content, outside)
        path.write_text(json.dumps(content))

    return Case(change, load_weights)


def setting(file, path, value, load_weights=True):
    """Returns a change to one entry of a config; `path` joins its keys with dots."""

    def function(content, outside):
        *parents, last = path.split(".")
        for key in parents:
            content = content[key]
        content[last] = value(outside) if callable(value) else value

    return edited(file, function, load_weights)


def _tensors(function, keep_checksums=False):
    def change(folder, _outside, _random):
        tensors = safetensors.numpy.load_file(folder / WEIGHTS)
        function(tensors)
        safetensors.numpy.save_file(tensors, folder / WEIGHTS)
        if not keep_checksums:
            drop_checksums(folder)

    return Case(change)


def drop_checksums(folder):
    """Removes the checksums, as an attacker who changes the weights would."""
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata.pop("sha256", None)
    (folder / "metadata.json").write_text(json.dumps(metadata))


def _header(header, size=0):
    """Returns a change to a weights file: this header, and `size` bytes of data."""

    def change(folder, _outside, _random):
        made = header() if callable(header) else header
        made = made if isinstance(made, bytes) else json.dumps(made).encode()
        with (folder / WEIGHTS).open("wb") as file:
            file.write(struct.pack("<Q", len(made)) + made)
            file.truncate(8 + len(made) + size)
        drop_checksums(folder)

    return Case(change)


def _raw(file, content):
    def change(folder, _outside, _random):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content() if callable(content) else content)

    return Case(change)


def _special(file, make):
    """Returns a change that replaces a file with something else."""

    def change(folder, outside, _random):
        (folder / file).unlink(missing_ok=True)
        make(folder / file, outside)

    return Case(change)


def _linked(file):
    def make(path, outside):
        path.symlink_to(outside / "target")

    def change(folder, outside, _random):
        shutil.copy(folder / file, outside / "target")
        (folder / file).unlink()
        make(folder / file, outside)

    return Case(change)


def _to_device(path, _outside):
    path.symlink_to("/dev/zero")


def _loop(path, _outside):
    path.symlink_to(path.name)


def _many_plots(folder, _outside, _random):
    for number in range(600):
        (folder / "plots" / f"{number}.png").write_bytes(b"\x89PNG")


def _huge_plots(folder, _outside, _random):
    for number in range(40):
        with (folder / "plots" / f"{number}.png").open("wb") as file:
            file.truncate(63_000_000)


def _sharded(names):
    def change(folder, outside, _random):
        shutil.move(folder / WEIGHTS, outside / WEIGHTS)
        weight_map = {f"backbone/{i}": name for i, name in enumerate(names)}
        index = {"weight_map": weight_map}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))

    return Case(change)


def _linked_shard(folder, outside, _random):
    name = "model-00001-of-00001.safetensors"
    shutil.move(folder / WEIGHTS, outside / "target")
    (folder / name).symlink_to(outside / "target")
    tensors = safetensors.numpy.load_file(outside / "target")
    index = {"weight_map": dict.fromkeys(tensors, name)}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


def _sparse_model(folder, _outside, _random):
    """Writes the config of a model of terabytes and a matching sparse weights file."""
    config = json.loads((folder / "config.json").read_text())
    config["config"]["vocabulary_size"] = 2**31 - 1
    (folder / "config.json").write_text(json.dumps(config))
    tensors = safetensors.numpy.load_file(folder / WEIGHTS)
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    (words,) = [name for name in shapes if name.endswith("embedding/embeddings")]
    shapes[words][0] = 2**31 - 1
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        header[name] = entry
    _header(header, end).change(folder, _outside, _random)


def _policies(folder, _outside, _random):
    entry = {
        "module": "keras.dtype_policies",
        "class_name": "QuantizedDTypePolicy",
        "config": {"mode": "int8", "source_name": "float32"},
        "registered_name": None,
    }
    policies = {f"a/{number}.": entry for number in range(20_000)}
    policy = {
        "module": "keras.dtype_policies",
        "class_name": "DTypePolicyMap",
        "config": {"default_policy": "float32", "policy_map": policies},
        "registered_name": None,
    }
    setting("config.json", "config.dtype", policy).change(folder, _outside, _random)


def own(module, name, **config):
    """Returns the config of an object of this package."""
    return {
        "module": f"keras_vatt.{module}",
        "class_name": name,
        "config": config,
        "registered_name": f"keras_vatt>{name}",
    }


def foreign(module, name, **config):
    """Returns the config of an object of another package."""
    return own(module, name, **config) | {"module": module, "registered_name": None}


def _nested_tokenizer(outside):
    return own(
        "models.tokenizer", "VATTTokenizer", vocabulary=str(outside / "words.txt")
    )


def _first(tensors):
    return sorted(tensors)[0]


def _set_first(value):
    return lambda tensors: tensors[_first(tensors)].reshape(-1).__setitem__(0, value)


_EMPTY = {
    "dtype": "F32",
    "shape": [0],
    "data_offsets": [0, 0],
}
_PREPROCESSOR = "preprocessor.json"
_WORDS_OF = "config.tokenizer.config.vocabulary"
_HEAD = "config.bridge_head"
_DUPLICATE = b'{"__metadata__": {}, "a": %s, "a": %s}' % (
    (json.dumps(_EMPTY).encode(),) * 2
)

CASES = {
    "vocabulary is a file outside": setting(
        _PREPROCESSOR, _WORDS_OF, lambda outside: str(outside / "words.txt")
    ),
    "vocabulary is a relative path outside": setting(
        _PREPROCESSOR, _WORDS_OF, "../outside/words.txt"
    ),
    "vocabulary is a pipe": setting(
        _PREPROCESSOR, _WORDS_OF, lambda outside: str(outside / "pipe")
    ),
    "vocabulary is a device": setting(_PREPROCESSOR, _WORDS_OF, "/dev/zero"),
    "vocabulary is a folder": setting(
        _PREPROCESSOR, _WORDS_OF, lambda outside: str(outside)
    ),
    "vocabulary of numbers": setting(_PREPROCESSOR, _WORDS_OF, [1, 2, 3]),
    "vocabulary is an object": setting(_PREPROCESSOR, _WORDS_OF, {"a": 1}),
    "tokenizer for a bridge head": setting("task.json", _HEAD, _nested_tokenizer),
    "preprocessor in the task": setting(
        "task.json",
        "config.preprocessor",
        lambda outside: own(
            "models.preprocessor",
            "VATTPreprocessor",
            tokenizer=_nested_tokenizer(outside),
        ),
    ),
    "tokenizer as video converter": setting(
        _PREPROCESSOR, "config.video_converter", _nested_tokenizer
    ),
    "tokenizer in the backbone": setting(
        "config.json", "config.extra", _nested_tokenizer
    ),
    "vocabulary file is a pipe": _special(VOCABULARY, lambda path, _: os.mkfifo(path)),
    "vocabulary file is a device": _special(VOCABULARY, _to_device),
    "vocabulary file is a folder": _special(VOCABULARY, lambda path, _: path.mkdir()),
    "vocabulary file is a link outside": _linked(VOCABULARY),
    "vocabulary file is a link loop": _special(VOCABULARY, _loop),
    "vocabulary of 5 million words": _raw(
        VOCABULARY, lambda: ("\n".join([*_WORDS, *map(str, range(5_000_000))])).encode()
    ),
    "vocabulary larger than the model's": _raw(
        VOCABULARY, ("\n".join([*_WORDS, *map(str, range(500))])).encode()
    ),
    "vocabulary of gigabytes": _special(
        VOCABULARY, lambda path, _: (path.touch(), os.truncate(path, 2**33))
    ),
    "pipe for preprocessor.json": _special(
        _PREPROCESSOR, lambda path, _: os.mkfifo(path)
    ),
    "device for metadata.json": _special("metadata.json", _to_device),
    "folder for task.json": _special("task.json", lambda path, _: path.mkdir()),
    "link loop for config.json": _special("config.json", _loop),
    "pipe for weights": _special(WEIGHTS, lambda path, _: os.mkfifo(path)),
    "device for weights": _special(WEIGHTS, _to_device),
    "folder for weights": _special(WEIGHTS, lambda path, _: path.mkdir()),
    "link outside for weights": _linked(WEIGHTS),
    "link outside for config.json": _linked("config.json"),
    "link outside for metadata.json": _linked("metadata.json"),
    "link outside for a plot": _linked("plots/losses.png"),
    "600 plots": Case(_many_plots),
    "plots of gigabytes": Case(_huge_plots),
    "pipe for a plot": _special("plots/a.png", lambda path, _: os.mkfifo(path)),
    "folder for a plot": _special("plots/a.png", lambda path, _: path.mkdir()),
    "shards outside": _sharded(["../outside/model.safetensors"]),
    "shards of absolute paths": _sharded(["/etc/passwd"]),
    "shards in a dictionary": _sharded([{}]),
    "a shard that is a link outside": Case(_linked_shard),
    "sequence_length of 2e9": setting(
        _PREPROCESSOR, "config.tokenizer.config.sequence_length", _HUGE
    ),
    "sequence_length below zero": setting(
        _PREPROCESSOR, "config.tokenizer.config.sequence_length", -1
    ),
    "sequence_length is a string": setting(
        _PREPROCESSOR, "config.tokenizer.config.sequence_length", "5"
    ),
    "num_frames of 2e9": setting(
        _PREPROCESSOR, "config.video_converter.config.num_frames", _HUGE
    ),
    "frame_size of 2e9": setting(
        _PREPROCESSOR, "config.video_converter.config.frame_size", _HUGE
    ),
    "frames_per_second of 1e-300": setting(
        _PREPROCESSOR, "config.video_converter.config.frames_per_second", 1e-300
    ),
    "audio_samples of 2e9": setting(
        _PREPROCESSOR, "config.audio_converter.config.audio_samples", _HUGE
    ),
    "sampling_rate of 2e9": setting(
        _PREPROCESSOR, "config.audio_converter.config.sampling_rate", _HUGE
    ),
    "file written elsewhere": setting(
        _PREPROCESSOR, "config.tokenizer.config.config_file", "../../outside/x.json"
    ),
    "audio_positions of 2e9": setting("config.json", "config.audio_positions", _HUGE),
    "video_positions of 2e9": setting(
        "config.json", "config.video_positions", [_HUGE, 2, 2]
    ),
    "hidden_dim is a huge float": setting("config.json", "config.hidden_dim", 1e9),
    "num_heads is true": setting("config.json", "config.num_heads", True),
    "sizes below zero": setting("config.json", "config.intermediate_dim", -(2**30)),
    "dropout of 2": setting("config.json", "config.dropout", 2.0),
    "300,000 names of modalities": setting(
        "config.json", "config.modalities", ["video"] * 300_000
    ),
    "999 layers without weights": setting(
        "config.json", "config.num_layers", 999, load_weights=False
    ),
    "billions of words without weights": setting(
        "config.json", "config.vocabulary_size", 600_000_000, load_weights=False
    ),
    "billions of positions without weights": setting(
        "config.json", "config.audio_positions", 500_000_000, load_weights=False
    ),
    "a huge head without weights": setting(
        "task.json", f"{_HEAD}.config.video_audio_dim", 200_000, load_weights=False
    ),
    "a sparse file of terabytes": Case(_sparse_model),
    "20,000 dtype policies": Case(_policies),
    "a million empty tensors": _header(
        lambda: {f"t{number}": _EMPTY for number in range(1_000_000)}
    ),
    "a header of gigabytes": Case(
        lambda folder, _outside, _random: (folder / WEIGHTS).write_bytes(
            struct.pack("<Q", 2**40) + b"{"
        )
    ),
    "a header with a key twice": _header(_DUPLICATE),
    "offsets below zero": _header(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, 8
    ),
    "a weight of NaN": _tensors(_set_first(np.nan)),
    "a weight of infinity": _tensors(_set_first(np.inf)),
    "a weight beyond float32": _tensors(
        lambda tensors: tensors.update(
            {_first(tensors): tensors[_first(tensors)].astype("float64") + 1e300}
        )
    ),
    "nested lists without end": _raw(
        "metadata.json", b'{"sha256": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    ),
    "a key twice": _raw("task.json", b'{"module": "a", "module": "b"}'),
    "an int of a million digits": _raw(
        "metadata.json", b'{"parameters": ' + b"9" * 1_000_000 + b"}"
    ),
    "provenance of other types": setting("metadata.json", "provenance.training", "5"),
    "datasets of other types": setting("metadata.json", "provenance.datasets", [5]),
    "checksums of other types": setting("metadata.json", "sha256", [1]),
    "class of another module": setting(
        "task.json", _HEAD, foreign("builtins", "open", file="/etc/passwd")
    ),
    "a Keras layer that reads files": setting(
        "task.json", _HEAD, foreign("keras.layers", "TextVectorization", vocabulary="x")
    ),
    "name of the backbone is an object": setting(
        "config.json", "config.name", {"a": "b"}
    ),
    "name of a layer is huge": setting("config.json", "config.name", "a" * 1_000_000),
}


def random_change(folder, random):
    """Damages a preset at random: a byte, a length, or an entry of a config.

    Args:
        folder: path of the preset.
        random: NumPy random generator.

    Returns:
        String, a description of the damage.
    """
    kind = random.integers(3)
    if kind == 2:
        return _change_entry(folder, random)
    files = [*CONFIGS, WEIGHTS, VOCABULARY]
    name = files[random.integers(len(files))]
    path = folder / name
    content = bytearray(path.read_bytes())
    known = ""
    if name == WEIGHTS and random.integers(2):
        drop_checksums(folder)
        known = " without checksums"
    if kind == 1:
        length = int(random.integers(len(content)))
        path.write_bytes(content[:length])
        return f"{name}{known} cut to {length} bytes"
    # Half of the changes to weights files are in the header.
    end = 2000 if name == WEIGHTS and random.integers(2) else len(content)
    places = random.integers(min(end, len(content)), size=3)
    for place in places:
        content[place] = random.integers(256)
    path.write_bytes(content)
    return f"{name}{known} changed at {places.tolist()}"


_VALUES = (
    *(None, True, -1, 0, 3, 1.5, 10**9, 10**20, 1e308, float("nan"), "", "a" * 10_000),
    *([], {}, [[]], {"class_name": "os"}, "../../etc/passwd", "hf://owner/name"),
)


def _change_entry(folder, random):
    name = CONFIGS[random.integers(len(CONFIGS))]
    content = json.loads((folder / name).read_text())
    places = list(_places(content))
    parent, key, path = places[random.integers(len(places))]
    value = _VALUES[random.integers(len(_VALUES))]
    parent[key] = value
    (folder / name).write_text(json.dumps(content))
    return f"{name}: {path} = {value!r:.40}"


def _places(node, path=""):
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        yield node, key, f"{path}.{key}"
        if isinstance(value, dict | list):
            yield from _places(value, f"{path}.{key}")


def numbers_of(model):
    """Returns outputs that a user gets: word IDs, an embedding, a waveform."""
    ids = model.preprocessor({"text": ["a red star"]})["text"]
    waveform = model.preprocessor({"audio": [(np.ones(50, "float32"), 4000)]})["audio"]
    # A batch of the model's input shape, whatever the preprocessor specifies.
    embedding = model.encode(text=np.array([[4, 5, 6, 0, 0]]))["text"]["to_video"]
    return {"ids": ids, "waveform": waveform, "embedding": np.asarray(embedding)}


def watch_files(allowed, reached):
    """Records Python's audit events about files outside the allowed folder.

    Args:
        allowed: path of the folder that contains `preset` and `saved`, which may be
            opened.
        reached: set to which outside paths and other events are added.
    """
    installed = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()]
    installed += [_PACKAGE, str(pathlib.Path(_PACKAGE).parent), "/proc/self", "/usr/"]
    installed += ["/etc/mime.types", "/dev/null"]
    root = os.path.realpath(allowed)
    inside = [os.path.join(root, "preset"), os.path.join(root, "saved")]
    inside.append(os.path.join(root, ".saved"))

    def hook(event, arguments):
        if event not in _EVENTS:
            return
        if event != "open":
            reached.add(event)
            return
        if isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            # Cleanup opens names relative to a folder descriptor, not to this folder.
            known = path.startswith((*inside, *installed))
            if not known and os.path.lexists(path):
                reached.add(path)

    sys.addaudithook(hook)


def kind_of_error(error):
    """Returns `"refused"` if this package raised an error with its own message."""
    if "can't allocate memory" in str(error):
        return "out of memory"
    frames = traceback.extract_tb(error.__traceback__)
    is_own = frames[-1].filename.startswith(_PACKAGE)
    return "refused" if is_own and isinstance(error, ValueError | OSError) else "raw"
