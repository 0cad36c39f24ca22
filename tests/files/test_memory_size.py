"""The memory of a container counts, not that of its machine."""

import math

import pytest

from keras_vatt.storage import _memory_size

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("limit", "expected"), [("1000000\n", 1_000_000), ("max", None)]
)
def test_the_limit_of_a_container_is_the_memory(tmp_path, monkeypatch, limit, expected):
    whole = _memory_size.physical_memory()
    path = tmp_path / "memory.max"
    path.write_text(limit)
    monkeypatch.setattr(_memory_size, "_CONTAINER_LIMIT", path)
    assert _memory_size.physical_memory() == (expected or whole)
    assert 0 < whole < math.inf
