"""The built-in presets, one folder each; packaged as `keras_vatt.presets`."""
