"""What replicas exchange in a JAX training step, collective by collective."""

import math

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_vatt.training._replicas import OneReplica, replicas_per_group

_GROUP, _MEMBER = "group", "member"


def mesh_replicas(model):
    """The replicas of the current `keras.distribution`, `None` if it has one only.

    Args:
        model: the `HarmonizedModel`.

    Returns:
        `MeshReplicas` or `None`.
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
    # XLA for TPU was seen to make each reduce-scatter an all-reduce and a slice (v3 to
    # v6e, in 2026): there, gathering the slices again would come on top of that.
    keeps_reduce_scatter = mesh.devices.flat[0].platform != "tpu"
    shapes = [variable.shape for variable in model.trainable_variables]
    return MeshReplicas(mesh, shapes, layouts, cuts_gradients=keeps_reduce_scatter)


class MeshReplicas(OneReplica):
    """The replicas of a mesh, inside `jax.shard_map` over its axes `axes`.

    Two gradients are summed by reduce-scatter and put together by one all-gather: one
    and a half times what one all-reduce moves. Without a cut each replica keeps them
    whole, and two all-reduces move twice that.

    Args:
        mesh: `jax.sharding.Mesh` with the axes `"group"` and `"member"`, and maybe
            others, over which variables are sharded.
        shapes: list of the shapes of the trainable variables.
        layouts: list, for each variable a tuple of the name of the mesh axis along
            which each of its dimensions is sharded, or `None`.
        cuts_gradients: bool. Whether a replica's share of a gradient is a cut of it.
            Defaults to `True`.
    """

    axes = (_GROUP, _MEMBER)

    def __init__(self, mesh, shapes, layouts, cuts_gradients=True):
        self.mesh = mesh
        self.replicas_in_group = mesh.shape[_MEMBER]
        self._cuts_gradients = cuts_gradients and self.replicas_in_group > 1
        self.num_replicas = mesh.shape[_GROUP] * self.replicas_in_group
        self._shares = [
            _Share(tuple(shape), layout, self.replicas_in_group)
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

    def sum_into_shares(self, gradients):
        if self._cuts_gradients:
            return self._for_each(_Share.scatter, gradients)
        if self.replicas_in_group == 1:
            return gradients
        return jax.lax.psum(gradients, _MEMBER)

    def sum_over_shares(self, tensor):
        if self.replicas_in_group == 1:
            return tensor
        if self._cuts_gradients:
            return jax.lax.psum(tensor, _MEMBER)
        # All have summed the same numbers; now they agree to the last bit.
        return jax.lax.pmean(tensor, _MEMBER)

    def sum_over_groups(self, tree):
        if self.mesh.shape[_GROUP] == 1:
            return tree
        return jax.lax.psum(tree, _GROUP)

    def join_shares(self, gradients):
        if not self._cuts_gradients:
            return gradients
        return self._for_each(_Share.gather, gradients)

    def zero_shares(self, variables):
        if not self._cuts_gradients:
            return super().zero_shares(variables)
        pairs = zip(self._shares, variables, strict=True)
        return [jnp.zeros(share.share_shape, v.dtype) for share, v in pairs]

    def _for_each(self, exchange, gradients):
        return [
            None if gradient is None else exchange(share, gradient)
            for share, gradient in zip(self._shares, gradients, strict=True)
        ]


class _Share:
    """How a gradient is cut into equal shares.

    Along one of its dimensions if one can be divided; else it is laid out flat and
    filled up with zeros. A dimension that is sharded over devices already is not cut.
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
    def share_shape(self):
        if self.dimension is None:
            return ((self.size + self.padding) // self.count,)
        cut = list(self.shape)
        cut[self.dimension] //= self.count
        return tuple(cut)

    def scatter(self, gradient):
        if self.dimension is None:
            gradient = jnp.pad(gradient.reshape(-1), (0, self.padding))
        return jax.lax.psum_scatter(
            gradient, _MEMBER, scatter_dimension=self.dimension or 0, tiled=True
        )

    def gather(self, share):
        whole = jax.lax.all_gather(share, _MEMBER, axis=self.dimension or 0, tiled=True)
        if self.dimension is None:
            whole = whole[: self.size].reshape(self.shape)
        return whole


def _split_batch_axis(mesh, batch_axis, in_group):
    """The mesh with its batch axis cut into one of groups and one of their members."""
    place = mesh.axis_names.index(batch_axis)
    shape, names = list(mesh.devices.shape), list(mesh.axis_names)
    shape[place : place + 1] = [shape[place] // in_group, in_group]
    names[place : place + 1] = [_GROUP, _MEMBER]
    return jax.sharding.Mesh(np.reshape(mesh.devices, shape), tuple(names))
