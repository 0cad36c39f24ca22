"""Peak host memory of loading and of converting, beside the size of the weights.

    KERAS_BACKEND=jax python benchmarks/preset_memory.py --preset vatt_medium_agnostic

A preset of that size with random weights is made in a temporary folder, and a
checkpoint of the original code's form. Then a process of its own loads the one, and
another one converts the other. What counts is a process's highest resident memory, less
what it had once keras_vatt and its backend were imported and had run once. (Linux
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
    # The measured processes are started with these.
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
                f"{seconds:.1f} s with imports"
            )


def _write_original(model, prefix):
    """A checkpoint of the original code's form, with no optimizer slots in it."""
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
    # Not `ru_maxrss`, in which a process inherits the peak of the one that started it.
    return status_bytes("VmHWM")


if __name__ == "__main__":
    main()
