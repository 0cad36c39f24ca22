"""
Title: Convert, save and publish a checkpoint
Description: From a checkpoint of the original VATT code to a preset on the Hub.
Accelerator: none
"""

"""
## Introduction

The authors of VATT published their weights as TensorFlow checkpoints. This guide turns
one into a preset folder, which every backend loads, and puts it on the Hugging Face
Hub. A tiny checkpoint of that form, out of the tests of this repository, stands in for
the published ones. Its weights are random numbers.

## Setup
"""

import json
import os
import pathlib
import tempfile

import numpy as np

import keras_vatt
from keras_vatt.conversion import convert, count_mapped

folder = pathlib.Path(tempfile.mkdtemp())
golden = pathlib.Path(__file__).parents[1] / "tests" / "golden"

"""
## Does it fit?

A listing of a checkpoint's keys and shapes is enough to see whether every tensor has
its place in a model. This is the one of the published base-base-small
model.
"""

listing = golden / "full_size_keys" / "pretrain_specific_bbs.tsv"
mapped, present = count_mapped(listing, "vatt_bbs_specific")
print(f"mapped {mapped} of {present} tensors")

"""
## Convert

`config` is the name of the built-in preset with the checkpoint's sizes, such as
`"vatt_medium_agnostic"`, or the sizes themselves. The vocabulary is a list of words, or
a file with one a line; without it the preset takes word ids alone.

What doesn't fit is refused with a list of it, and the converted model is run once
before it is saved. The same on the command line:

```sh
keras-vatt convert --from ckpt-500000 --config vatt_medium_agnostic \
    --vocabulary words.txt --output vatt_medium
```
"""

config = json.loads((golden / "ut_fac" / "config.json").read_text())
num_words = config["backbones"]["unified"]["txt_vocab_size"]
words = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "red", "star"]
words += [f"word{index}" for index in range(len(words), num_words)]
model = convert(
    golden / "ut_fac" / "ckpt-500000",
    config,
    folder / "converted",
    vocabulary=words,
    progress=True,
)

"""
## The preset folder

Weights are safetensors files: nothing in a preset is run when it is loaded, and every
tensor must be there. `README.md` is the model card.
"""

for path in sorted((folder / "converted").rglob("*")):
    if path.is_file():
        print(f"{path.stat().st_size:>9,} {path.relative_to(folder)}")
again = keras_vatt.VATT.from_preset(folder / "converted")
expected = model.encode(text="a red star")["text"]["to_video"]
np.testing.assert_array_equal(
    again.encode(text="a red star")["text"]["to_video"], expected
)

"""
## What it is and where it comes from

The card is written from the model's provenance. Say there what you know.
"""

again.provenance = keras_vatt.Provenance(
    description="A tiny VATT with random weights, to show how models are published.",
    source="the tests of keras_vatt",
)
# Files of 50 kB at most, to show shards; the default of 5 GB suits real models.
again.save_to_preset(folder / "described", max_shard_size=50e-6)
print((folder / "described" / "README.md").read_text()[:1500])

"""
## Publish it

`hf auth login` stores your token once; here it comes from the environment, and without
one nothing is published. `create_pr=True` proposes the change instead.
"""

if "HF_TOKEN" in os.environ:
    repository = os.environ["REPOSITORY"]  # Such as "your-name/vatt-tiny".
    print(again.push_to_hub(repository, private=True))
    downloaded = keras_vatt.VATT.from_preset(f"hf://{repository}")
    print(downloaded.provenance.description)
else:
    print("log in and set HF_TOKEN and REPOSITORY to publish")
