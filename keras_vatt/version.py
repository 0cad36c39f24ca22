"""The version of keras_vatt, read by the build and by saved presets."""

__version__ = "0.1.0"
