"""Weights of a model in a safetensors file, by names that stay."""

import safetensors
import safetensors.numpy
from keras import ops

from keras_vatt.storage.tensor_names import named_variables


class WeightsMismatchError(ValueError):
    """A weights file and a model do not fit: says all that is wrong.

    Attributes:
        problems: list of strings, one a tensor.
    """

    def __init__(self, path, problems):
        shown = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"The weights {str(path)!r} do not fit the model in {len(problems)} "
            f"tensors:\n{shown}"
        )
        self.problems = problems


def save_weights(model, path):
    """Write the weights of a model to a safetensors file.

    Args:
        model: a VATT model or backbone; see `named_variables`.
        path: string or path of the file.
    """
    tensors = {
        name: ops.convert_to_numpy(variable.value)
        for name, variable in named_variables(model).items()
    }
    # `format` is what readers of the Hugging Face libraries look for.
    safetensors.numpy.save_file(tensors, path, metadata={"format": "keras"})


def load_weights(model, path, ignored_prefixes=()):
    """Copy the tensors of a safetensors file into a model, or none of them.

    Every weight of the model must be in the file with its shape and a float dtype
    (which is converted to the model's), and nothing else may be there.

    Args:
        model: a VATT model or backbone; see `named_variables`.
        path: string or path of the file.
        ignored_prefixes: tuple of strings. Tensors of the file whose names begin
            with one of them are left alone. Defaults to `()`.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsMismatchError: if tensors are missing, left over or don't fit; the
            model is as it was.
        ValueError: if the file is truncated or no safetensors file.
    """
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            variables = named_variables(model)
            problems = _problems(file, variables, ignored_prefixes)
            if problems:
                raise WeightsMismatchError(path, problems)
            for name, variable in variables.items():
                variable.assign(file.get_tensor(name))
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"The weights {str(path)!r} can't be read; the file is damaged or "
            f"truncated: {error}"
        ) from error


def _problems(file, variables, ignored_prefixes):
    present = {name for name in file.keys() if not name.startswith(ignored_prefixes)}  # noqa: SIM118
    problems = [f"missing: {name}" for name in variables if name not in present]
    problems += [f"not expected: {name}" for name in sorted(present - set(variables))]
    for name, variable in variables.items():
        if name not in present:
            continue
        tensor = file.get_slice(name)
        shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
        if shape != tuple(variable.shape):
            problems.append(
                f"wrong shape: {name} is {shape}, expected {tuple(variable.shape)}"
            )
        if dtype not in ("F16", "BF16", "F32", "F64"):
            problems.append(f"wrong dtype: {name} is {dtype}, expected a float")
    return problems
