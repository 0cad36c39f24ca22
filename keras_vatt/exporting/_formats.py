"""Export formats: the backends that write them, and the calls."""

import importlib.util
import pathlib

import keras

from keras_vatt._os_errors import os_errors_at

# Backends whose exporter passes the tests with every tower. Keras itself offers more:
# what it writes elsewhere needs packages that don't go with ours (torch-xla, jax2onnx),
# or fails with one of the towers (litert-torch with text, jax2onnx with video).
FORMATS = {
    "tf_saved_model": ("tensorflow", "jax"),
    "onnx": ("tensorflow", "torch"),
    "litert": ("tensorflow",),
    "torch": ("torch",),
}
_SUFFIXES = {"litert": ".tflite", "torch": ".pt2"}
_PACKAGES = {"tensorflow": ("onnx", "tf2onnx"), "torch": ("onnx", "onnxscript")}


def write_artifact(
    model, filepath, format, input_spec, output_names, verbose=False, **kwargs
):
    """Writes the inference graph of a model with one input.

    Args:
        model: `keras.Model` that maps a tensor to a dict of tensors.
        filepath: path of the file, for `"tf_saved_model"` of the folder.
        format: string, a key of `FORMATS`.
        input_spec: `keras.InputSpec` with `shape`, `dtype` and `name`.
        output_names: list of strings, the keys of the model's outputs.
        verbose: bool. Whether Keras says what it has written. Defaults to `False`.
        **kwargs: options of Keras' exporter for the format.

    Raises:
        ValueError: if there is no such format, if this backend can't write it, or if
            the file's name doesn't end as the format wants.
        ImportError: if a package is missing.
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

    # Keras' exporter only logs an operation that ONNX doesn't have.
    onnx.checker.check_model(str(filepath))


def _check_format(format):
    if format == "openvino":
        raise ValueError(
            "OpenVINO reads ONNX: export with `format='onnx'` and load the file with "
            "`openvino.Core().read_model`."
        )
    if format not in FORMATS:
        raise ValueError(
            f"`format` must be one of {list(FORMATS)}. Received: format={format!r}"
        )
    backend = keras.config.backend()
    if backend in FORMATS[format]:
        return
    able = " or ".join(FORMATS[format])
    own = [name for name, backends in FORMATS.items() if backend in backends]
    raise ValueError(
        f"Format '{format}' can't be written with the backend '{backend}', which "
        f"writes {own}. A preset has the same numbers on every backend: "
        "`model.save_to_preset(folder)`, then load it and export it in a process "
        f"with KERAS_BACKEND={able}."
    )


def _check_suffix(format, filepath):
    suffix = _SUFFIXES.get(format)
    if suffix is not None and filepath.suffix != suffix:
        raise ValueError(
            f"The file of format '{format}' must end with '{suffix}'. Received: "
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
            f"To export ONNX, {' and '.join(missing)} must be installed: "
            '`pip install "keras-vatt[export]"`.'
        )
