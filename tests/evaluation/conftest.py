"""Fixtures of the tests of the evaluation."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _one_thread():
    """On tiny matrices, threads wait for one another longer than they work."""
    with threadpool_limits(1):
        yield
