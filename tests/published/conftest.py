"""A server with the published checkpoint of a tiny preset, and an empty cache."""

import pytest

from tests.published.tiny_publication import files, published


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory):
    return files(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def server(tiny_files, tmp_path, monkeypatch):
    with published(tiny_files, tmp_path / "hf", monkeypatch) as server:
        yield server


@pytest.fixture
def cache(server, tmp_path):
    """The folder of the cache, which appears when it is written to."""
    return tmp_path / "hf" / "keras_vatt"
