"""Settings of an evaluation are checked, and reach the reader of a corpus."""

import pytest

from keras_vatt.cli.main import main
from keras_vatt.evaluation import EvaluationError, EvaluationSettings, evaluate
from keras_vatt.evaluation._clip_sets import read_splits

pytestmark = pytest.mark.once

CUES = "WEBVTT\n\n00:00.000 --> 00:01.000\n"


def captions_of(folder, **changes):
    settings = EvaluationSettings("retrieval", "p", str(folder), **changes)
    return [clip.caption for clip in read_splits(settings)[1].test]


def test_captions_are_read_in_the_given_language(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.en.vtt").write_text(CUES + "a star")
    (tmp_path / "a.de.vtt").write_text(CUES + "ein Stern")
    assert captions_of(tmp_path) == ["a star"]
    assert captions_of(tmp_path, caption_language="de") == ["ein Stern"]


def test_files_outside_the_folder_are_read_on_demand(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.mp4").touch()
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "videos").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EvaluationError, match="allow.outside"):
        captions_of(tmp_path / "corpus")
    assert len(captions_of(tmp_path / "corpus", allow_outside=True)) == 1


def test_results_depend_on_options_of_a_corpus():
    changes = {"caption_language": "de", "allow_outside": True}
    of_corpus = EvaluationSettings("retrieval", "p", "d", **changes)
    assert of_corpus.results_depend_on().items() >= changes.items()
    default = EvaluationSettings("retrieval", "p", "d").results_depend_on()
    assert not changes.keys() & default.keys()
    of_dataset = EvaluationSettings("retrieval", "p", "d", "msrvtt", **changes)
    assert not changes.keys() & of_dataset.results_depend_on().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": 0}, "--windows must be at least 1, not 0"),
        ({"split": "some"}, "split = 'some'; expected int or 'all'"),
        (
            {"task": "everything"},
            "task = 'everything'; expected retrieval or",
        ),
        ({"templates": "{}"}, "templates = '{}'; expected tuple of str"),
    ],
)
def test_wrong_values_are_refused(changes, message):
    values = {"task": "retrieval", "preset": "p", "data": "d"} | changes
    with pytest.raises(EvaluationError, match=message):
        evaluate(EvaluationSettings(**values))


def test_a_wrong_value_is_one_line_of_the_command(capsys):
    arguments = [
        "evaluate",
        "--task",
        "retrieval",
        "--preset",
        "p",
        "--data",
        "d",
        "--limit",
        "0",
    ]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "keras-vatt evaluate: error: --limit must be at least 1, not 0"
