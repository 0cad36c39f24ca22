"""Options of `keras-vatt embed` and `keras-vatt search` take effect."""

import json
import sys

import pytest

from keras_vatt.cli.main import main
from keras_vatt.search import MediaIndex
from tests.search.small import small_model, tone, write_video
from tests.search.tables import read_header

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "small"
    model.save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options") / "media"
    folder.mkdir()
    write_video(folder / "long.mp4", 5, seconds=0.8, sound=tone(300, 0.8))
    write_video(folder / "short.mp4", 7, seconds=0.2)
    (folder / "broken.mp4").write_bytes(b"no media")
    return folder


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def embed(capsys, media, preset, output, *options):
    given = ["--preset", preset, "--output", output, "--batch-size", 4, *options]
    return run(capsys, "embed", media, *given)


@pytest.fixture
def made(capsys, media, preset, tmp_path):
    assert embed(capsys, media, preset, tmp_path / "index")[0] == 0
    return tmp_path / "index"


def test_short_clips_are_repeated_or_left_out(capsys, media, preset, tmp_path):
    _, out, _ = embed(capsys, media, preset, tmp_path / "a")
    assert "short (repeated or padded): 1" in out
    options = ["--short-clips", "error"]
    _, out, _ = embed(capsys, media, preset, tmp_path / "b", *options)
    assert "too_short (skipped): 1" in out
    assert read_header(tmp_path / "b")["short_clips"] == "error"


def test_an_error_ends_the_command_on_demand(capsys, media, preset, tmp_path):
    options = ["--on-error", "raise"]
    code, _, err = embed(capsys, media, preset, tmp_path / "index", *options)
    assert code == 2
    assert "broken.mp4" in err.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")
def test_links_are_followed_on_demand(capsys, media, preset, tmp_path):
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "films").symlink_to(media)
    options = ["--allow-outside"]
    code, _, _ = embed(capsys, folder, preset, tmp_path / "index", *options)
    assert code == 0
    paths = MediaIndex.load(tmp_path / "index").paths
    assert paths == ("films/long.mp4", "films/short.mp4")


def test_a_file_is_searched_by_its_video_and_audio(capsys, model, media, made):
    path = media / "long.mp4"
    query = ["--video", path, "--audio", path, "--modality", "both", "--json"]
    code, out, _ = run(capsys, "search", made, *query)
    assert code == 0
    expected = MediaIndex.load(made).search(model, video=path, audio=path)
    assert [(r["path"], r["modality"]) for r in json.loads(out)] == [
        (r.path, r.modality) for r in expected
    ]
    assert [r["score"] for r in json.loads(out)] == pytest.approx(
        [r.score for r in expected], abs=2e-5
    )


def test_a_short_query_is_used_by_the_rule_that_is_given(capsys, media, made):
    query = ["--video", media / "short.mp4", "--modality", "video"]
    assert run(capsys, "search", made, *query)[0] == 0
    code, _, err = run(capsys, "search", made, *query, "--short-clips", "error")
    assert code == 2
    assert "short.mp4" in err.splitlines()[-1]


@pytest.mark.parametrize(
    "query",
    [
        [],
        ["--text", "a star", "--video", "a.mp4"],
        ["--serve", "--audio", "a.wav"],
        ["--text", "a star", "--audio", "a.wav", "--video", "a.mp4"],
    ],
    ids=["none", "text-video", "serve-audio", "three"],
)
def test_other_combinations_of_queries_are_refused(capsys, made, query):
    code, _, err = run(capsys, "search", made, *query)
    assert code == 2
    assert "give one of --text, --audio, --video and --serve" in err
