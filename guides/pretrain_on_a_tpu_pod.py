"""
Title: Pre-train on a TPU pod
Description: The paper's recipe on many chips: plan it, run it, lose a host, go on.
Accelerator: TPU
"""

"""
## Introduction

The gradient harmonization paper trained VATT medium on 256 TPU v3 cores, 2,048 clips
a step. This guide runs its recipe with every number made small, on eight virtual
devices of this machine. On a pod the same commands are used; what differs is said
beside them.

All of it is for the JAX backend. On TensorFlow the same `fit` runs on the devices of
one host (`tf.distribute.MirroredStrategy`, `TPUStrategy`); on PyTorch it runs on one
device.

## Setup

Eight devices have to be asked for before JAX starts. A TPU host has its own.
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
## What the step is on many devices

Each device encodes its own clips. The pooled features, a few kilobytes a clip, are
gathered, so that batch norm and the contrastive losses see the whole batch on every
device: the negatives are those of 2,048 clips, not of eight. Then each device walks
back through its own clips, once for each loss.

The two gradients of the whole batch are summed by reduce-scatter: each device keeps
its share of both. Inner products of the shares are summed (three numbers), Algorithms
1 and 2 decide on them, and the shares of the one harmonized gradient are gathered.
That is at most one and a half times what the plain step sends, on any number of
devices, and the result is that of one device.

So it is where the compiler keeps a reduce-scatter. That for TPUs was seen to make an
all-reduce and a cut of each, so that on TPUs both gradients are summed whole: at most
twice what the plain step sends. `keras-vatt plan` counts it.

With `num_groups` as many as devices (`--num-groups 256`) each device harmonizes the
gradients of its own clips, which are there already, and nothing is sent but the sum,
as in a plain step. A group is part of the experiment, not of the hardware: 256 groups
give the same result on 8 devices.

## Plan it

Before anyone pays for chips, their compiler says what fits:

```sh
pip install "keras-vatt[plan]"
keras-vatt plan --preset vatt_medium_agnostic --batch-size 2048 --topology v4:4x8x8
keras-vatt plan --preset vatt_medium_agnostic --search --topology v6e:4x4
```

If a batch is too large for the memory there are three ways, none of which changes the
result: `--rematerialize` computes activations again, `--num-micro-batches 4` encodes
a device's clips in four parts, `--model-parallel 2` cuts the encoder among two chips.

## One file of settings

`keras_vatt/pretraining/recipes/paper.toml` is the paper's recipe in full. Its numbers
stand in these settings, those that are made small for this guide being listed.
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
## Run it

On each host of a pod, with the folder of the run on storage that all share:

```sh
KERAS_BACKEND=jax keras-vatt pretrain --recipe paper --data gs-mount/videos \
    --output gs-mount/runs/paper --dtype mixed_bfloat16 --num-processes 0
```

`--num-processes 0` asks Cloud TPU for the number of hosts and their addresses.
Elsewhere they are said: `--num-processes 2 --process-id 0 --coordinator
10.0.0.1:1234`. Each host reads and decodes its own slice of each batch; the first one
writes logs and presets.
"""

results = pretrain(settings)
print(results["text->video"])

"""
## Lose a host, go on

A checkpoint is written every `checkpoint_steps` steps while the training goes on,
each host its own part. When a host is lost, JAX ends the others. Start the same
command again with `--resume` and without the recipe; it goes on from the newest
checkpoint, in the middle of an epoch if need be, and the losses are those that the
undisturbed run would have had. The number of devices may be another one.

```sh
keras-vatt pretrain --output gs-mount/runs/paper --resume --num-processes 0
```

A run resumes without questions only for the user and on the machine that started it: a
stranger's settings could name any file. Where the first host is a new machine, add
what the command asks for, such as `--data gs-mount/videos`.

## In your own program

The command is no more than this. `fit` is told of the devices by
`keras.distribution` alone.
"""

if keras.config.backend() == "jax":
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    print(distribution)
    with distribution.scope():
        model = keras_vatt.VATT.from_preset(folder / "run" / "preset")
        model.compile("adam", harmonizer="curriculum+realign", num_groups=8)
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
    cut = keras.distribution.ModelParallel(
        layout_map=keras_vatt.VATT.get_layout_map(mesh), batch_dim_name="batch"
    )
    with cut.scope():
        model = keras_vatt.VATT.from_preset(folder / "run" / "preset")
    kernel = model.backbone.encoder.blocks[0].attention.query.kernel
    print(kernel.path, kernel.value.sharding)

"""
What can't be done is refused before the first step, with a word on what to do:
"""

try:
    pretrain(resolve_settings(given | {"output": "x", "model_parallel": 3}, "paper"))
except PretrainingError as error:
    print(error)
