"""A run writes all of its files, and a killed run resumes as if uninterrupted."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.cli.main import main
from keras_vatt.data import CachedClips, make_demo_corpus, read_corpus
from keras_vatt.data._cache import CacheError
from keras_vatt.training import RunCheckpoint

COMMAND = [sys.executable, "-m", "keras_vatt.cli.main"]
OPTIONS = {
    "--epochs": 3,
    "--checkpoint-steps": 2,
    "--batch-size": 4,
    "--devices": "one",
    "--harmonizer": "curriculum+realign",
    "--compare": "features",
    "--num-groups": "per_clip",
    "--learning-rate": 1e-3,
    "--num-workers": 1,
    "--seed": 7,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "demo"
    return make_demo_corpus(folder, 12, 5, progress=False)


def arguments(corpus, output, **changes):
    options = OPTIONS | {"--data": corpus, "--output": output} | changes
    return ["pretrain", *(str(part) for option in options.items() for part in option)]


@pytest.fixture(scope="module")
def run_folder(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    # A process of its own, as the killed run is: threads change how sums are rounded.
    subprocess.run([*COMMAND, *arguments(corpus, folder)], check=True)
    return folder


def test_the_preset_of_a_run_takes_the_captions_of_its_corpus(corpus, run_folder):
    model = keras_vatt.VATT.from_preset(run_folder / "preset")
    segments, _ = read_corpus(corpus)
    captions = [s.caption for s in segments if s.split == "train"]
    inputs = model.preprocessor({"text": captions})
    unknown = model.preprocessor.tokenizer.token_to_id("<unk>")
    assert (inputs["text"] != unknown).all()
    assert np.isfinite(model.encode(**inputs)["text"]["to_video"]).all()


def test_the_history_has_a_row_for_each_epoch(run_folder):
    with (run_folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"loss", "video_audio_loss", "video_text_loss", "gradient_cosine"} <= set(
        rows[0]
    )
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())


def test_the_retrieval_report_is_of_all_held_out_clips(run_folder):
    results = json.loads((run_folder / "retrieval.json").read_text())
    assert {"text->video", "audio->video"} <= set(results)
    assert {"recall_at_1", "recall_at_5", "recall_at_10", "median_rank"} <= set(
        results["text->video"]
    )
    assert results["text->video"]["recall_at_5"] == 1.0
    assert "text->video" in (run_folder / "retrieval.txt").read_text()


def test_plots_logs_and_reports_are_there(run_folder):
    for plot in ("losses.png", "gradients.png", "cosines.png"):
        data = (run_folder / "plots" / plot).read_bytes()
        assert data.startswith(b"\x89PNG")
    assert list((run_folder / "tensorboard").rglob("events.*"))
    assert json.loads((run_folder / "data_report.json").read_text())
    assert json.loads((run_folder / "settings.json").read_text())["seed"] == 7


@pytest.mark.once
def test_a_killed_run_comes_to_the_same_result(corpus, run_folder, tmp_path):
    process = subprocess.Popen(
        [*COMMAND, *arguments(corpus, tmp_path / "run")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # An epoch has three steps: this one is within the first.
    checkpoint = tmp_path / "run" / "checkpoints" / "2"
    wait_for_checkpoint(process, checkpoint)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for newer in set(checkpoint.parent.iterdir()) - {checkpoint}:
        shutil.rmtree(newer)
    assert not (tmp_path / "run" / "preset").exists()
    resume = ["pretrain", "--output", str(tmp_path / "run"), "--resume"]
    again = subprocess.run(
        [*COMMAND, *resume], capture_output=True, text=True, check=True
    )
    assert "resuming after epoch 0 and 2 steps of the next" in again.stdout
    assert "absl" not in again.stderr  # The logs of a backend.
    whole = keras_vatt.VATT.from_preset(run_folder / "preset")
    resumed = keras_vatt.VATT.from_preset(tmp_path / "run" / "preset")
    for name, expected in weights_of(whole).items():
        actual = weights_of(resumed)[name]
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6, err_msg=name)
    for row, expected in zip(
        history_of(tmp_path / "run"), history_of(run_folder), strict=True
    ):
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-6)


def history_of(folder):
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def wait_for_checkpoint(process, folder, seconds=240):
    """Waits for a complete checkpoint of a run that is still in progress."""
    deadline = time.monotonic() + seconds
    while not folder.exists():
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline, "there was no checkpoint in time"
        time.sleep(0.01)


def weights_of(model):
    return {
        weight.path: keras.ops.convert_to_numpy(weight.value)
        for weight in model.weights
    }


@pytest.mark.once
def test_a_run_without_held_out_clips_says_so(corpus, tmp_path, capsys):
    changes = {"--epochs": 1, "--test-fraction": 0}
    manifest = corpus / "train_only.jsonl"
    rows = (corpus / "manifest.jsonl").read_text().splitlines()
    rows = [json.loads(row) for row in rows if json.loads(row)["split"] == "train"]
    for row in rows:
        del row["split"]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    code = main(arguments(manifest, tmp_path / "run", **changes))
    assert code == 0
    assert "no clips are held out" in capsys.readouterr().out
    assert (tmp_path / "run" / "preset" / "model.safetensors").is_file()


@pytest.fixture
def signal_handlers():
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.once
@pytest.mark.usefixtures("signal_handlers")
def test_a_signal_leaves_a_whole_checkpoint(corpus, tmp_path, monkeypatch, capsys):
    save = RunCheckpoint.save

    def save_and_stop(checkpoint):
        save(checkpoint)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunCheckpoint, "save", save_and_stop)
    assert main(arguments(corpus, tmp_path / "run")) == 143
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "keras-vatt" in x]
    assert line.startswith("keras-vatt pretrain: terminated; resume with --resume")
    names = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert names == ["2"]


@pytest.mark.once
def test_a_run_that_nobody_reads_leaves_a_whole_checkpoint(
    corpus, tmp_path, monkeypatch
):
    save = RunCheckpoint.save

    def save_and_lose_the_reader(checkpoint):
        save(checkpoint)
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(RunCheckpoint, "save", save_and_lose_the_reader)
    assert main(arguments(corpus, tmp_path / "run")) == 141
    names = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert names == ["2"]


@pytest.mark.once
def test_a_full_disk_in_a_run_is_one_line(corpus, tmp_path, monkeypatch, capsys):
    full = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert main(arguments(corpus, tmp_path / "run")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"'{tmp_path}/run/checkpoints': No space left on device" in last


@pytest.mark.once
def test_a_cache_that_is_damaged_in_a_run_is_named(
    corpus, tmp_path, monkeypatch, capsys
):
    def raise_error(clips, index):
        raise CacheError(clips._path, "a hash mismatch")

    monkeypatch.setattr(CachedClips, "decode", raise_error)
    assert main(arguments(corpus, tmp_path / "run")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "clips.bin' is damaged (a hash mismatch): delete the folder" in last
