"""Sets JAX up to compile for TPUs on a machine without a TPU."""

from __future__ import annotations

import importlib.util
import os

from keras_vatt.planning._errors import PlanningError

# Only the compiler is needed. These prevent the search for local TPUs and requests to
# the metadata server, allow concurrent compilations, and hide all log messages but
# errors.
_VARIABLES = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
}


def prepare_compiler(backend: str) -> None:
    """Sets up this process to compile for TPUs on a machine without a TPU.

    Args:
        backend: string, the name of the Keras backend.

    Raises:
        PlanningError: if the backend isn't JAX, or `libtpu` is not installed.
    """
    if backend != "jax":
        raise PlanningError(
            "planning compiles the train step of the JAX backend, and the backend is "
            f"{backend!r}: set KERAS_BACKEND=jax"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise PlanningError(
            "compiling for TPUs requires libtpu, Google's compiler (137 MB, under the "
            'Google Cloud Platform Terms of Service): pip install "keras-vatt[plan]"'
        )
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    import jax

    # Keras has already imported JAX, which reads JAX_PLATFORMS at import.
    if jax.config.jax_platforms is None:
        jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
