"""Peak host memory of loading a preset, beside the size of its weights.

    KERAS_BACKEND=jax python benchmarks/preset_memory.py --preset vatt_medium_agnostic

A preset of that size with random weights is made in a temporary folder; then a process
of its own loads it. What counts is the process's highest resident memory, less what it
had once keras_vatt and its backend were imported and had run once. (Linux only.)
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

from measurement import status_bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="vatt_medium_agnostic")
    parser.add_argument("--max-shard-size", type=float, default=5.0)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(_peak_of_loading(arguments.load))
        return
    import keras

    import keras_vatt

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder) / "preset"
        model = keras_vatt.VATT.from_preset(arguments.preset, load_weights=False)
        model.save_to_preset(folder, arguments.max_shard_size)
        del model
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        start = time.perf_counter()
        command = [sys.executable, __file__, "--load", str(folder)]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    peak = int(output.stdout.split()[-1])
    print(
        f"{keras.config.backend()}: {arguments.preset}: weights {size / 1e6:.0f} MB, "
        f"peak of loading {peak / 1e6:.0f} MB, ratio {peak / size:.2f}, "
        f"{seconds:.1f} s with imports"
    )


def _peak_of_loading(folder):
    import keras

    import keras_vatt

    keras.layers.Dense(1)(keras.ops.ones((1, 1)))
    # Not `ru_maxrss`, in which a process inherits the peak of the one that started it.
    before = status_bytes("VmHWM")
    keras_vatt.VATT.from_preset(folder)
    return status_bytes("VmHWM") - before


if __name__ == "__main__":
    main()
