"""Commands have help, and report errors in one line with exit code 2."""

import json

import numpy as np
import pytest

import keras_vatt
from keras_vatt.cli.main import main
from tests.golden_files import FOLDER, golden_arrays

pytestmark = pytest.mark.once


def run(capsys, *arguments):
    """Returns exit code, standard output and standard error of a command."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pretrain"],
        ["evaluate"],
        ["convert"],
        ["plan"],
        ["presets"],
        ["embed"],
        ["search"],
    ],
)
def test_help_explains_the_command(capsys, arguments):
    code, out, _ = run(capsys, *arguments, "--help")
    assert code == 0
    assert "usage: keras-vatt" in out
    assert len(out) > 300


def mistakes(folder):
    (folder / "full").mkdir()
    (folder / "full" / "file.txt").write_text("something")
    (folder / "empty").mkdir()
    (folder / "no.toml").write_text("epochs = -")
    new = folder / "new"
    pretrain = ["pretrain", "--data", folder / "empty", "--output"]
    return {
        "output is missing": ["pretrain", "--data", "demo"],
        "no file or folder": ["pretrain", "--data", folder / "x", "--output", new],
        "nothing to train on": [*pretrain, new],
        "is not empty": [*pretrain, folder / "full"],
        "no run to resume": ["pretrain", "--resume", "--output", folder / "empty"],
        "There is no preset": [*pretrain, folder / "n2", "--preset", "vatt_huge"],
        "is not valid TOML": [*pretrain, new, "--recipe", folder / "no.toml"],
        "no recipe": [*pretrain, new, "--recipe", "best"],
        "realgn": [*pretrain, folder / "n3", "--harmonizer", "realgn"],
        "The checkpoint 'x' does not exist": [
            "convert",
            "--from",
            "x",
            "--config",
            "vatt_tiny_agnostic",
        ]
        + ["--output", new],
        "the config": ["convert", "--from", "x", "--config", "x.json", "--output", new],
        "invalid choice": ["pretrian"],
        "invalid int value": ["pretrain", "--epochs", "many"],
    }


def test_mistakes_are_named_in_one_line_with_exit_code_2(capsys, tmp_path):
    for message, arguments in mistakes(tmp_path).items():
        code, _, err = run(capsys, *arguments)
        last = err.strip().splitlines()[-1]
        assert code == 2, message
        assert message in last
        assert "Traceback" not in err


@pytest.mark.parametrize("name", ["ut_fac", "tx_fac"])
def test_an_original_checkpoint_becomes_a_preset(capsys, tmp_path, name):
    source = FOLDER / name / "ckpt-500000"
    config = FOLDER / name / "config.json"
    arguments = ["--config", config, "--output", tmp_path / "preset"]
    code, out, _ = run(capsys, "convert", "--from", source, *arguments)
    assert code == 0
    assert str(tmp_path / "preset") in out
    model = keras_vatt.VATT.from_preset(tmp_path / "preset")
    arrays = golden_arrays(f"{name}/inference.npz")
    for modality in ("video", "audio", "text"):
        outputs = model.encode(**{modality: arrays[f"in.{modality}"]})
        expected = arrays[f"out.{modality}.features_pooled"]
        actual = outputs[modality]["features_pooled"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


def test_an_original_classifier_becomes_a_preset(capsys, tmp_path):
    folder = FOLDER / "wat_classifier"
    arguments = ["--config", folder / "config.json", "--output", tmp_path / "preset"]
    source = folder / "ckpt-100000"
    assert run(capsys, "convert", "--from", source, *arguments)[0] == 0
    model = keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "preset")
    assert model.num_classes == 7


def test_the_vocabulary_must_not_be_larger_than_the_model_expects(capsys, tmp_path):
    words = ["<pad>", "<bos>", "<eos>", "<unk>"]
    words += [f"word{number}" for number in range(103 - len(words))]
    source = ["--from", FOLDER / "ut_fac" / "ckpt-500000"]
    source += ["--config", FOLDER / "ut_fac" / "config.json"]
    arguments = [*source, "--vocabulary", tmp_path / "words.txt", "--output"]
    (tmp_path / "words.txt").write_text("\n".join(words))
    assert run(capsys, "convert", *arguments, tmp_path / "preset")[0] == 0
    model = keras_vatt.VATT.from_preset(tmp_path / "preset")
    assert model.preprocessor({"text": ["word5"]})["text"][0, 0] == 9
    (tmp_path / "words.txt").write_text("\n".join([*words, "more"]))
    code, _, err = run(capsys, "convert", *arguments, tmp_path / "other")
    assert code == 2
    assert "at most 103 words" in err


def test_a_key_listing_is_only_checked(capsys):
    listing = FOLDER / "full_size_keys" / "pretrain_agnostic_medium.tsv"
    arguments = ["--from", listing, "--config", "vatt_medium_agnostic"]
    code, out, _ = run(capsys, "convert", *arguments)
    assert code == 0
    assert "mapped 244 of 244" in out


def test_what_does_not_fit_is_listed(capsys, tmp_path):
    config = json.loads((FOLDER / "ut_fac" / "config.json").read_text())
    config["backbones"]["unified"]["d_ff"] += 1
    (tmp_path / "other.json").write_text(json.dumps(config))
    arguments = ["--config", tmp_path / "other.json", "--output", tmp_path / "preset"]
    code, _, err = run(
        capsys, "convert", "--from", FOLDER / "ut_fac" / "ckpt-500000", *arguments
    )
    assert code == 2
    assert "wrong shape" in err
    assert not (tmp_path / "preset").exists()


def test_presets_are_listed_and_described(capsys):
    code, out, _ = run(capsys, "presets")
    assert code == 0
    assert "vatt_medium_agnostic" in out
    assert "182.7 M" in out
    code, out, _ = run(capsys, "presets", "vatt_tiny_agnostic")
    assert code == 0
    assert "zero-shot text->video" in out
    code, _, err = run(capsys, "presets", "vatt_huge")
    assert code == 2
    assert "There is no preset 'vatt_huge'" in err
