"""The modules of all backends have the functions of the protocol."""

import ast
import functools
import inspect
import pathlib
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization
from keras_vatt.training import _harmonized_model, _harmonized_step, backends
from keras_vatt.training.backends.protocol import Backend
from tests.training.steps import train, values_of
from tests.training.toy import ToyModel

_PROTOCOL = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in vars(Backend).items()
    if inspect.isfunction(function) and not name.startswith("_")
}


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_a_backend_has_the_functions_of_the_protocol(backend):
    # Read, not imported: no session has all backends.
    source = pathlib.Path(backends.__path__[0], f"{backend}.py").read_text("utf-8")
    functions = {
        node.name: tuple(argument.arg for argument in node.args.args)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    # Keras' trainers pass the state on JAX only.
    for step in ("train_step", "test_step"):
        state = ("state",) if backend == "jax" else ()
        assert functions.pop(step) == ("model", *state, "data")
    expected = {name: _PROTOCOL[name] for name in _PROTOCOL if "_step" not in name}
    assert functions == expected


def test_reference_step_gives_the_gradients_of_the_step():
    (code,) = re.findall("```python\n(.*?)```", _harmonized_step.__doc__, re.DOTALL)
    names = vars(_harmonized_step) | {
        "functools": functools,
        "harmonization": harmonization,
        "ops": ops,
    }
    exec(compile(code, "reference", "exec"), names)
    model = ToyModel(shared=True)
    model.compile(keras.optimizers.SGD(1.0), harmonization.Realignment())
    batch = {
        "first": np.array([[1.0, 2.0, 3.0]] * 4, "float32"),
        "second": np.array([[-2.0, 1.0, -1.0]] * 4, "float32"),
    }
    tensors = {name: ops.convert_to_tensor(array) for name, array in batch.items()}
    gradients, apply = names["reference_step"](
        _harmonized_model._backend, model, tensors
    )
    assert ops.convert_to_numpy(apply)
    expected = [1 - ops.convert_to_numpy(gradient) for gradient in gradients]
    train(model, batch)
    np.testing.assert_allclose(
        values_of(model.trainable_variables), expected, rtol=1e-5
    )
