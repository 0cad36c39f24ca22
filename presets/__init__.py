"""The built-in presets, one folder per preset, installed as `keras_vatt.presets`."""
