"""Versions of the packages that a result depends on."""

import importlib.metadata
import platform

import keras

from keras_vatt.version import __version__

_PACKAGES = ("keras", "numpy", "scipy", "scikit-learn", "jax", "tensorflow", "torch")


def package_versions() -> dict[str, str]:
    """Returns the versions of this library, of Python and of packages; the backend."""
    versions = {"keras-vatt": __version__, "backend": keras.config.backend()}
    versions["python"] = platform.python_version()
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
