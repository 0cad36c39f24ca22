"""Runs on several devices and processes go on after one is lost, or on others."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_vatt.training._checksums import find_damage

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="Keras distributes on JAX"
)
WORKER = pathlib.Path(__file__).with_name("run_worker.py")


@contextlib.contextmanager
def workers(folder, num_devices, *tasks):
    """Processes of `run_worker.py` with as many devices each; none outlives this."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} "
        f"--xla_force_host_platform_device_count={num_devices}",
    }
    processes = []
    try:
        for number, task in enumerate(tasks):
            with (folder / f"{task['task']}-{number}.log").open("a") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, str(WORKER), json.dumps(task)],
                        env=environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_to_end(folder, num_devices, *tasks, seconds=300):
    with workers(folder, num_devices, *tasks) as processes:
        codes = [process.wait(timeout=seconds) for process in processes]
    logs = [log.read_text()[-3000:] for log in folder.glob("*.log")]
    assert codes == [0] * len(tasks), "\n".join(logs)


@pytest.fixture(scope="module")
def saved_on_eight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_on_eight")
    values = str(folder / "saved.npz")
    task = {"task": "save", "mesh": [2, 4], "folder": str(folder / "run")}
    run_to_end(folder, 8, task | {"values": values})
    return folder


@pytest.mark.parametrize(("num_devices", "mesh"), [(4, [1, 4]), (1, None)])
def test_a_run_on_eight_devices_goes_on_with_others(saved_on_eight, num_devices, mesh):
    folder = saved_on_eight
    values = str(folder / f"restored-{num_devices}.npz")
    task = {"task": "restore", "mesh": mesh, "folder": str(folder / "run")}
    run_to_end(folder, num_devices, task | {"values": values})
    saved, restored = np.load(folder / "saved.npz"), np.load(values)
    assert len(saved.files) > 60
    for name in saved.files:
        np.testing.assert_array_equal(restored[name], saved[name], strict=True)


def test_two_processes_take_the_steps_of_one_with_as_many_devices(tmp_path):
    (alone, _) = train_tasks(tmp_path / "run_of_one", tmp_path / "one")
    run_to_end(tmp_path, 4, alone | {"num_processes": 1})
    run_to_end(tmp_path, 2, *train_tasks(tmp_path / "run_of_two", tmp_path / "two"))
    one, two = losses_of(tmp_path / "one"), losses_of(tmp_path / "two")
    assert sorted(one) == list(range(1, 10))
    assert two == pytest.approx(one, rel=1e-5)


def test_a_lost_process_leaves_no_trace_in_the_losses(tmp_path, capsys):
    folder = tmp_path / "run"
    with workers(
        tmp_path, 2, *train_tasks(folder, tmp_path / "lost", hang_before=6)
    ) as (survivor, lost):
        # The checkpoint of step 4 lies within an epoch; step 5 is made twice.
        wait_for([folder / "4", tmp_path / "hangs"], survivor, lost)
        os.kill(lost.pid, signal.SIGKILL)
        killed = time.monotonic()
        assert survivor.wait(timeout=60) != 0
        noticed = time.monotonic() - killed
    written_by = {path.name for path in (folder / "4" / "state").glob("ocdbt.*")}
    assert written_by == {"ocdbt.process_0", "ocdbt.process_1"}
    assert sorted(losses_of(tmp_path / "lost")) == [1, 2, 3, 4, 5]
    run_to_end(tmp_path, 2, *train_tasks(folder, tmp_path / "again"))
    again = losses_of(tmp_path / "again")
    assert sorted(again) == [5, 6, 7, 8, 9]
    run_to_end(tmp_path, 2, *train_tasks(tmp_path / "whole_run", tmp_path / "whole"))
    whole = losses_of(tmp_path / "whole")
    curve = losses_of(tmp_path / "lost") | again
    assert sorted(curve) == sorted(whole) == list(range(1, 10))
    difference = max(abs(curve[step] / whole[step] - 1) for step in whole)
    with capsys.disabled():
        print(
            f"\na lost process was noticed after {noticed:.1f} s; largest relative "
            f"difference of the losses of {len(whole)} steps: {difference:.1e}"
        )
    assert difference < 1e-6


def test_weights_that_lie_on_several_hosts_are_brought_together_to_be_saved(tmp_path):
    task = {"task": "collect", "port": free_port()}
    run_to_end(tmp_path, 2, *[task | {"process": process} for process in range(2)])


def test_processes_fall_back_together_from_a_damaged_checkpoint(tmp_path):
    folder = tmp_path / "run"
    run_to_end(tmp_path, 2, *train_tasks(folder, tmp_path / "whole"))
    assert {path.name for path in folder.iterdir()} == {"8", "9"}
    written_by_other = folder / "9" / "state" / "ocdbt.process_1"
    damaged = max(written_by_other.rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    run_to_end(tmp_path, 2, *train_tasks(folder, tmp_path / "again"))
    whole, again = losses_of(tmp_path / "whole"), losses_of(tmp_path / "again")
    assert again == {9: pytest.approx(whole[9], rel=1e-6)}
    assert {path.name for path in folder.iterdir()} == {"8", "9", "9.damaged"}
    assert find_damage(folder / "9") is None
    assert str(damaged) in (tmp_path / "train-0.log").read_text()
    assert str(damaged) not in (tmp_path / "train-1.log").read_text()


def train_tasks(folder, losses, hang_before=None):
    task = {
        "task": "train",
        "folder": str(folder),
        "losses": str(losses),
        "port": free_port(),
    }
    tasks = [task | {"process": process} for process in range(2)]
    if hang_before is not None:
        tasks[1] |= {"hang_before": hang_before, "mark": str(losses.parent / "hangs")}
    return tasks


def losses_of(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(paths, *processes, seconds=300):
    deadline = time.monotonic() + seconds
    while not all(path.exists() for path in paths):
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.02)
