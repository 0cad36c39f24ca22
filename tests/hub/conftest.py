"""A Hub for each test, and a client that talks to nothing else."""

import pytest

from tests.hub.local_hub import client_of, running_hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with running_hub() as server, client_of(server.url, tmp_path, monkeypatch):
        yield server
