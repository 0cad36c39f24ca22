"""The examples of the documentation run."""

import inspect
import re
import textwrap

import pytest

from keras_vatt import evaluation

pytestmark = pytest.mark.once

EXAMPLES = {
    name: re.findall(
        r"```python\n(.*?)```", inspect.getdoc(getattr(evaluation, name)), re.DOTALL
    )
    for name in evaluation.__all__
}


@pytest.mark.parametrize("name", [name for name, found in EXAMPLES.items() if found])
def test_the_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = EXAMPLES[name]
    exec(textwrap.dedent(example), {"__name__": "example"})


def test_every_function_of_arrays_has_an_example():
    functions = {
        name for name in EXAMPLES if inspect.isfunction(getattr(evaluation, name))
    }
    # These need a pre-trained model and its clips.
    of_models = {"format_retrieval", "zero_shot_ranks", "zero_shot_retrieval"}
    assert functions - {name for name, found in EXAMPLES.items() if found} == of_models
