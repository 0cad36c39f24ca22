"""Fixtures of the tests of the evaluation."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _one_thread():
    """Uses one thread: several are slower on tiny matrices."""
    with threadpool_limits(1):
        yield
