"""Exports PyTorch programs, and converts them into ONNX.

Keras' own ONNX export from PyTorch fixes the number of clips, or uses TorchScript,
which supports neither RMS norms nor the layout of 3-D convolutions.
"""

import pathlib
import tempfile
import warnings

import keras
import torch

from keras_vatt._files import check_space

# An upper bound of the size of a program without its weights.
_GRAPH_BYTES = 2_000_000


def write_program(model, filepath, input_spec, verbose, options):
    """Writes a program that accepts any number of clips.

    Args: see `keras_vatt.exporting.write_artifact`; `options` are its `kwargs`.
    """
    check_space(filepath, _GRAPH_BYTES + _bytes_of(model))
    any_number = {0: torch.export.Dim("batch", min=1)}
    keras.Model.export(
        model,
        str(filepath),
        format="torch",
        verbose=verbose,
        input_signature=[input_spec],
        **({"dynamic_shapes": any_number} | options),
    )


def write_onnx(model, filepath, input_spec, output_names, verbose, options):
    """Writes an exported program as ONNX.

    Args: see `keras_vatt.exporting.write_artifact`; `options` are its `kwargs`, those
        of `torch.onnx.export`.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "program.pt2"
        write_program(model, program, input_spec, verbose=False, options={})
        program = torch.export.load(str(program))
    with warnings.catch_warnings():
        # PyTorch's own code causes these warnings; users can't avoid them.
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            program,
            (),
            str(filepath),
            input_names=[input_spec.name],
            output_names=output_names,
            verbose=verbose,
            **({"external_data": False} | options),
        )


def _bytes_of(model):
    return sum(
        keras.ops.convert_to_numpy(variable.value).nbytes for variable in model.weights
    )
