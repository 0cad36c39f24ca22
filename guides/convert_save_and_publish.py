"""
Title: Convert, save and publish a checkpoint
Description: Turn a checkpoint of the original VATT code into a preset on the Hub.
Accelerator: none
"""

"""
## Introduction

The authors of VATT published their weights as TensorFlow checkpoints. This guide
converts one into a preset folder that every backend can load, and uploads it to the
Hugging Face Hub. It uses a tiny checkpoint from the tests of this repository, which has
the same format as the published ones and random weights.

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
## Check that a checkpoint fits

A list of a checkpoint's keys and shapes is enough to check that every tensor maps to a
weight of the model. This is the list of the published base-base-small model.
"""

listing = golden / "full_size_keys" / "pretrain_specific_bbs.tsv"
mapped, present = count_mapped(listing, "vatt_bbs_specific")
print(f"mapped {mapped} of {present} tensors")

"""
## Convert

`config` is the name of the built-in preset with the checkpoint's sizes, such as
`"vatt_medium_agnostic"`, or a dictionary of sizes. The vocabulary is a list of words,
or a file with one word per line. Without it, the preset accepts only word IDs.

If any tensor does not fit, `convert` raises an error that lists all of them. It runs
the converted model once before it saves the preset. The equivalent command is:

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

The weights are safetensors files. Loading a preset runs no code from it and requires
every tensor to be present. `README.md` is the model card.
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
## Describe the model

The model card is generated from the model's provenance. Record what you know about the
weights there.
"""

again.provenance = keras_vatt.Provenance(
    description="A tiny VATT with random weights, as an example for publishing.",
    source="the tests of keras_vatt",
)
# Shards of 50 kB, as a demonstration. The default of 5 GB suits real models.
again.save_to_preset(folder / "described", max_shard_size=50e-6)
print((folder / "described" / "README.md").read_text()[:1500])

"""
## Publish it

Log in once with `hf auth login`. This guide reads the token from the environment
instead, and publishes nothing without one. `create_pr=True` opens a pull request
instead of committing directly.
"""

if "HF_TOKEN" in os.environ:
    repository = os.environ["REPOSITORY"]  # Such as "your-name/vatt-tiny".
    print(again.push_to_hub(repository, private=True))
    downloaded = keras_vatt.VATT.from_preset(f"hf://{repository}")
    print(downloaded.provenance.description)
else:
    print("set HF_TOKEN and REPOSITORY to publish the preset")
