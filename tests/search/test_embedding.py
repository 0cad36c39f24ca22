"""A folder becomes an index: whole, in spite of interruptions, and up to date."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy

from keras_vatt.data import Problem
from keras_vatt.search import (
    MediaIndex,
    MediaIndexError,
    embed_folder,
    read_report,
)
from keras_vatt.search import _embedding as embedding
from keras_vatt.search import _index_files as index_files
from tests.data._media import noisy_picture, write_media
from tests.search.small import small_model, write_folder, write_video


def content(folder):
    """The bytes of all files of an index, by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def embed(model, folder, output, **options):
    return embed_folder(
        model, folder, output, **{"batch_size": 4, "progress": False} | options
    )


@pytest.fixture
def decoded(monkeypatch):
    """Lists of the windows that were decoded, one a batch."""
    batches = []
    decode = embedding.decode_windows

    def counted(windows, *arguments):
        batches.append(list(windows))
        return decode(windows, *arguments)

    monkeypatch.setattr(embedding, "decode_windows", counted)
    return batches


def interrupt_after(monkeypatch, batches):
    decode = embedding.decode_windows
    left = iter(range(batches))

    def interrupted(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return decode(*arguments)

    monkeypatch.setattr(embedding, "decode_windows", interrupted)


def test_an_index_has_each_window_and_a_report_of_what_it_lacks(index_folder):
    index = MediaIndex.load(index_folder)
    assert index.complete
    assert len(index) == 14
    assert (index.count("video"), index.count("audio")) == (10, 9)
    assert index.paths == ("talk.mp4", "trip/hum.wav", "trip/mute.mp4")
    report = read_report(index_folder)
    assert report.used == 14
    assert report.counts == {Problem.CORRUPT: 1}
    assert report.findings[0].where == "noise.mp4"
    assert str(index.folder) not in (index_folder / "report.json").read_text()


def test_embeddings_are_float32_rows_of_length_1(index_folder):
    (path,) = (index_folder / "shards").glob("*.safetensors")
    matrices = safetensors.numpy.load_file(path)
    shapes = {name: matrix.shape for name, matrix in matrices.items()}
    assert shapes == {
        "video_to_text": (10, 8),
        "video_to_audio": (10, 12),
        "audio_to_video": (9, 12),
    }
    for matrix in matrices.values():
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_an_interrupted_run_goes_on_and_gives_the_same_index(
    model, media, index_folder, decoded, monkeypatch, tmp_path, batches
):
    output = media.parent / f"again-{batches}"
    with monkeypatch.context() as patch:
        patch.setattr(embedding, "_COMMIT_WINDOWS", 8)
        interrupt_after(patch, batches)
        with pytest.raises(KeyboardInterrupt):
            embed(model, media, output)
    if batches:
        assert not MediaIndex.load(output).complete
    embed(model, media, output)
    assert content(output) == content(index_folder)
    # Nothing twice: 14 windows in batches of 4.
    assert [len(batch) for batch in decoded] == [4, 4, 4, 2]


def test_a_run_that_is_killed_while_it_writes_goes_on(
    model, media, index_folder, monkeypatch
):
    output = media.parent / "killed"
    replace = os.replace
    left = iter(range(3))

    def killed(source, target):
        if next(left, None) is None:
            raise MemoryError
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "_COMMIT_WINDOWS", 4)
        patch.setattr(os, "replace", killed)
        with pytest.raises(MemoryError):
            embed(model, media, output)
    embed(model, media, output)
    assert content(output) == content(index_folder)


def test_only_what_changed_is_embedded_again(model, tmp_path, decoded):
    media, output = write_folder(tmp_path / "media"), tmp_path / "index"
    embed(model, media, output)
    before = content(output)
    decoded.clear()
    embed(model, media, output)
    assert decoded == []
    assert content(output) == before

    write_video(media / "talk.mp4", first=100, seconds=1.2)
    (media / "trip" / "mute.mp4").unlink()
    write_video(media / "new.mp4", first=30, seconds=0.4)
    embed(model, media, output)
    assert {window.file.path for batch in decoded for window in batch} == {
        "new.mp4",
        "talk.mp4",
    }
    index = MediaIndex.load(output)
    assert index.paths == ("new.mp4", "talk.mp4", "trip/hum.wav")
    assert len(index) == 1 + 3 + 4
    fresh = tmp_path / "fresh"
    embed(model, media, fresh)
    for name in ("video_to_text", "audio_to_video"):
        ours, theirs = (
            safetensors.numpy.load_file(next((f / "shards").glob("*.safetensors")))
            for f in (output, fresh)
        )
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)


