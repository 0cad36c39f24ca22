"""Reproducer for JAX: `jax.nn.dot_product_attention` on a CPU against a loop."""

import statistics
import time

import jax
import jax.numpy as jnp


def loop(q, k, v):
    b, t, n, h = q.shape
    one = jax.checkpoint(lambda qkv: jax.nn.softmax(qkv[0] @ qkv[1].T) @ qkv[2])
    rows = [x.transpose(0, 2, 1, 3).reshape(b * n, t, h) for x in (q * h**-0.5, k, v)]
    return jax.lax.map(one, rows).reshape(b, n, t, h).transpose(0, 2, 1, 3)


for t in (64, 196, 392, 784):
    q = jax.random.normal(jax.random.key(0), (2, t, 8, 64))
    for attention in (jax.nn.dot_product_attention, loop):
        forward = jax.jit(attention)
        gradient = jax.jit(jax.grad(lambda x, f=attention: jnp.sin(f(x, x, x)).sum()))
        for name, run in (("forward", forward), ("gradient", gradient)):
            compiled = run.lower(q).compile()
            seconds = []
            for _ in range(11):
                start = time.perf_counter()
                jax.block_until_ready(compiled(q))
                seconds.append(time.perf_counter() - start)
            megabytes = compiled.memory_analysis().temp_size_in_bytes / 1e6
            milliseconds = 1e3 * statistics.median(seconds)
            print(
                t, attention.__name__, name, f"{milliseconds:.1f} ms {megabytes:.0f} MB"
            )
