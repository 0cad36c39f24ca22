"""Full disks, read-only folders and signals end a command in one line."""

import errno
import os
import signal
import subprocess
import sys

import pytest

import keras_vatt
from keras_vatt._os_errors import ENVIRONMENT
from keras_vatt.cli import presets, stop_signals
from keras_vatt.cli.environment_errors import environment_message
from keras_vatt.cli.main import main

pytestmark = pytest.mark.once


@pytest.fixture
def raising(monkeypatch):
    """Returns a function that replaces the action of `keras-vatt presets`."""

    def install(action):
        monkeypatch.setattr(presets, "run", lambda _: action())

    return install


def raise_error(error):
    raise error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit"),
        (errno.EROFS, "you can write to"),
        (errno.EACCES, "permissions"),
        (errno.ELOOP, "links"),
        (errno.ENOTDIR, "expected a folder"),
        (errno.EIO, "check the disk"),
        (errno.EMFILE, "open files"),
    ],
)
def test_an_error_of_the_environment_is_one_line_with_a_remedy(
    capsys, raising, number, words
):
    raising(lambda: raise_error(OSError(number, os.strerror(number), "/disk/file")))
    assert main(["presets"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-vatt presets: error: '/disk/file': ")
    assert os.strerror(number) in line
    assert words in line


def test_every_error_of_the_environment_has_a_remedy():
    for number in ENVIRONMENT:
        assert environment_message(OSError(number, "x", "a", None, "b"))


def test_other_errors_are_defects_and_keep_their_traceback(raising):
    raising(lambda: raise_error(OSError("no number")))
    with pytest.raises(OSError, match="no number"):
        main(["presets"])
    raising(lambda: raise_error(RuntimeError("a defect")))
    with pytest.raises(RuntimeError):
        main(["presets"])


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_a_signal_ends_a_command_with_a_message(capsys, raising, number, word):
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    cleaned_up = []
    signal.signal(number, signal.SIG_DFL)  # It may be ignored, as under `nohup`.

    def work():
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            cleaned_up.append(signal.getsignal(number))

    raising(work)
    try:
        assert main(["presets"]) == 128 + number
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    assert capsys.readouterr().err == f"keras-vatt presets: {word}\n"
    # So that a second signal ends the process at once.
    assert cleaned_up == [signal.SIG_DFL]


SLOW_END = """
import importlib.util, os, signal, sys, threading, time
spec = importlib.util.spec_from_file_location("stop_signals", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.stop_signals():
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        print("ending", flush=True)
        time.sleep(600)
"""


def test_a_second_signal_ends_the_process_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_END, stop_signals.__file__],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    process.stdout.close()


def test_signals_are_as_before_after_a_command(raising):
    before = signal.getsignal(signal.SIGTERM)
    raising(lambda: None)
    assert main(["presets"]) == 0
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def preset(tmp_path):
    """Returns the folder of a preset with two shards."""
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    model.save_to_preset(tmp_path / "preset", max_shard_size=0.002)
    return tmp_path / "preset"


def lose_a_shard(preset):
    next(preset.glob("model-00002-*.safetensors")).unlink()


def cut_a_shard(preset):
    shard = next(preset.glob("model-00002-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1000])


def cut_a_header(preset):
    shard = next(preset.glob("model-00001-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:100])


@pytest.mark.parametrize("damage", [lose_a_shard, cut_a_shard, cut_a_header])
def test_damaged_weights_are_named_by_every_command(capsys, preset, damage):
    damage(preset)
    (preset.parent / "media").mkdir()
    (preset.parent / "media" / "a.mp4").write_bytes(b"none")
    media, output = preset.parent / "media", preset.parent / "output"
    commands = [
        ["embed", media, "--preset", preset, "--output", output],
        ["evaluate", "--task", "retrieval", "--data", media, "--preset", preset],
    ]
    for command in commands:
        code = main([str(argument) for argument in command])
        err = capsys.readouterr().err
        assert code == 2, err
        assert "Traceback" not in err
        assert "safetensors" in err


def make_loop(folder):
    (folder / "there").symlink_to(folder / "back")
    (folder / "back").symlink_to(folder / "there")
    return folder / "there"


def test_links_that_lead_back_to_themselves_are_named(capsys, tmp_path):
    loop = make_loop(tmp_path)
    tiny = "vatt_tiny_agnostic"
    data = tmp_path / "media"
    data.mkdir()
    make_loop(data).rename(data / "loop.mp4")
    commands = [
        ["presets", loop],
        ["embed", loop, "--preset", tiny, "--output", tmp_path / "index"],
        ["embed", data, "--preset", loop, "--output", tmp_path / "index"],
        ["search", loop, "--text", "a star"],
        ["pretrain", "--data", data, "--output", loop],
        ["pretrain", "--data", loop, "--output", tmp_path / "run"],
        ["evaluate", "--task", "retrieval", "--data", loop, "--preset", tiny],
        ["convert", "--from", loop, "--config", tiny, "--output", loop],
    ]
    for command in commands:
        code = main([str(argument) for argument in command])
        err = capsys.readouterr().err
        assert code == 2, (command, err)
        assert "Traceback" not in err


def test_a_command_that_nobody_reads_ends_without_a_traceback():
    code = (
        "import sys\n"
        "from keras_vatt.cli import presets\n"
        "presets.run = lambda _: print('x' * 100_000)\n"
        "from keras_vatt.cli.main import main\n"
        "sys.exit(main(['presets']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 141
    assert "Error" not in err
