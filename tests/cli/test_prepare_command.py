"""`keras-vatt prepare` writes a dataset, verifies it, and says what is wrong."""

import json

import pytest

from keras_vatt.cli.main import main
from keras_vatt.data import make_demo_corpus

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "videos"
    return make_demo_corpus(folder, 3, 2, progress=False)


def prepare(*arguments):
    return main(["prepare", *map(str, arguments)])


def test_a_corpus_is_prepared_and_verified(corpus, tmp_path, capsys):
    output = tmp_path / "data"
    options = ["--format", "webdataset", "--num-shards", 2, "--frame-size", 64]
    assert prepare("--source", corpus, "--output", output, *options) == 0
    printed = capsys.readouterr().out
    assert "clips used: 5 (3 train, 2 test)" in printed
    assert f"keras-vatt pretrain --data {output}" in printed
    assert json.loads((output / "report.json").read_text())["used"] == 5
    assert len(list(output.glob("train-*.tar"))) == 2
    assert prepare("--verify", output) == 0
    next(output.glob("test-*.tar")).write_bytes(b"")
    assert prepare("--verify", output) == 2
    assert "1 shards of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "x"], "--source is missing"),
        (["--source", "x"], "--output is missing"),
        (["--source", "{folder}/none", "--output", "x"], "no file or folder"),
        (["--source", "{folder}", "--output", "x"], "there are no clips"),
        (["--source", "ftp://x/y", "--output", "x"], "can't be opened"),
        (["--source", "{folder}", "--output", "x", "--frame-size", "0"], "positive"),
        (["--verify", "{folder}"], "has completed"),
    ],
)
def test_errors_are_one_line(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    assert prepare(*(option.format(folder=folder) for option in options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
