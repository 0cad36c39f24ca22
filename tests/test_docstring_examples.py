"""Every example in a docstring runs, with the names and files that it assumes."""

import functools
import importlib
import importlib.util
import inspect
import shutil

import keras
import numpy as np
import pytest
import safetensors

import keras_vatt
from tests.data._media import noisy_picture, write_media
from tests.documented_names import docstrings, examples_in
from tests.search.small import small_model, tone

# PyTorch, which compiles nothing, runs the others.
_BACKENDS = {
    "exporting/_runtimes.py:run_artifact": "tensorflow",
    "models/_tower.py:VATTTower": "tensorflow",
    "models/_tower_export.py:tower": "tensorflow",
    "models/_tower_export.py:export": "tensorflow",
    "models/_vatt.py:get_layout_map": "jax",
    "planning/_collectives.py:read_collectives": "jax",
}
# What other tests run: at scale, against a server, or against golden files.
_ELSEWHERE = {
    "conversion/_convert.py:convert": "tests/conversion/test_original_checkpoint.py",
    "conversion/_tensor_bundle.py:TensorBundle": (
        "tests/conversion/test_tensor_bundle.py"
    ),
    "conversion/_published.py:fetch_preset": "tests/published/test_first_call.py",
    "conversion/_publishing.py:publish_presets": "tests/hub/test_publishing.py",
    "models/_preset_saving.py:push_to_hub": "tests/hub/test_presets_on_the_hub.py",
    "pretraining/_run.py:pretrain": "tests/pretraining/test_run.py",
    "storage/_deferred_weights.py:deferred_weights": (
        "tests/presets/test_shards_and_cards.py"
    ),
    "training/_checked_data.py:CheckedData": "tests/training/test_training_data.py",
    "training/_run_checkpoint.py:RunCheckpoint": (
        "tests/training/test_run_checkpoint.py"
    ),
    "training/_harmonized_step.py:": "tests/training/test_backend_protocol.py",
}
# An example whose files another one writes.
_AFTER = {"search/_media_index.py:MediaIndex": "search/_embedding.py:embed_folder"}
_AUDIO = {
    "talk.wav": "pcm_s16le",
    "whistle.wav": "pcm_s16le",
    "song.mp3": "libmp3lame",
    "radio.ogg": "libopus",
}
EXAMPLES = [
    pytest.param(label, example, id=label.removeprefix("keras_vatt/"))
    for label, text in docstrings()
    for example in examples_in(text)
]


def of_this_backend(label):
    return _BACKENDS.get(label, "torch") == keras.config.backend()


class Prepared:
    """The names that examples take as given; each is made when one uses it."""

    def keras_vatt(self):
        return keras_vatt

    def keras(self):
        return keras

    def np(self):
        return np

    def jax(self):
        return importlib.import_module("jax")

    def onnxruntime(self):
        return importlib.import_module("onnxruntime")

    def safetensors(self):
        importlib.import_module("safetensors.numpy")
        return safetensors

    def tensors(self):
        return {"kernel": np.ones(3)}

    def model(self):
        model = small_model()
        model.compile("sgd", harmonizer="realign")
        return model

    def backbone(self):
        return keras_vatt.VATTAgnosticBackbone.from_preset("vatt_tiny_agnostic")

    def classifier(self):
        return keras_vatt.VATTAudioClassifier(small_model().backbone, num_classes=2)

    def loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def clips(self):
        return range(64)

    def waveforms(self):
        return np.zeros((1, 9_600, 1), "float32")

    def labels(self):
        return np.zeros(1, "int32")

    def dataset(self):
        preset = keras_vatt.VATTPreprocessor.from_preset("vatt_tiny_agnostic")
        spec = preset.clip_spec
        size = (spec.frame_size, spec.frame_size)
        return {
            "video": np.zeros((2, spec.num_frames, *size, 3), "float32"),
            "audio": np.zeros((2, spec.audio_samples, 1), "float32"),
            "text": np.ones((2, 16), "int32"),
        }

    def step(self):
        return lambda state, batch: state @ batch

    def state(self):
        return np.ones((2, 2), "float32")

    batch = state


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A folder with the files that examples read."""
    folder = tmp_path_factory.mktemp("media")
    pictures = [noisy_picture(number) for number in range(40)]
    for name in ("clip.mp4", "cat.mp4", "dog.mp4", "pet.mp4"):
        write_media(folder / name, pictures, np.arange(40) / 10, tone(200, 4.0))
    for name, codec in _AUDIO.items():
        sound = tone(300, 4.0, rate=48_000)
        write_media(folder / name, sound=sound, audio_codec=codec)
    return folder


@pytest.fixture(scope="module")
def workplace(media, tmp_path_factory):
    """A function from a label to a folder; examples of `data` share a demo corpus."""

    @functools.cache
    def folder_of(name):
        folder = tmp_path_factory.mktemp("examples")
        shutil.copytree(media, folder, dirs_exist_ok=True)
        return folder

    return lambda label: folder_of("data" if "/data/" in label else label)


def run(label, example):
    code = compile(example, label, "exec")
    module = label.partition(".py")[0].replace("/", ".").removesuffix(".__init__")
    names = dict(vars(importlib.import_module(module)), __name__="example")
    for name in set(code.co_names) - set(names):
        if hasattr(Prepared, name):
            names[name] = getattr(Prepared(), name)()
    exec(code, names)


@pytest.mark.parametrize(
    ("label", "example"),
    [p for p in EXAMPLES if of_this_backend(p.id) and p.id not in _ELSEWHERE],
)
def test_the_example_runs(label, example, workplace, monkeypatch):
    monkeypatch.chdir(workplace(label))
    if "import mteb" in example:
        pytest.importorskip("mteb")
    for parameter in EXAMPLES:
        if parameter.id == _AFTER.get(label.removeprefix("keras_vatt/")):
            run(*parameter.values)
    run(label, example)


@pytest.mark.once
def test_the_exceptions_are_examples_that_other_files_run():
    ids = {parameter.id for parameter in EXAMPLES}
    assert {*_BACKENDS, *_ELSEWHERE} <= ids
    for path in _ELSEWHERE.values():
        assert importlib.util.find_spec(path.removesuffix(".py").replace("/", "."))


@pytest.mark.once
@pytest.mark.parametrize(
    "package", ["data", "data.datasets", "harmonization", "metrics"]
)
def test_every_function_has_an_example(package):
    module = importlib.import_module(f"keras_vatt.{package}")
    documented = [getattr(module, name) for name in module.__all__]
    without = {
        item.__name__
        for item in documented
        if inspect.isfunction(item) and not examples_in(inspect.getdoc(item))
    }
    # `open_media` hands files to the others, `build_cache` refers to `CachedClips`.
    assert without <= {"open_media", "build_cache"}
