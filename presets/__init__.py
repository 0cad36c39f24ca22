"""The built-in presets, one folder per preset, installed within keras_vatt."""