def test_what_could_not_be_decoded_is_tried_again_by_a_later_run(model, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    pictures = [noisy_picture(number) for number in range(20)]
    muxer = {"movflags": "faststart"}  # The headers come first.
    video = media / "a.mp4"
    write_media(video, pictures, np.arange(20) / 10, rate=10, muxer=muxer)
    whole, when = video.read_bytes(), video.stat().st_mtime_ns
    half = len(whole) // 2
    video.write_bytes(whole[:half] + b"\xff" * (len(whole) - half))
    os.utime(video, ns=(when, when))
    report = embed(model, media, tmp_path / "index")
    assert report.counts == {Problem.CORRUPT: 1}
    assert 0 < report.used < 5
    video.write_bytes(whole)
    os.utime(video, ns=(when, when))
    report = embed(model, media, tmp_path / "index")
    assert report.findings == ()
    assert MediaIndex.load(tmp_path / "index").count("video") == 5


def test_one_batch_is_decoded_at_a_time(model, media, decoded, tmp_path):
    embed(model, media, tmp_path / "index", batch_size=4)
    assert max(len(batch) for batch in decoded) == 4


def test_shards_are_cut_by_size(model, media, index_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(index_files, "SHARD_WINDOWS", 5)
    output = tmp_path / "index"
    embed(model, media, output)
    assert len(list((output / "shards").glob("*.safetensors"))) == 3
    vector = np.random.default_rng(0).normal(size=8)
    results = [
        MediaIndex.load(folder).search_vector(vector, "video_to_text", 10)
        for folder in (output, index_folder)
    ]
    assert results[0] == results[1]


def test_an_index_of_another_model_or_other_windows_is_refused(
    model, media, index_folder
):
    before = content(index_folder)
    with pytest.raises(MediaIndexError, match="another model"):
        embed(small_model(seed=1), media, index_folder)
    with pytest.raises(MediaIndexError, match="windows of 0.4 s"):
        embed(model, media, index_folder, window_seconds=1.0)
    with pytest.raises(MediaIndexError, match="choose another output"):
        embed(model, media / "trip", index_folder)
    assert content(index_folder) == before


def test_a_folder_with_something_else_is_left_alone(model, media, tmp_path):
    (tmp_path / "thesis.txt").write_text("something")
    with pytest.raises(MediaIndexError, match="is not empty"):
        embed(model, media, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_bad_arguments_are_named(model, media, tmp_path):
    (tmp_path / "empty").mkdir()
    output = tmp_path / "index"
    with pytest.raises(MediaIndexError, match="no folder"):
        embed(model, tmp_path / "gone", output)
    with pytest.raises(MediaIndexError, match="no file of video or sound"):
        embed(model, tmp_path / "empty", output)
    with pytest.raises(MediaIndexError, match="more than 0 seconds"):
        embed(model, media, output, window_seconds=0)
    with pytest.raises(MediaIndexError, match="batch size"):
        embed(model, media, output, batch_size=0)
    with pytest.raises(MediaIndexError, match="preprocessor"):
        embed(model.backbone, media, output)
    assert not output.exists()


def test_a_model_that_gives_no_numbers_is_refused(media, tmp_path):
    broken = small_model()
    broken.bridge_head.weights[0].assign(broken.bridge_head.weights[0] * np.nan)
    with pytest.raises(MediaIndexError, match="not finite"):
        embed(broken, media, tmp_path / "index")


def test_the_index_names_its_model_and_no_place_of_this_machine(index_folder, media):
    header = json.loads((index_folder / "index.json").read_text())
    assert header["folder"] == "../media"
    assert set(header["model"]) == {"preset", "weights_sha256", "clip"}
    assert str(media) not in (index_folder / "index.json").read_text()
