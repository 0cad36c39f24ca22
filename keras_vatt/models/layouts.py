"""How the weights of VATT are sharded over devices."""

import keras


def encoder_layout_map(device_mesh, model_axis="model"):
    """Layout map that cuts the encoders' matrices among the devices of an axis.

    Attention is cut by heads and the perceptrons by hidden units, so that one sum over
    the axis ends each (Shoeybi et al., "Megatron-LM", 2019). All else is on every
    device.

    Args:
        device_mesh: `keras.distribution.DeviceMesh`.
        model_axis: string, the axis of the mesh. Defaults to `"model"`.

    Returns:
        `keras.distribution.LayoutMap`.

    Raises:
        ValueError: if the mesh has no such axis.
    """
    if model_axis not in device_mesh.axis_names:
        raise ValueError(
            f"The mesh has no axis '{model_axis}'. It has: {device_mesh.axis_names}"
        )
    layout_map = keras.distribution.LayoutMap(device_mesh)
    for layers in (".*/attention/(query|key|value)", ".*/feed_forward/inner"):
        layout_map[f"{layers}/kernel"] = (None, model_axis)
        layout_map[f"{layers}/bias"] = (model_axis,)
    for layer in (".*/attention/output", ".*/feed_forward/outer"):
        layout_map[f"{layer}/kernel"] = (model_axis, None)
    return layout_map
