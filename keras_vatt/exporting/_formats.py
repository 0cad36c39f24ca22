"""Writes the inference graph of a model in an export format."""

from __future__ import annotations

import importlib.util
import os
import pathlib
from typing import Any

import keras

from keras_vatt._choices import check_choice
from keras_vatt._os_errors import os_errors_at

# The backends whose exporter works with all towers. Keras supports more combinations,
# but those require packages that conflict with our dependencies (torch-xla, jax2onnx)
# or fail for one of the towers (litert-torch for text, jax2onnx for video).
FORMATS = {
    "tf_saved_model": ("tensorflow", "jax"),
    "onnx": ("tensorflow", "torch"),
    "litert": ("tensorflow",),
    "torch": ("torch",),
}
_SUFFIXES = {"litert": ".tflite", "torch": ".pt2"}
_PACKAGES = {"tensorflow": ("onnx", "tf2onnx"), "torch": ("onnx", "onnxscript")}


def write_artifact(
    model: keras.Model,
    filepath: str | os.PathLike,
    format: str,
    input_spec: keras.InputSpec,
    output_names: list[str],
    verbose: bool = False,
    **kwargs: Any,
) -> None:
    """Writes the inference graph of a model with one input.

    Args:
        model: `keras.Model` that maps a tensor to a dict of tensors.
        filepath: string or path of the file, or of the folder for
            `"tf_saved_model"`.
        format: string, a key of `FORMATS`.
        input_spec: `keras.InputSpec` with `shape`, `dtype` and `name`.
        output_names: list of strings, the keys of the model's outputs.
        verbose: bool. Whether Keras prints what it has written. Defaults to `False`.
        **kwargs: options of Keras' exporter for the format.

    Raises:
        ValueError: if the format is unknown or not supported by the current backend,
            or the file name doesn't have the suffix of the format.
        ImportError: if a required package is not installed.
        OSError: if the file can't be written, such as on a full disk.
    """
    filepath = pathlib.Path(filepath)
    _check_format(format)
    _check_suffix(format, filepath)
    filepath.parent.mkdir(parents=True, exist_ok=True)
    with os_errors_at(filepath):
        _write(model, filepath, format, input_spec, output_names, verbose, kwargs)


def _write(model, filepath, format, input_spec, output_names, verbose, kwargs):
    if format == "onnx":
        _check_packages()
        return _write_onnx(model, filepath, input_spec, output_names, verbose, kwargs)
    if format == "torch":
        from keras_vatt.exporting._torch_program import write_program

        return write_program(model, filepath, input_spec, verbose, kwargs)
    keras.Model.export(
        model,
        str(filepath),
        format=format,
        verbose=verbose,
        input_signature=[input_spec],
        **kwargs,
    )
    return None


def _write_onnx(model, filepath, input_spec, output_names, verbose, kwargs):
    if keras.config.backend() == "torch":
        from keras_vatt.exporting._torch_program import write_onnx
    else:
        from keras_vatt.exporting._tensorflow_onnx import write_onnx
    write_onnx(model, filepath, input_spec, output_names, verbose, kwargs)
    import onnx

    # For operations that ONNX doesn't have, Keras' exporter only logs a message.
    onnx.checker.check_model(str(filepath))


def _check_format(format):
    if format == "openvino":
        raise ValueError(
            "`format='openvino'` is not supported. OpenVINO reads ONNX: export with "
            "`format='onnx'` and load the file with `openvino.Core().read_model`."
        )
    check_choice("format", format, FORMATS)
    backend = keras.config.backend()
    if backend in FORMATS[format]:
        return
    able = " or ".join(FORMATS[format])
    own = [name for name, backends in FORMATS.items() if backend in backends]
    raise ValueError(
        f"The backend '{backend}' does not support the export format '{format}', only "
        f"{own}. Save the model with `model.save_to_preset(folder)`, then load and "
        f"export it in a process with KERAS_BACKEND={able}. It has the same outputs "
        "there."
    )


def _check_suffix(format, filepath):
    suffix = _SUFFIXES.get(format)
    if suffix is not None and filepath.suffix != suffix:
        raise ValueError(
            f"`filepath` must end with '{suffix}' for the format '{format}'. Received: "
            f"filepath={str(filepath)!r}"
        )


def _check_packages():
    missing = [
        name
        for name in _PACKAGES[keras.config.backend()]
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ImportError(
            f"Exporting to ONNX requires {' and '.join(missing)}: "
            '`pip install "keras-vatt[export]"`.'
        )
