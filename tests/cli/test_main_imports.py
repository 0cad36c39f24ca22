"""The command line starts without a backend, and other backends without TensorFlow."""

import subprocess
import sys

import keras
import pytest

from tests.processes import run

_COMMAND = """
import sys
sys.argv[0] = "bin/keras-vatt"  # As the installed program.
from keras_vatt.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
loaded = {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
assert not loaded, loaded
"""
_USE_MODEL = """
import pathlib
import sys
import numpy as np
import keras_vatt
from tests.models.tiny import tiny_batch
from tests.search.small import small_model, write_folder

folder, model = pathlib.Path(sys.argv[1]), small_model()
model.save_to_preset(folder / "preset")
model = keras_vatt.VATT.from_preset(folder / "preset")
model.encode(text=["a dog"])
keras_vatt.VATTWordPieceTokenizer(["[PAD]", "[UNK]", "a"])(["a dog"])
write_folder(folder / "media")
keras_vatt.search.embed_folder(
    model, folder / "media", folder / "index", progress=False
)
classifier = keras_vatt.VATTAudioClassifier(model.backbone, num_classes=2)
classifier.compile()
classifier.fit(np.zeros((2, 96, 1), "float32"), np.arange(2), verbose=0)
assert "tensorflow" not in sys.modules
"""


_SEARCH = """
import sys
sys.argv[0] = "bin/keras-vatt"
from keras_vatt.cli.main import main
sys.exit(main(["search", sys.argv[1], "--text", "a dog"]))
"""


@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "presets", "evaluate --help", "audit --help"]
)
def test_a_command_without_a_model_loads_no_backend(arguments):
    process = run(_COMMAND, *arguments.split())
    assert process.returncode == 0, process.stderr
    assert process.stdout
    assert not process.stderr


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow", reason="it is about the other backends"
)
def test_using_a_model_imports_no_tensorflow(tmp_path):
    process = run(_USE_MODEL, tmp_path)
    assert process.returncode == 0, process.stderr


@pytest.mark.once
@pytest.mark.parametrize(
    ("program", "name"), [("python", "harmonization"), ("keras-vatt", "storage")]
)
def test_each_package_can_be_the_first_import(program, name):
    code = f"import sys; sys.argv[0] = {program!r}; import keras_vatt.{name} as package"
    process = run(code + "; [getattr(package, name) for name in package.__all__]")
    assert process.returncode == 0, process.stderr


def test_a_command_prints_no_log_of_a_backend(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    process = run(_SEARCH, tmp_path)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("keras-vatt search: error: There is no index")


@pytest.mark.once
def test_a_command_runs_without_a_standard_error():
    process = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" presets 2>&-', sys.executable, _COMMAND],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert process.returncode == 0
    assert b"vatt_tiny_agnostic" in process.stdout
