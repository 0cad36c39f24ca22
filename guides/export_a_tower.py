"""
Title: Export a tower
Description: One modality of a model as a graph for another runtime.
Accelerator: none
"""

"""
## Introduction

A tower is one modality of a model: from arrays of clips to vectors. `export` writes it
as a SavedModel (with TensorFlow or JAX), as ONNX (TensorFlow or PyTorch), for LiteRT
(TensorFlow) or as a program of PyTorch. What is written needs neither Keras nor
keras_vatt to run.

## Export

The input has the name of the modality, the outputs those of `encode`. Any number of
clips goes in. Decoding and tokenization stay outside: the text tower takes word ids.
"""

import pathlib
import tempfile

import keras
import numpy as np

import keras_vatt
from keras_vatt.exporting import run_artifact

format = {"torch": "torch"}.get(keras.config.backend(), "tf_saved_model")
name = {"torch": "text_tower.pt2"}.get(format, "text_tower")
path = pathlib.Path(tempfile.mkdtemp()) / name

model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
model.export(path, format=format, modality="text")
print("written:", format, path.name)

"""
`format="onnx"` and `format="litert"` need `pip install "keras-vatt[export]"`.

## Compare

`run_artifact` loads what was written with the format's own runtime.
"""

captions = ["a red star moving left", "a blue circle", "a green square"]
words = model.preprocessor({"text": captions})["text"]
outputs = run_artifact(format, path, {"text": words})
expected = model.encode(text=words)["text"]
for output, array in outputs.items():
    difference = np.abs(array - expected[output]).max() / np.abs(expected[output]).max()
    print(output, array.shape, f"differs by {difference:.1e}")
    assert difference < 1e-5

"""
## Classifiers

`classifier.export(path, format=...)` is the same for `VATTVideoClassifier` and the
other classifiers; their output is `logits`. `model.tower("video")` gives the tower as a
Keras model, with other clips than the preprocessor's if `clip_shape` says so.
"""
