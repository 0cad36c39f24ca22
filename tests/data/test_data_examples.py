"""The examples of the documentation run."""

import inspect
import re
import textwrap

import pytest

import keras_vatt.data
from keras_vatt.data import datasets
from keras_vatt.data.demo import _moving_shapes as moving_shapes

pytestmark = pytest.mark.once

DOCUMENTED = [getattr(keras_vatt.data, name) for name in keras_vatt.data.__all__]
DOCUMENTED += [getattr(datasets, name) for name in datasets.__all__]
DOCUMENTED.append(moving_shapes.render_moving_shape)
EXAMPLES = {
    item.__name__: re.findall(r"```python\n(.*?)```", inspect.getdoc(item), re.DOTALL)
    for item in DOCUMENTED
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """One folder for all examples, so that the demo corpus is generated once."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", [name for name, found in EXAMPLES.items() if found])
def test_the_example_runs(name, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    (example,) = EXAMPLES[name]
    exec(textwrap.dedent(example), {"__name__": "example"})


def test_every_function_has_an_example():
    without = {name for name, found in EXAMPLES.items() if not found}
    functions = {item.__name__ for item in DOCUMENTED if inspect.isfunction(item)}
    # `open_media` hands files to the others, `build_cache` refers to `CachedClips`.
    assert without & functions == {"open_media", "build_cache"}
