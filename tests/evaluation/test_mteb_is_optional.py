"""Without mteb its encoder says what to install."""

import sys

import pytest

from keras_vatt.evaluation.mteb import MTEBEncoder
from tests.evaluation._tiny_datasets import save_vatt

pytestmark = pytest.mark.once


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    monkeypatch.setitem(sys.modules, "mteb.models.model_meta", None)
    with pytest.raises(ImportError, match=r"keras-vatt\[mteb\]"):
        MTEBEncoder(save_vatt(tmp_path / "preset"))
