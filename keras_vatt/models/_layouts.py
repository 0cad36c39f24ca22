"""Distributes VATT over devices."""

from collections.abc import Sequence
from typing import Any

import keras


def encoder_layout_map(
    device_mesh: keras.distribution.DeviceMesh, model_axis: str = "model"
) -> keras.distribution.LayoutMap:
    """Returns a layout map that shards the encoders' matrices over a mesh axis.

    The attention is sharded by heads and the MLP by hidden units, so that each needs
    one all-reduce over the axis (Shoeybi et al., "Megatron-LM", 2019). All other
    weights are replicated.

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
    for layers in (".*/attention/(query|key|value)", ".*/feed_forward/(inner|gate)"):
        layout_map[f"{layers}/kernel"] = (None, model_axis)
        layout_map[f"{layers}/bias"] = (model_axis,)
    for layer in (".*/attention/output", ".*/feed_forward/outer"):
        layout_map[f"{layer}/kernel"] = (model_axis, None)
    return layout_map


def make_distribution(
    devices: Sequence[Any], model_parallel: int = 1
) -> keras.distribution.DataParallel | keras.distribution.ModelParallel:
    """Makes a data-parallel or model-parallel distribution of VATT, on JAX.

    Each process must supply its own part of the batch, like
    `keras_vatt.data.make_dataset`.

    Args:
        devices: list of JAX devices or their names. They may be abstract, for
            compilation only.
        model_parallel: int, number of devices per copy of the model; must divide the
            number of devices. Defaults to `1`.

    Returns:
        `keras.distribution.DataParallel` or `keras.distribution.ModelParallel`.
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
