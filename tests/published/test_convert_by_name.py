"""`keras-vatt convert --from NAME`."""

import pytest

import keras_vatt
from keras_vatt.cli.main import main
from tests.published.tiny_publication import INDEX, NAME, WORDS
from tests.published.weights_server import Fault

pytestmark = pytest.mark.once


def run(capsys, *arguments):
    code = main(["convert", *map(str, arguments)])
    return code, capsys.readouterr()


def test_a_name_is_converted_into_the_cache(server, cache, capsys):
    code, printed = run(capsys, "--from", NAME)
    assert code == 0
    assert str(cache / "presets" / NAME) in printed.out


def test_a_name_is_copied_to_a_folder(server, tmp_path, capsys):
    folder = tmp_path / "my_preset"
    code, printed = run(capsys, "--from", NAME, "--output", folder)
    assert code == 0
    assert str(folder) in printed.out
    model = keras_vatt.VATT.from_preset(folder)
    assert model.preprocessor.tokenizer.get_vocabulary() == WORDS


def test_a_vocabulary_can_be_given(server, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("\n".join([*WORDS[:4], "blue"]))
    run(capsys, "--from", NAME, "--vocabulary", tmp_path / "words.txt")
    assert keras_vatt.VATTTokenizer.from_preset(NAME).get_vocabulary()[-1] == "blue"


def test_the_address_can_be_given(server, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_VATT_WEIGHTS_URL", "http://example.org")
    code, printed = run(capsys, "--from", NAME)
    assert code == 2
    assert "must begin with https://" in printed.err
    assert run(capsys, "--from", NAME, "--weights-url", server.url)[0] == 0


def test_a_refused_download_is_one_line(server, capsys):
    server.fail(INDEX, Fault(status=403))
    code, printed = run(capsys, "--from", NAME)
    assert code == 2
    assert printed.err.count("\n") == 1
    assert "keras-vatt convert: error: The weights of" in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", NAME, "--config", NAME], "--config is not needed"),
        (["--from", "vatt_base_agnostic"], "No checkpoint of 'vatt_base_agnostic'"),
        (["--from", "vatt_wat_base_audoset"], "Choose one of: vatt_wat_base_audioset"),
        (["--from", "a/folder"], "--config is missing"),
        (["--from", "folder", "--config", NAME], "--output is missing"),
        (["--from", "folder", "--keep-checkpoint"], "need the name of a preset"),
    ],
)
def test_wrong_options_are_refused(server, capsys, arguments, words):
    code, printed = run(capsys, *arguments)
    assert code == 2
    assert words in printed.err
    assert server.requests == []
