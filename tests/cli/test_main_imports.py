"""The command line starts without a backend, and other backends without TensorFlow."""

import subprocess
import sys

import keras
import pytest

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
# Loading a preset is not here yet: Keras itself imports TensorFlow when it serializes.
_IMPORT_MODELS = """
import sys
import keras_vatt
assert keras_vatt.VATT
assert "tensorflow" not in sys.modules
"""


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "presets", "evaluate --help"]
)
def test_a_command_without_a_model_loads_no_backend(arguments):
    process = run(_COMMAND, *arguments.split())
    assert process.returncode == 0, process.stderr
    assert process.stdout
    assert not process.stderr


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow", reason="it is about the other backends"
)
def test_importing_the_models_imports_no_tensorflow():
    process = run(_IMPORT_MODELS)
    assert process.returncode == 0, process.stderr


@pytest.mark.once
@pytest.mark.parametrize("program", ["python", "keras-vatt"])
@pytest.mark.parametrize("name", ["harmonization", "storage"])
def test_each_package_can_be_the_first_import(program, name):
    code = f"import sys; sys.argv[0] = {program!r}; import keras_vatt.{name} as package"
    process = run(code + "; [getattr(package, name) for name in package.__all__]")
    assert process.returncode == 0, process.stderr
