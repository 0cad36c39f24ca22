"""The `data_report.json` of a run lists every skipped file and the reason."""

import json
import shutil

import pytest

from keras_vatt.cli.main import main
from keras_vatt.data import _clip_source as clip_source
from keras_vatt.data import make_demo_corpus
from keras_vatt.pretraining import _run as run_module
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._settings import PretrainSettings, save_settings
from keras_vatt.training import RunCheckpoint

pytestmark = pytest.mark.once

OPTIONS = {
    "--epochs": 1,
    "--checkpoint-steps": 1,
    "--batch-size": 4,
    "--devices": "one",
    "--harmonizer": "none",
    "--num-workers": 1,
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    return make_demo_corpus(folder, train_clips=8, test_clips=4, progress=False)


@pytest.fixture
def folder(demo, tmp_path):
    """Returns a corpus of eight train clips and four test clips with a manifest."""
    corpus = tmp_path / "corpus"
    shutil.copytree(demo, corpus)
    return corpus


def rows(corpus, *changes):
    path = corpus / "manifest.jsonl"
    text = path.read_text() + "".join(json.dumps(row) + "\n" for row in changes)
    path.write_text(text)


def run(corpus, output, *flags, **changes):
    options = OPTIONS | {"--data": corpus, "--output": output} | changes
    parts = [str(part) for option in options.items() for part in option]
    return main(["pretrain", *parts, *flags])


def stored(output):
    report = json.loads((output / "data_report.json").read_text())
    names = [row["where"].rpartition("/")[2] for row in report["findings"]]
    named = {
        (row["problem"], name.split(" ")[0]): row.get("split")
        for row, name in zip(report["findings"], names, strict=True)
    }
    return report, named


@pytest.fixture
def stopped(monkeypatch):
    """Stops runs before their first train step."""

    def stop(*_):
        raise PretrainingError("stopped")

    monkeypatch.setattr(run_module, "_fit", stop)


def truncate(path):
    path.write_bytes(path.read_bytes()[:500])


def test_broken_and_missing_files_of_both_splits_are_named_before_training(
    folder, tmp_path, capsys
):
    truncate(folder / "train" / "000000.mp4")
    truncate(folder / "test" / "000001.mp4")
    rows(folder, {"path": "test/gone.mp4", "split": "test"})
    assert run(folder, tmp_path / "run") == 0
    report, named = stored(tmp_path / "run")
    assert report["splits"] == {"train": 7, "test": 3}
    assert report["used"] == 10
    assert named == {
        ("corrupt", "000000.mp4"): "train",
        ("corrupt", "000001.mp4"): "test",
        ("missing", "manifest.jsonl,"): "test",
    }
    printed, _, _ = capsys.readouterr().out.partition("Epoch 1")
    assert "test/000001.mp4" in printed
    assert "test/gone.mp4 does not exist" in printed


def test_what_is_found_late_is_named_after_an_interrupt_and_a_resume(
    folder, tmp_path, monkeypatch
):
    output = tmp_path / "run"
    decode, save = clip_source.decode_clip, RunCheckpoint.save

    def fail(path, *arguments):
        if path.endswith("train/000003.mp4"):
            raise ValueError("a weird picture")
        return decode(path, *arguments)

    def save_and_stop(checkpoint):
        save(checkpoint)
        checkpoint.wait()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(clip_source, "decode_clip", fail)
        patch.setattr(RunCheckpoint, "save", save_and_stop)
        # Two steps of an epoch have every clip.
        assert run(folder, output, "--no-cache", **{"--checkpoint-steps": 2}) == 130
    late = {("corrupt", "000003.mp4"): "train"}
    assert stored(output)[1] == late
    assert main(["pretrain", "--output", str(output), "--resume"]) == 0
    report, named = stored(output)
    assert named == late
    assert report["splits"] == {"train": 7, "test": 4}


@pytest.mark.parametrize("flag", ["--cache", "--no-cache"])
def test_a_run_ends_at_a_broken_clip_on_demand(
    folder, tmp_path, monkeypatch, capsys, flag
):
    def fail(path, *_):
        raise ValueError("a weird picture")

    monkeypatch.setattr(clip_source, "decode_clip", fail)
    assert run(folder, tmp_path / "run", flag, "--on-error", "raise") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert ".mp4" in last
    assert "a weird picture" in last


def test_a_run_with_a_missing_file_does_not_begin_on_demand(folder, tmp_path, capsys):
    rows(folder, {"path": "gone.mp4"})
    assert run(folder, tmp_path / "run", "--on-error", "raise") == 2
    assert "gone.mp4 does not exist" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run" / "settings.json").exists()


def test_a_run_without_a_usable_clip_says_why(folder, tmp_path, monkeypatch, capsys):
    def fail(path, *_):
        raise ValueError("a weird picture")

    monkeypatch.setattr(clip_source, "decode_clip", fail)
    assert run(folder, tmp_path / "run", "--no-cache") == 2
    assert "no clip could be decoded" in capsys.readouterr().err.splitlines()[-1]
    report, _ = stored(tmp_path / "run")
    assert report["counts"] == {"corrupt": 8}


@pytest.mark.usefixtures("stopped")
def test_a_try_that_failed_leaves_its_report_and_room_for_the_next(
    folder, tmp_path, capsys
):
    for _ in range(2):
        assert run(folder, tmp_path / "run") == 2
        assert "stopped" in capsys.readouterr().err.splitlines()[-1]
        assert stored(tmp_path / "run")[0]["used"] == 12


@pytest.mark.usefixtures("stopped")
def test_a_report_that_can_not_be_read_begins_anew(folder, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    save_settings(
        PretrainSettings(data=str(folder), output=str(output)), output / "settings.json"
    )
    (output / "data_report.json").write_text('{"findings": 7}')
    resume = ["pretrain", "--output", str(output), "--resume", "--data", str(folder)]
    assert main(resume) == 2
    assert "data_report.json is damaged" in capsys.readouterr().out
    assert stored(output)[0]["used"] == 12


@pytest.mark.usefixtures("stopped")
def test_files_outside_the_folder_are_read_on_demand(folder, tmp_path, capsys):
    shutil.move(folder / "test", tmp_path / "elsewhere")
    (folder / "test").symlink_to(tmp_path / "elsewhere")
    assert run(folder, tmp_path / "run") == 2
    assert "--allow-outside" in capsys.readouterr().err.splitlines()[-1]
    assert run(folder, tmp_path / "run", "--allow-outside") == 2
    assert "stopped" in capsys.readouterr().err.splitlines()[-1]
    assert stored(tmp_path / "run")[0]["used"] == 12


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("rule", "counts", "reason"),
    [
        ("repeat", {"short": 12}, "repeated"),
        ("pad", {"short": 12}, "padded"),
        ("error", {"too_short": 12}, "a clip 4.00 s"),
    ],
)
def test_short_clips_are_counted_by_their_rule(folder, tmp_path, rule, counts, reason):
    # The demo clips last less than four seconds.
    changes = {"--num-frames": 16, "--frames-per-second": 4}
    assert run(folder, tmp_path / "run", "--short-clips", rule, **changes) == 2
    report, _ = stored(tmp_path / "run")
    assert report["counts"] == counts
    assert report["findings"][0]["reason"].endswith(reason)
