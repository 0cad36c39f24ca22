"""
Title: Pre-train on a TPU pod
Description: Plan and run the paper's recipe on many chips, and resume it.
Accelerator: TPU
"""

"""
## Introduction

The gradient harmonization paper trained VATT medium on 256 TPU v3 cores with a batch
size of 2,048 clips. This guide runs its recipe with small numbers on eight virtual
devices of this machine. The commands for a pod are the same, except where the guide
says otherwise.

The guide is for the JAX backend. On TensorFlow, `fit` runs on the devices of one host
(`tf.distribute.MirroredStrategy`, `TPUStrategy`); on PyTorch, on one device.

## Setup

The eight virtual devices must be requested before JAX starts. A TPU host detects its
own devices.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import pathlib
import tempfile

import keras

import keras_vatt
from keras_vatt.data import make_demo_corpus
from keras_vatt.pretraining import PretrainingError, pretrain, resolve_settings

folder = pathlib.Path(tempfile.mkdtemp())
num_clips = int(os.environ.get("NUM_CLIPS", "64"))

"""
## The training step on many devices

Each device encodes its own clips. An all-gather of the pooled features, a few kilobytes
per clip, lets batch normalization and the contrastive losses see the global batch on
every device: each clip has 2,047 negatives, not seven. Each device then runs one
backward pass per loss on its own clips.

The two global gradients are summed with reduce-scatter, after which each device holds
one shard of both. The inner products of the shards are summed across devices (three
numbers), Algorithms 1 and 2 compute the weights from them, and an all-gather collects
the shards of the harmonized gradient. This sends at most 1.5 times the bytes of a plain
step on any number of devices, and the result equals that of one device.

This holds where the compiler keeps the reduce-scatter. The TPU compiler has been
observed to replace it with an all-reduce and a slice, so both gradients are sent in
full: at most twice the bytes of a plain step. `keras-vatt plan` reports the actual
number.

With as many groups as devices (`--num-groups 256`), each device harmonizes the
gradients of its own clips and sends only their sum, as in a plain step. The number of
groups is a setting of the experiment, not of the hardware: 256 groups give the same
result on 8 devices.

## Plan the run

`keras-vatt plan` shows what fits on the chips before you rent them:

```sh
pip install "keras-vatt[plan]"
keras-vatt plan --preset vatt_medium_agnostic --batch-size 2048 --topology v4:4x8x8
keras-vatt plan --preset vatt_medium_agnostic --search --topology v6e:4x4
```

If a batch does not fit into memory, three options save memory without changing the
result: `--rematerialize` recomputes activations, `--num-micro-batches 4` encodes the
clips of a device in four parts, and `--model-parallel 2` splits the encoder across two
chips.

## Settings

`keras_vatt/pretraining/recipes/paper.toml` contains the complete recipe of the paper.
The dictionary `small` overrides the settings that are too large for this guide.
"""

corpus = make_demo_corpus(folder / "corpus", train_clips=num_clips, test_clips=8)
small = {
    "preset": "vatt_tiny_agnostic",
    "num_frames": None,
    "frames_per_second": None,
    "frame_size": None,
    "sampling_rate": None,
    "candidates": 1,
    "batch_size": 16,
    "epochs": 2,
    "steps_per_epoch": 3,
    "warmup_steps": 2,
    "checkpoint_steps": 2,
}
given = {"data": str(corpus), "output": str(folder / "run"), "seed": 0} | small
settings = resolve_settings(given, recipe="paper")
print(settings)

"""
## Run

Run this command on each host of a pod. The output folder must be on shared storage:

```sh
KERAS_BACKEND=jax keras-vatt pretrain --recipe paper --data gs-mount/videos \
    --output gs-mount/runs/paper --dtype mixed_bfloat16 --num-processes 0
```

With `--num-processes 0`, Cloud TPU provides the number of hosts and their addresses.
On other clusters, pass them: `--num-processes 2 --process-id 0 --coordinator
10.0.0.1:1234`. Each host reads and decodes its own slice of each batch. The first host
writes logs and presets.
"""

results = pretrain(settings)
print(results["text->video"])

"""
## Resume after losing a host

Every `checkpoint_steps` steps, each host writes its part of a checkpoint in the
background. When a host is lost, JAX stops the others. Start the same command again with
`--resume` and without the recipe. It resumes from the newest checkpoint, even in the
middle of an epoch, and the losses are those of an uninterrupted run. The number of
devices may change.

```sh
keras-vatt pretrain --output gs-mount/runs/paper --resume --num-processes 0
```

Settings written by another user or machine could name any file, so a run resumes
without confirmation only for the user and the machine that started it. If the first
host is a new machine, add the options that the error message asks for, such as `--data
gs-mount/videos`.

## In your own program

The command uses only public APIs. `keras.distribution` configures the devices of `fit`.
"""

if keras.config.backend() == "jax":
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    print(distribution)
    with distribution.scope():
        model = keras_vatt.VATT.from_preset(folder / "run" / "preset")
        model.compile("adam", harmonizer="curriculum+realign", num_groups=8)
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
    model_parallel = keras.distribution.ModelParallel(
        layout_map=keras_vatt.VATT.get_layout_map(mesh), batch_dim_name="batch"
    )
    with model_parallel.scope():
        model = keras_vatt.VATT.from_preset(folder / "run" / "preset")
    kernel = model.backbone.encoder.blocks[0].attention.query.kernel
    print(kernel.path, kernel.value.sharding)

"""
Impossible settings raise an error before the first step that says how to fix them:
"""

try:
    pretrain(resolve_settings(given | {"output": "x", "model_parallel": 3}, "paper"))
except PretrainingError as error:
    print(error)
