"""How VATT is spread over devices."""

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


def make_distribution(devices, model_parallel=1):
    """How VATT is spread over devices, on the JAX backend.

    Each process is to hand over its own part of a batch, as
    `keras_vatt.data.make_dataset` makes it.

    Args:
        devices: list of JAX devices, which need not be there, or of their names.
        model_parallel: int, how many devices share one copy of the model; it divides
            the number of devices. Defaults to `1`.

    Returns:
        A `keras.distribution.Distribution`.
    """
    if model_parallel == 1:
        mesh = keras.distribution.DeviceMesh((len(devices),), ("batch",), devices)
        return keras.distribution.DataParallel(
            device_mesh=mesh, auto_shard_dataset=False
        )
    shape = (len(devices) // model_parallel, model_parallel)
    mesh = keras.distribution.DeviceMesh(shape, ("batch", "model"), devices)
    return keras.distribution.ModelParallel(
        layout_map=encoder_layout_map(mesh),
        batch_dim_name="batch",
        auto_shard_dataset=False,
    )
