"""A folder becomes an index: whole, in spite of interruptions, and up to date."""

import os

import numpy as np
import pytest

from keras_vatt.data import Problem
from keras_vatt.search import (
    MediaIndex,
    MediaIndexError,
    embed_folder,
    read_report,
)
from keras_vatt.search import _index_run as index_run
from keras_vatt.search._index_run import IndexRun
from keras_vatt.search._windows import WindowReader
from tests.data._media import noisy_picture, write_media
from tests.search.small import small_model, write_folder, write_video
from tests.search.tables import content, read_header, read_rows, vectors


def embed(model, folder, output, **options):
    return embed_folder(
        model, folder, output, **{"batch_size": 4, "progress": False} | options
    )


@pytest.fixture
def added(monkeypatch):
    """The windows that were embedded, in order."""
    windows, add = [], IndexRun.add

    def counted(self, window, *arguments):
        windows.append(window)
        add(self, window, *arguments)

    monkeypatch.setattr(IndexRun, "add", counted)
    return windows


def interrupt_at(monkeypatch, count):
    """Interrupts a run when it decodes the window after so many others."""
    decode = WindowReader.decode
    left = iter(range(count))

    def interrupted(self, window):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return decode(self, window)

    monkeypatch.setattr(WindowReader, "decode", interrupted)


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
    assert str(index.folder) not in str(report.findings)


def test_embeddings_are_float32_rows_of_length_1(index_folder):
    rows = read_rows(index_folder)
    shapes = {
        "video_to_text": (10, 8),
        "video_to_audio": (10, 12),
        "audio_to_video": (9, 12),
        "both": (14, 12),
    }
    for name, shape in shapes.items():
        assert str(rows.schema.field(name).type.value_type) == "float"
        matrix = vectors(rows, name)
        assert matrix.shape == shape
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1.0, atol=1e-6)


def test_the_columns_of_the_windows_are_documented_and_readable(index_folder):
    rows = read_rows(index_folder)
    documented = embed_folder.__doc__
    assert all(f"`{name}`" in documented for name in rows.schema.names)
    row = rows.to_pylist()[-1]
    expected = {"path": "trip/mute.mp4", "start": 1.6, "end": 2.0}
    expected |= {"has_video": True, "has_audio": False, "findings": []}
    assert {name: row[name] for name in expected} == expected
    assert row["audio_to_video"] is None


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_an_interrupted_run_is_resumed_and_gives_the_same_index(
    model, media, index_folder, added, monkeypatch, tmp_path, batches
):
    output = media.parent / f"again-{batches}"
    with monkeypatch.context() as patch:
        patch.setattr(index_run, "COMMIT_WINDOWS", 8)
        interrupt_at(patch, 4 * batches)
        with pytest.raises(KeyboardInterrupt):
            embed(model, media, output, num_workers=1)
    if batches:
        assert not MediaIndex.load(output).complete
    embed(model, media, output)
    assert content(output) == content(index_folder)
    # No window twice, and whole batches alone.
    assert len(added) == len(set(added)) == 14


def test_only_what_changed_is_embedded_again(model, tmp_path, added):
    media, output = write_folder(tmp_path / "media"), tmp_path / "index"
    embed(model, media, output)
    before = content(output)
    added.clear()
    embed(model, media, output)
    assert added == []
    assert content(output) == before

    write_video(media / "talk.mp4", first=100, seconds=1.2)
    (media / "trip" / "mute.mp4").unlink()
    write_video(media / "new.mp4", first=30, seconds=0.4)
    embed(model, media, output)
    assert {window.file.path for window in added} == {"new.mp4", "talk.mp4"}
    index = MediaIndex.load(output)
    assert index.paths == ("new.mp4", "talk.mp4", "trip/hum.wav")
    assert len(index) == 1 + 3 + 4
    fresh = tmp_path / "fresh"
    embed(model, media, fresh)
    ours, theirs = read_rows(output), read_rows(fresh)
    assert ours.select(["path", "start"]) == theirs.select(["path", "start"])
    for name in ("video_to_text", "audio_to_video", "both"):
        np.testing.assert_allclose(
            vectors(ours, name), vectors(theirs, name), atol=1e-5
        )


def test_a_file_that_was_only_removed_is_removed_from_the_index(model, tmp_path):
    media, output = write_folder(tmp_path / "media"), tmp_path / "index"
    embed(model, media, output)
    (media / "talk.mp4").unlink()
    report = embed(model, media, output)
    assert report.used == 9
    assert read_report(output) == report
    assert MediaIndex.load(output).paths == ("trip/hum.wav", "trip/mute.mp4")


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


def test_an_index_of_another_model_or_other_windows_is_refused(
    model, media, index_folder
):
    before = content(index_folder)
    with pytest.raises(MediaIndexError, match="another model"):
        embed(small_model(seed=1), media, index_folder)
    with pytest.raises(MediaIndexError, match="windows of 0.4 s"):
        embed(model, media, index_folder, window_seconds=1.0)
    with pytest.raises(MediaIndexError, match="Choose another output"):
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
    with pytest.raises(MediaIndexError, match="no video or audio file"):
        embed(model, tmp_path / "empty", output)
    with pytest.raises(MediaIndexError, match="more than 0 seconds"):
        embed(model, media, output, window_seconds=0)
    with pytest.raises(MediaIndexError, match="batch_size"):
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
    header = read_header(index_folder)
    assert header["folder"] == "../media"
    assert set(header["model"]) == {"preset", "weights_sha256", "clip"}
    assert str(media) not in str(content(index_folder))


def test_an_index_may_lie_in_an_object_store(model, media, index):
    # The scheme of LanceDB that tests use for the others: s3://, gs://, az://.
    output = "shared-memory://embedding/index"
    report = embed(model, media, output)
    assert embed(model, media, output) == report == read_report(output)
    stored = MediaIndex.load(output)
    assert stored.folder == media.resolve()
    query = {"video": media / "talk.mp4", "modality": "video"}
    assert stored.search(model, **query) == index.search(model, **query)
    with pytest.raises(MediaIndexError, match="no index"):
        MediaIndex.load("shared-memory://embedding/other")
