"""Exports ONNX from TensorFlow with tf2onnx."""

import functools

import keras
import numpy as np


def write_onnx(model, filepath, input_spec, output_names, verbose, options):
    """Writes ONNX with Keras, and adds the operation `Erfc` that tf2onnx lacks.

    Args: see `keras_vatt.exporting.write_artifact`; `options` are its `kwargs`.
    """
    _register_erfc()
    keras.Model.export(
        model,
        str(filepath),
        format="onnx",
        verbose=verbose,
        input_signature=[input_spec],
        **options,
    )
    _name_outputs(filepath, output_names)


@functools.lru_cache
def _register_erfc():
    # TensorFlow's GELU is x / 2 * erfc(-x / sqrt(2)); ONNX only has erf = 1 - erfc.
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, context, node, **kwargs):
            dtype = context.get_dtype(node.output[0])
            shape = context.get_shape(node.output[0])
            erf = context.make_node(
                "Erf", [node.input[0]], dtypes=[dtype], shapes=[shape]
            )
            one = context.make_const(f"{node.name}_one", np.float32(1))
            output = node.output[0]
            name = node.name
            context.remove_node(name)
            context.make_node(
                "Sub",
                [one.output[0], erf.output[0]],
                name=name,
                outputs=[output],
                dtypes=[dtype],
                shapes=[shape],
            )


def _name_outputs(filepath, output_names):
    """Restores the names of the outputs, which tf2onnx sorts by name and renames."""
    import onnx

    model = onnx.load(str(filepath))
    graph = model.graph
    new_names = dict(
        zip((output.name for output in graph.output), output_names, strict=True)
    )
    for output in graph.output:
        output.name = new_names[output.name]
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                names[position] = new_names.get(name, name)
    onnx.save(model, str(filepath))
