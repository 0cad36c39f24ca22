"""Fixtures and settings of all tests."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests compare three backends; they all run on the CPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Tiny models run a few steps: compile fast, not well. Eight devices are there for the
# tests that ask for them.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1",
)

import keras
import numpy as np
import pytest

# The stores import the library, so that they come after the settings.
pytest_plugins = ["tests.stores"]


def pytest_configure(config):
    if keras.config.backend() == "torch":
        import torch

        # Tiny tensors: threads wait for one another longer than they work.
        torch.set_num_threads(1)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        # For the tests of several replicas; the others take the first.
        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            device, [tf.config.LogicalDeviceConfiguration()] * 4
        )
    if keras.config.backend() == "jax":
        import jax

        # Many tests compile the same program: once is enough. The processes that tests
        # start have the same settings from the environment.
        for name, value in {
            "jax_compilation_cache_dir": str(config.cache.mkdir("jax_programs")),
            "jax_persistent_cache_min_compile_time_secs": 0.0,
            "jax_persistent_cache_min_entry_size_bytes": -1,
        }.items():
            jax.config.update(name, value)
            os.environ[name.upper()] = str(value)


# The longest modules come first, so that no process waits for the other at the end.
_LONGEST = ("test_guides.py", "distribution/", "pretraining/", "training/", "presets/")


def pytest_collection_modifyitems(config, items):
    """Leaves the tests that do not depend on the backend to PyTorch, the fastest."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in _LONGEST))
    if keras.config.backend() == "torch":
        return
    once = [item for item in items if item.get_closest_marker("once")]
    config.hook.pytest_deselected(items=once)
    items[:] = [item for item in items if not item.get_closest_marker("once")]


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _empty_preset_cache(tmp_path_factory):
    """Hides published presets that a developer has in the cache."""
    from huggingface_hub import constants

    constants.HF_ASSETS_CACHE = str(tmp_path_factory.mktemp("assets"))


@pytest.fixture(autouse=True, scope="module")
def _memory_is_given_back():
    yield
    if keras.config.backend() == "jax":
        import jax

        # Programs hold their models, and are read again from the disk if need be.
        jax.clear_caches()
    gc.collect()


@pytest.fixture
def gradients():
    """A function `(scalar function, arrays) -> gradients as NumPy arrays`."""
    return _GRADIENTS[keras.config.backend()]


def _jax_gradients(function, arrays):
    import jax

    arguments = tuple(range(len(arrays)))
    values = [jax.numpy.asarray(array, "float32") for array in arrays]
    return [np.asarray(g) for g in jax.jit(jax.grad(function, arguments))(*values)]


def _tensorflow_gradients(function, arrays):
    import tensorflow as tf

    values = [tf.convert_to_tensor(array, "float32") for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = function(*values)
    return [gradient.numpy() for gradient in tape.gradient(loss, values)]


def _torch_gradients(function, arrays):
    import torch

    values = [torch.tensor(array).float().requires_grad_() for array in arrays]
    return [g.numpy() for g in torch.autograd.grad(function(*values), values)]


_GRADIENTS = {
    "jax": _jax_gradients,
    "tensorflow": _tensorflow_gradients,
    "torch": _torch_gradients,
}
