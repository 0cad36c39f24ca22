"""`keras-vatt embed` makes an index, `keras-vatt search` asks it."""

import json
import shutil
import sys

import pytest

from keras_vatt.cli.main import main
from keras_vatt.search import MediaIndex
from keras_vatt.search import _approximate as approximate


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "small"
    model.save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def made(preset, media):
    folder = media.parent / "by-command"
    arguments = ["embed", media, "--preset", preset, "--output", folder]
    assert main([str(a) for a in [*arguments, "--batch-size", 4]]) == 0
    return folder


def test_an_index_is_made_and_its_report_printed(capsys, preset, media, tmp_path):
    arguments = ["embed", media, "--preset", preset, "--output", tmp_path / "index"]
    code, out, _ = run(capsys, *arguments, "--window-seconds", 1, "--batch-size", 4)
    assert code == 0
    assert "clips used: 6" in out
    assert "noise.mp4: cannot be decoded" in out
    assert "the index is ready" in out


def test_results_are_printed_as_json(capsys, made, media, index, model):
    code, out, err = run(
        capsys, "search", made, "--text", "a red zebra", "--top-k", 3, "--json"
    )
    assert code == 0
    assert "doesn't know: zebra" in err
    results = json.loads(out)
    expected = index.search(model, text="a red", top_k=3)
    assert [(r["path"], r["start"], r["end"]) for r in results] == [
        (r.path, r.start, r.end) for r in expected
    ]
    assert [r["score"] for r in results] == pytest.approx(
        [r.score for r in expected], abs=2e-5
    )


def test_results_are_printed_as_a_table(capsys, made, media):
    arguments = ["search", made, "--video", media / "talk.mp4", "--modality", "video"]
    code, out, _ = run(capsys, *arguments, "--top-k", 2)
    assert code == 0
    head, first, second = out.splitlines()
    assert head.split() == ["score", "start", "end", "path"]
    assert float(first.split()[0]) >= float(second.split()[0])
    assert first.split()[3] == "talk.mp4"
    code, out, _ = run(capsys, "search", made, "--audio", media / "trip" / "hum.wav")
    assert len(out.splitlines()) == 11


def test_mistakes_are_named_in_one_line(capsys, preset, made, media, tmp_path):
    new = tmp_path / "new"
    for message, arguments in {
        "no folder": ["embed", tmp_path / "x", "--preset", preset, "--output", new],
        "There is no preset": ["embed", media, "--preset", "vatt_huge"]
        + ["--output", new],
        "has no weights": ["embed", media, "--preset", "vatt_tiny_specific"]
        + ["--output", new],
        "There is no index": ["search", new, "--text", "a star"],
        "none of the words": ["search", made, "--text", "zebra"],
        "no common space": ["search", made, "--text", "star", "--modality", "audio"],
        "does not exist": ["search", made, "--audio", tmp_path / "gone.wav"],
        "cannot be decoded": ["search", made, "--video", media / "noise.mp4"],
        "another model": ["search", made, "--text", "star"]
        + ["--preset", "vatt_tiny_agnostic"],
    }.items():
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert message in err.splitlines()[-1]
        assert not new.exists()


def test_the_recall_of_the_approximate_search_is_printed(
    capsys, preset, media, tmp_path, monkeypatch
):
    monkeypatch.setattr(approximate, "FEWEST_ROWS", 4)
    monkeypatch.setattr(approximate, "_QUERIES", 4)
    index = tmp_path / "index"
    arguments = ["embed", media, "--preset", preset, "--output", index]
    options = ["--batch-size", 4, "--num-workers", 2, "--approximate"]
    code, out, _ = run(capsys, *arguments, *options)
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("recall at 10")]
    assert len(lines) == len(MediaIndex.load(index).recall) == 4
    assert all(line.endswith("%") for line in lines)
    search = ["search", index, "--text", "a star", "--json", "--approximate"]
    code, out, err = run(capsys, *search)
    assert code == 0
    assert json.loads(out)
    assert "the search was exact" not in err


def test_a_small_index_stays_exact_and_says_so(
    capsys, preset, made, media, index, tmp_path
):
    arguments = ["embed", media, "--preset", preset, "--output", tmp_path / "index"]
    code, out, _ = run(capsys, *arguments, "--batch-size", 4, "--approximate")
    assert code == 0
    assert "searches stay exact: 14 windows are too few" in out
    search = ["--text", "a star", "--approximate", "--json"]
    code, out, err = run(capsys, "search", tmp_path / "index", *search)
    assert code == 0
    assert "the search was exact" in err
    assert len(json.loads(out)) == index.count("video")
    code, _, err = run(capsys, "search", made, *search)
    assert code == 2
    assert "no approximate index" in err


def test_the_page_says_what_to_install(capsys, made, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "keras_vatt.search._page", raising=False)
    code, _, err = run(capsys, "search", made, "--serve")
    assert code == 2
    assert 'pip install "keras-vatt[serve]"' in err


def test_names_of_files_are_printed_without_control_characters(
    capsys, preset, media, tmp_path
):
    hostile = "a\x1b[2J\x9b8m\rb\u202e\nscore forged\x7f"
    folder, index = tmp_path / f"media {hostile}", tmp_path / "index"
    folder.mkdir()
    shutil.copy(media / "talk.mp4", folder / f"{hostile}.mp4")
    (folder / f"{hostile} broken.mp4").write_bytes(b"no media")
    arguments = ["embed", folder, "--preset", preset, "--output", index]
    printed = run(capsys, *arguments, "--batch-size", 4)[1:]
    printed += run(capsys, "search", index, "--text", f"star {hostile}")[1:]
    printed += run(capsys, "search", index, "--video", folder / "gone\x1b[2J")[1:]
    # The bar of tqdm goes back in its line.
    shown = "".join(printed).replace("\r", "")
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert sum(line.endswith(r"\nscore forged\x7f.mp4") for line in shown.splitlines())
    assert not any(line.startswith("score forged") for line in shown.splitlines())
    code, out, _ = run(capsys, "search", index, "--text", "star", "--json")
    assert code == 0
    assert out.isascii()
    assert "\x7f" not in out
    assert json.loads(out)[0]["path"] == f"{hostile}.mp4"
