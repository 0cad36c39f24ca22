"""An export that can't be written is an error with its path."""

import keras
import pytest

from keras_vatt.exporting import FORMATS
from tests.file_limits import file_size_limit
from tests.models.tiny import tiny_vatt

_NAMES = {"litert": "text.tflite", "torch": "text.pt2", "onnx": "text.onnx"}
_OWN = [name for name, able in FORMATS.items() if keras.config.backend() in able]


@pytest.mark.parametrize("format", _OWN)
def test_a_full_disk_is_an_error_with_the_path(tmp_path, format):
    path = tmp_path / _NAMES.get(format, "text")
    model = tiny_vatt()
    with (
        file_size_limit(4_000),
        pytest.raises(OSError, match="File too large") as caught,
    ):
        model.export(path, format=format, modality="text", clip_shape=(5,))
    assert caught.value.filename.startswith(str(path)) or format == "onnx"
