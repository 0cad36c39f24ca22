"""The examples of the documentation run and give what they say."""

import re

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from keras_vatt.harmonization._realignment import realignment_weights

DOCUMENTED = [getattr(h, name) for name in h.__all__] + [realignment_weights]


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda item: item.__name__)
def test_the_example_runs(documented):
    (example,) = re.findall(r"```python\n(.*?)```", documented.__doc__, re.DOTALL)
    lines = [line.removeprefix("    ") for line in example.splitlines()]
    exec("\n".join(lines).strip(), {"__name__": "example"})


@pytest.mark.parametrize(
    ("gram", "harmonizer", "expected"),
    [
        ([[1.0, -0.5], [-0.5, 2.0]], h.Realignment(), [1.5, 1.25]),
        ([[1.0, -0.5], [-0.5, 2.0]], h.PCGrad(), [1.5, 1.25]),
        ([[1.0, -0.5], [-0.5, 2.0]], h.UPGrad(), [1.5, 1.25]),
        ([[1.0, 0.0], [0.0, 1.0]], h.GradVac(0.6), [1.75, 1.75]),
        ([[1.0, 0.0], [0.0, 1.0]], h.CAGrad(0.5), [1.5, 1.5]),
        ([[1.0, 0.0], [0.0, 3.0]], h.MGDA(), [0.75, 0.25]),
        ([[9.0, 0.0], [0.0, 1.0]], h.IMTLG(), [0.25, 0.75]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_weights_of_the_examples_are_right(gram, harmonizer, expected):
    weights, _ = harmonizer(gram)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), expected, rtol=1e-5)
