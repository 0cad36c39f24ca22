"""Measures the peak host memory of loading and converting, relative to the weights.

    KERAS_BACKEND=jax python benchmarks/preset_memory.py --preset vatt_medium_agnostic

Creates a preset of that size with random weights in a temporary folder, and a
checkpoint in the format of the original code. One process loads the preset, and another
one converts the checkpoint. The result is the peak resident memory of each process
minus its resident memory after importing keras_vatt and warming up the backend. (Linux
only.)
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

from measurement import status_bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="vatt_medium_agnostic")
    parser.add_argument("--max-shard-size", type=float, default=5.0)
    # Options of the measured processes.
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--convert", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        _load(arguments.load)
    elif arguments.convert:
        _convert(arguments.convert, arguments.preset)
    else:
        _measure(arguments.preset, arguments.max_shard_size)


def _measure(preset, max_shard_size):
    import keras

    import keras_vatt

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = keras_vatt.VATT.from_preset(preset, load_weights=False)
        model.save_to_preset(folder / "preset", max_shard_size)
        _write_original(model, folder / "ckpt-1")
        del model
        size = sum(path.stat().st_size for path in folder.glob("preset/*.safetensors"))
        for task, argument in (("load", "preset"), ("convert", "ckpt-1")):
            start = time.perf_counter()
            peak = _run([f"--{task}", folder / argument, "--preset", preset])
            seconds = time.perf_counter() - start
            print(
                f"{keras.config.backend()}: {task} {preset}: weights {size / 1e6:.0f} "
                f"MB, peak {peak / 1e6:.0f} MB, ratio {peak / size:.2f}, "
                f"{seconds:.1f} s including imports"
            )


def _write_original(model, prefix):
    """Writes a checkpoint in the original format, without optimizer slots."""
    import keras
    import tensorflow as tf

    from keras_vatt.conversion._original_config import layout_of
    from keras_vatt.conversion._original_keys import original_key
    from keras_vatt.storage import named_variables

    variables, layout = named_variables(model), layout_of(model)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[original_key(name, layout) for name in variables],
        shape_and_slices=[""] * len(variables),
        tensors=[keras.ops.convert_to_numpy(v) for v in variables.values()],
    )


def _run(arguments):
    command = [sys.executable, __file__, *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(output.stdout.split()[-1])


def _load(folder):
    import keras_vatt

    before = _peak_of_start()
    keras_vatt.VATT.from_preset(folder)
    print(status_bytes("VmHWM") - before)


def _convert(prefix, preset):
    from keras_vatt.conversion import convert

    before = _peak_of_start()
    convert(prefix, preset, pathlib.Path(prefix).with_name("converted"))
    print(status_bytes("VmHWM") - before)


def _peak_of_start():
    import keras

    keras.layers.Dense(1)(keras.ops.ones((1, 1)))
    # Not `ru_maxrss`: a process inherits the peak of its parent in it.
    return status_bytes("VmHWM")


if __name__ == "__main__":
    main()
