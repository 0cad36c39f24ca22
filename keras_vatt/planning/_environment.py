"""What has to be in place before a program is compiled for TPUs that aren't there."""

import importlib.util
import os

from keras_vatt.planning._errors import PlanningError

# The compiler only: no search for TPUs of this machine, no questions to a metadata
# server, several compilations at a time, and silence below errors.
_VARIABLES = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
}


def prepare_compiler(backend):
    """Makes JAX compile for TPUs on a machine without one, in this process.

    Args:
        backend: string, the Keras backend.

    Raises:
        PlanningError: if the backend isn't JAX, `libtpu` is missing, or JAX has
            started on other devices.
    """
    if backend != "jax":
        raise PlanningError(
            "a plan is of the step on the JAX backend: set KERAS_BACKEND=jax (it is "
            f"{backend!r})"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise PlanningError(
            "compiling for TPUs needs libtpu, Google's compiler (137 MB, under the "
            'Google Cloud Platform Terms of Service): pip install "keras-vatt[plan]"'
        )
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    import jax

    # JAX was imported with Keras and has read its variable already.
    if jax.config.jax_platforms is None:
        jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
