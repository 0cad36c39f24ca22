"""A damaged checkpoint is noticed, named, and gives way to the older one."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from keras_vatt.training import RunCheckpoint
from keras_vatt.training._checkpoint_folder import CheckpointError
from keras_vatt.training._checksums import find_damage
from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, train
from tests.training.test_run_checkpoint import (
    EPOCHS,
    STEPS,
    assert_same_state,
    checkpointed,
    go_on,
    lose_run,
    model_of_run,
    state_of,
)

# Orbax leaves reads behind when one fails, and they find its event loop closed, maybe
# in a later test.
pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A folder with the checkpoints of the steps 1 and 2, and the state of each."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    model, checkpoint = checkpointed(folder)
    states = {}
    for step in (1, 2):
        train(model, tiny_batch(seed=step))
        checkpoint.steps = checkpoint.epoch = step
        checkpoint.history = [{"loss": 1.0 / step}] * step
        checkpoint.save()
        states[step] = state_of(model)
    checkpoint.wait()
    return folder, states


@pytest.fixture
def run(two_steps, tmp_path):
    return shutil.copytree(two_steps[0], tmp_path / "run")


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(path, random):
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)


def truncate(path, random):
    path.write_bytes(path.read_bytes()[: random.integers(path.stat().st_size)])


def fill_with_zeros(path, _):
    path.write_bytes(bytes(path.stat().st_size))


def delete(path, _):
    path.unlink()


def put_something_there(path, _):
    path.with_name("extra").write_bytes(path.read_bytes())


def replace_by_a_pipe(path, _):
    path.unlink()
    os.mkfifo(path)


def replace_by_a_link(path, _):
    target = shutil.move(path, path.parents[3] / f"moved-{path.name}")
    path.symlink_to(target)


WAYS = [flip, truncate, fill_with_zeros, delete, put_something_there]
WAYS += [replace_by_a_pipe, replace_by_a_link]


def assert_resumes(folder, step, states, match):
    """The run resumes from a step with its state and a warning, and can be saved."""
    model = model_with("adam", seed=5, harmonizer="realign")
    checkpoint = RunCheckpoint(folder)
    with pytest.warns(UserWarning, match=match) as caught:
        assert checkpoint.restore(model) == step
    texts = [str(w.message) for w in caught if w.category is UserWarning]
    assert all("\n" not in text for text in texts)
    for actual, expected in zip(state_of(model), states[step], strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert checkpoint.history == [{"loss": 1.0 / step}] * step
    checkpoint.steps = step + 1
    checkpoint.save()
    checkpoint.wait()
    assert find_damage(folder / str(step + 1)) is None
    return texts[0]


@pytest.mark.parametrize("way", WAYS)
def test_damage_of_any_file_is_found_and_the_file_is_named(run, way):
    random, whole = np.random.default_rng(0), run / "whole"
    (run / "2").rename(whole)
    for file in files_of(whole):
        shutil.copytree(whole, run / "2")
        path = run / "2" / file.relative_to(whole)
        way(path, random)
        if way is put_something_there:
            path = path.with_name("extra")
        assert repr(str(path)) in find_damage(run / "2")
        shutil.rmtree(run / "2")


@pytest.mark.parametrize("seed", range(3))
def test_the_older_checkpoint_takes_the_place_of_a_damaged_one(run, two_steps, seed):
    random = np.random.default_rng(seed)
    files = [path for path in files_of(run / "2") if path.stat().st_size]
    path = files[random.integers(len(files))]
    WAYS[random.integers(5)](path, random)
    text = assert_resumes(run, 1, two_steps[1], "checkpoint of step 2 is damaged")
    assert str(run / "2") in text
    assert (run / "2.damaged").is_dir()


def test_whole_checkpoints_resume_from_the_newest_without_a_warning(run, two_steps):
    model = model_with("adam", seed=5, harmonizer="realign")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert RunCheckpoint(run).restore(model) == 2
    for actual, expected in zip(state_of(model), two_steps[1][2], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_where_none_is_whole_one_line_says_so_and_nothing_is_moved(run):
    damaged = [run / "1" / "run" / "metadata", run / "2" / "state" / "_METADATA"]
    for path in damaged:
        flip(path, np.random.default_rng(0))
    before = files_of(run)
    model = model_with("adam", seed=5, harmonizer="realign")
    with pytest.raises(CheckpointError, match="No checkpoint in .* is whole") as caught:
        RunCheckpoint(run).restore(model)
    assert all(str(path) in str(caught.value) for path in damaged)
    assert "\n" not in str(caught.value)
    assert_same_state(model, model_with("adam", seed=5, harmonizer="realign"))
    assert files_of(run) == before


def test_checkpoints_that_changed_places_are_not_resumed_from(run):
    (run / "1").rename(run / "aside")
    (run / "2").rename(run / "1")
    (run / "aside").rename(run / "2")
    with pytest.raises(CheckpointError, match="written as that of step 1"):
        RunCheckpoint(run).restore(model_with("adam", harmonizer="realign"))


def test_an_emptied_checkpoint_gives_way_to_the_older(run, two_steps):
    shutil.rmtree(run / "2")
    (run / "2").mkdir()
    assert_resumes(run, 1, two_steps[1], "can't be read: No such file")


def without_checksums(checkpoint):
    """Make of a checkpoint one of an earlier version."""
    (checkpoint / "checksums.json").unlink()
    metadata = json.loads((checkpoint / "_CHECKPOINT_METADATA").read_text())
    metadata["custom_metadata"] = {}
    (checkpoint / "_CHECKPOINT_METADATA").write_text(json.dumps(metadata))


def test_a_checkpoint_of_an_earlier_version_is_resumed_with_a_warning(run, two_steps):
    for step in ("1", "2"):
        without_checksums(run / step)
    assert_resumes(run, 2, two_steps[1], "step 2 in .* has no checksums")


def test_one_of_an_earlier_version_that_can_not_be_read_gives_way(run, two_steps):
    for step in ("1", "2"):
        without_checksums(run / step)
    fill_with_zeros(run / "2" / "state" / "manifest.ocdbt", None)
    assert_resumes(run, 1, two_steps[1], "checkpoint of step 2 is damaged: it can't")


def test_where_none_of_an_earlier_version_can_be_read_one_line_says_so(run):
    for step in ("1", "2"):
        without_checksums(run / step)
        (run / step / "run" / "metadata").write_text('{"epoch": -1}')
    with pytest.raises(CheckpointError, match="No checkpoint in .* is whole") as caught:
        RunCheckpoint(run).restore(model_with("adam", harmonizer="realign"))
    assert "\n" not in str(caught.value)
    assert (run / "2").is_dir()


def test_a_run_that_fell_back_comes_to_the_same_result(tmp_path):
    whole = model_of_run()
    go_on(whole, RunCheckpoint(tmp_path / "whole"))
    lose_run(tmp_path / "run", after=5)
    kept = sorted(int(path.name) for path in (tmp_path / "run").iterdir())
    newest = tmp_path / "run" / str(kept[-1])
    flip(max(files_of(newest), key=os.path.getsize), np.random.default_rng(0))
    again, checkpoint = model_of_run(seed=5), RunCheckpoint(tmp_path / "run")
    with pytest.warns(UserWarning, match="is damaged"):
        start_steps = go_on(again, checkpoint)
    assert start_steps[0] == kept[-2]
    assert_same_state(again, whole)
    assert len(checkpoint.history) == EPOCHS


def test_an_epoch_whose_end_was_not_kept_is_not_followed_by_another(tmp_path):
    lose_run(tmp_path, after=5)
    checkpoint = RunCheckpoint(tmp_path)
    checkpoint.restore(model_of_run())
    with pytest.raises(CheckpointError, match="The end of epoch 2 is not in"):
        list(checkpoint.remaining_fits(EPOCHS, STEPS))


KILLED_AT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import tests.conftest
from tests.training import test_run_checkpoint as tests

model, checkpoint = tests.checkpointed({folder!r})
checkpoint.save()
checkpoint.wait()
checkpoint.steps = 2
real = os.{function}

def kill_or_rename(source, target, **options):
    if os.path.basename(target) == {target!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(source, target, **options)

os.{function} = kill_or_rename
checkpoint.save()
checkpoint.wait()
"""


@pytest.mark.parametrize(
    ("function", "target"), [("replace", "checksums.json"), ("rename", "2")]
)
def test_a_kill_before_all_checksums_are_there_leaves_no_checkpoint(
    tmp_path, function, target
):
    tests = str(pathlib.Path(__file__).parents[2])
    code = KILLED_AT.format(
        tests=tests, folder=str(tmp_path), function=function, target=target
    )
    killed = subprocess.run([sys.executable, "-c", code], timeout=240)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "2").exists()
    checkpoint = RunCheckpoint(tmp_path)
    assert checkpoint.restore(model_with("adam", seed=5, harmonizer="realign")) == 1
    checkpoint.steps = 2
    checkpoint.save()
    checkpoint.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
    assert find_damage(tmp_path / "2") is None
