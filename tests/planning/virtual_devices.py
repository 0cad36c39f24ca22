"""Compiles programs for 8 virtual devices. The tests run it in a separate process.

Prints the collectives found in each program and the expected ones as JSON.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from keras_vatt.planning._collectives import read_collectives, summarize

MESH = Mesh(np.array(jax.devices()).reshape(4, 2), ("batch", "model"))
ROWS, COLUMNS = 16, 24
FULL = ROWS * COLUMNS * 4


def local_programs():
    """Returns per-device functions, with their expected collectives and bytes."""

    def loop(x):
        def body(_, carry):
            return jax.lax.psum(carry, "batch") * 0.5

        return jax.lax.fori_loop(0, 6, body, x)

    return {
        "all-reduce": (lambda x: jax.lax.psum(x, "batch"), 1, 2 * 3 / 4 * FULL),
        "reduce-scatter": (
            lambda x: jax.lax.psum_scatter(x, "batch", tiled=True),
            1,
            3 / 4 * FULL,
        ),
        "all-gather": (
            lambda x: jax.lax.all_gather(x, "model", tiled=True),
            1,
            1 / 2 * 2 * FULL,
        ),
        "all-to-all": (
            lambda x: jax.lax.all_to_all(x, "batch", 0, 1, tiled=True),
            1,
            3 / 4 * FULL,
        ),
        "collective-permute": (
            lambda x: jax.lax.ppermute(
                x, "batch", [(i, (i + 1) % 4) for i in range(4)]
            ),
            1,
            FULL,
        ),
        "loop": (loop, 6, 6 * 2 * 3 / 4 * FULL),
    }


def read(function, *arguments):
    text = jax.jit(function).lower(*arguments).compile().as_text()
    return summarize(read_collectives(text))


def run_local(function):
    mapped = jax.shard_map(
        function,
        mesh=MESH,
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(("batch", "model")),
        check_vma=False,
    )
    copied = NamedSharding(MESH, PartitionSpec())
    shape = jax.ShapeDtypeStruct((ROWS, COLUMNS), jnp.float32, sharding=copied)
    return read(mapped, shape)


def sharded_gradient():
    """Compiles a gradient over the whole mesh, for which XLA adds an all-reduce."""

    def gradient(weight, x):
        return jax.grad(lambda w: jnp.sum(jnp.tanh(x @ w)))(weight)

    split = NamedSharding(MESH, PartitionSpec(("batch", "model")))
    copied = NamedSharding(MESH, PartitionSpec())
    weight = jax.ShapeDtypeStruct((COLUMNS, ROWS), jnp.float32, sharding=copied)
    x = jax.ShapeDtypeStruct((64, COLUMNS), jnp.float32, sharding=split)
    return read(jax.jit(gradient, out_shardings=copied), weight, x)


def main():
    results = {}
    for name, (function, count, sent) in local_programs().items():
        results[name] = {"read": run_local(function), "count": count, "sent": sent}
    results["gradient"] = {
        "read": sharded_gradient(),
        "count": 1,
        "sent": 2 * 7 / 8 * FULL,
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
