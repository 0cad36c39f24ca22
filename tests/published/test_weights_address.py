"""The base address of the published checkpoints."""

import pytest

from keras_vatt.storage import PresetError
from keras_vatt.storage._weights_address import weights_address

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/vatt/",
        "http://127.0.0.1:8000/vatt",
        "http://localhost/vatt",
        "http://[::1]:80/vatt",
    ],
)
def test_https_and_this_machine_are_allowed(address):
    assert weights_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/vatt",
        "http://127.0.0.1.example.org/vatt",
        "http://localhost@example.org/vatt",
        "https://user:secret@example.org",
        "https://example.org/vatt?token=1",
        "https://example.org/vatt#a",
        "https://example.org/a b",
        "https://example.org/\x1b[2J",
        "https://",
        "https://[::1",
        "https://example.org:port",
        "ftp://example.org/vatt",
        "file:///etc",
        "/etc",
    ],
)
def test_other_addresses_are_refused(address):
    with pytest.raises(PresetError, match="must begin with https://") as error:
        weights_address(address)
    assert "secret" not in str(error.value)


def test_the_environment_variable_replaces_the_public_address(monkeypatch):
    monkeypatch.delenv("KERAS_VATT_WEIGHTS_URL", raising=False)
    assert weights_address().startswith("https://storage.googleapis.com/")
    monkeypatch.setenv("KERAS_VATT_WEIGHTS_URL", "https://mirror.example.org")
    assert weights_address() == "https://mirror.example.org"
    assert weights_address("https://example.org") == "https://example.org"
