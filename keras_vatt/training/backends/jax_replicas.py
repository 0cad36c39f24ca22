"""The collectives between the replicas of a JAX training step."""

import math

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_vatt.training._replicas import OneReplica, replicas_per_group

_GROUP, _MEMBER = "group", "member"


def mesh_replicas(model):
    """Returns the replicas of the current `keras.distribution`.

    Args:
        model: the `HarmonizedModel`.

    Returns:
        `MeshReplicas`; `None` if there is one replica only.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return None
    mesh = distribution.device_mesh.backend_mesh
    num_replicas = mesh.shape[distribution.batch_dim_name]
    if num_replicas == 1:
        return None
    in_group = replicas_per_group(model, num_replicas)
    mesh = _split_batch_axis(mesh, distribution.batch_dim_name, in_group)
    layouts = [
        distribution.get_variable_layout(variable).axes
        for variable in model.trainable_variables
    ]
    # XLA for TPU (v3 to v6e, measured in 2026) compiles each reduce-scatter to an
    # all-reduce and a slice: there, the all-gather would be an additional cost.
    keeps_reduce_scatter = mesh.devices.flat[0].platform != "tpu"
    shapes = [variable.shape for variable in model.trainable_variables]
    return MeshReplicas(mesh, shapes, layouts, shards_gradients=keeps_reduce_scatter)


class MeshReplicas(OneReplica):
    """The replicas of a mesh, inside `jax.shard_map` over its axes `axes`.

    Two gradients take two reduce-scatters and one all-gather: 1.5 times the traffic of
    one all-reduce. Without sharding, each replica keeps whole gradients, and two
    all-reduces take twice that traffic.

    Args:
        mesh: `jax.sharding.Mesh` with the axes `"group"` and `"member"`, and maybe
            others, over which variables are sharded.
        shapes: list of the shapes of the trainable variables.
        layouts: list, for each variable a tuple of the name of the mesh axis along
            which each of its dimensions is sharded, or `None`.
        shards_gradients: bool. Whether each replica keeps a shard of a gradient, not
            the whole gradient. Defaults to `True`.
    """

    axes = (_GROUP, _MEMBER)

    def __init__(self, mesh, shapes, layouts, shards_gradients=True):
        self.mesh = mesh
        self.replicas_in_group = mesh.shape[_MEMBER]
        self._shards_gradients = shards_gradients and self.replicas_in_group > 1
        self.num_replicas = mesh.shape[_GROUP] * self.replicas_in_group
        self._shardings = [
            _Sharding(tuple(shape), layout, self.replicas_in_group)
            for shape, layout in zip(shapes, layouts, strict=True)
        ]

    @property
    def index(self):
        return jax.lax.axis_index(self.axes)

    def count_samples(self, batch):
        return super().count_samples(batch) * self.num_replicas

    def gather_rows(self, tree):
        return jax.tree.map(
            lambda rows: jax.lax.all_gather(rows, self.axes, tiled=True), tree
        )

    def own_rows(self, tree):
        def own(rows):
            count = rows.shape[0] // self.num_replicas
            return jax.lax.dynamic_slice_in_dim(rows, self.index * count, count)

        return jax.tree.map(own, tree)

    def sum_gradients(self, gradients):
        return jax.lax.psum(gradients, self.axes)

    def sum_into_shards(self, gradients):
        if self._shards_gradients:
            return self._for_each(_Sharding.scatter, gradients)
        if self.replicas_in_group == 1:
            return gradients
        return jax.lax.psum(gradients, _MEMBER)

    def sum_over_shards(self, tensor):
        if self.replicas_in_group == 1:
            return tensor
        if self._shards_gradients:
            return jax.lax.psum(tensor, _MEMBER)
        # All have summed the same numbers; the mean makes them equal bit for bit.
        return jax.lax.pmean(tensor, _MEMBER)

    def sum_over_groups(self, tree):
        if self.mesh.shape[_GROUP] == 1:
            return tree
        return jax.lax.psum(tree, _GROUP)

    def join_shards(self, gradients):
        if not self._shards_gradients:
            return gradients
        return self._for_each(_Sharding.gather, gradients)

    def zero_shards(self, variables):
        if not self._shards_gradients:
            return super().zero_shards(variables)
        pairs = zip(self._shardings, variables, strict=True)
        return [jnp.zeros(sharding.shard_shape, v.dtype) for sharding, v in pairs]

    def _for_each(self, exchange, gradients):
        return [
            None if gradient is None else exchange(sharding, gradient)
            for sharding, gradient in zip(self._shardings, gradients, strict=True)
        ]


class _Sharding:
    """The division of a gradient into equal shards.

    A gradient is divided along one of its dimensions, if the number of shards divides
    it; otherwise it is flattened and padded with zeros. A dimension that is sharded
    over devices already is not divided again.
    """

    def __init__(self, shape, layout, count):
        self.shape, self.count = shape, count
        candidates = [
            dim
            for dim, (size, axis) in enumerate(zip(shape, layout, strict=True))
            if axis is None and size % count == 0 and size
        ]
        self.dimension = max(candidates, key=lambda dim: shape[dim], default=None)
        self.size = math.prod(shape)
        self.padding = -self.size % count

    @property
    def shard_shape(self):
        if self.dimension is None:
            return ((self.size + self.padding) // self.count,)
        shape = list(self.shape)
        shape[self.dimension] //= self.count
        return tuple(shape)

    def scatter(self, gradient):
        if self.dimension is None:
            gradient = jnp.pad(gradient.reshape(-1), (0, self.padding))
        return jax.lax.psum_scatter(
            gradient, _MEMBER, scatter_dimension=self.dimension or 0, tiled=True
        )

    def gather(self, shard):
        whole = jax.lax.all_gather(shard, _MEMBER, axis=self.dimension or 0, tiled=True)
        if self.dimension is None:
            whole = whole[: self.size].reshape(self.shape)
        return whole


def _split_batch_axis(mesh, batch_axis, in_group):
    """Returns the mesh with its batch axis split into groups and their members."""
    place = mesh.axis_names.index(batch_axis)
    shape, names = list(mesh.devices.shape), list(mesh.axis_names)
    shape[place : place + 1] = [shape[place] // in_group, in_group]
    names[place : place + 1] = [_GROUP, _MEMBER]
    return jax.sharding.Mesh(np.reshape(mesh.devices, shape), tuple(names))
