"""One file of a folder, however odd, ends nothing but its own embedding."""

import contextlib
import wave

import av
import numpy as np
import pytest

from keras_vatt.data import MediaError, MediaInfo, Problem
from keras_vatt.data.decoding import _media as media
from keras_vatt.search import MediaIndex, embed_folder
from keras_vatt.search import _thumbnails as thumbnails
from keras_vatt.search import _windows as windows_module
from keras_vatt.search._media_files import find_media
from keras_vatt.search._thumbnails import thumbnail
from keras_vatt.search._windows import WindowReader
from tests.data._media import write_media
from tests.search.small import SPEC, tone, write_video

pytestmark = pytest.mark.once

WEEKS = 2_160_000.0  # 600 hours.
ERRORS = {
    "library": av.error.ArgumentError(22, "Invalid argument"),
    "memory": MemoryError("768 MB"),
    "unforeseen": RuntimeError("a filter graph without a sink"),
}


def embed(model, folder, output, **options):
    return embed_folder(model, folder, output, batch_size=4, progress=False, **options)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    write_video(folder / "good.mp4", 3, seconds=0.8)
    return folder


def fail_on(name, error, decode):
    def failing(source, *arguments, **options):
        if source.name.endswith(name):
            raise error
        return decode(source, *arguments, **options)

    return failing


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_any_error_of_decoding_is_a_finding(model, folder, monkeypatch, error):
    write_video(folder / "odd.mp4", 3, seconds=0.4, sound=tone(300, 0.4))
    failing = fail_on("odd.mp4", error, windows_module.decode_frames)
    monkeypatch.setattr(windows_module, "decode_frames", failing)
    report = embed(model, folder, folder.parent / "index")
    assert report.counts == {Problem.CORRUPT: 1}
    assert report.findings[0].where == "odd.mp4"
    assert type(error).__name__ in report.findings[0].reason
    index = MediaIndex.load(folder.parent / "index")
    # Its audio is found all the same.
    assert (index.count("video"), index.count("audio")) == (2, 1)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_any_error_of_opening_is_a_finding(model, folder, monkeypatch, error):
    write_video(folder / "odd.mp4", 3, seconds=0.4)
    failing = fail_on("odd.mp4", error, media.Media.info)
    monkeypatch.setattr(media.Media, "info", failing)
    report = embed(model, folder, folder.parent / "index")
    assert report.counts == {Problem.CORRUPT: 1}
    assert report.used == 2


def test_errors_are_raised_on_demand(model, folder, monkeypatch):
    write_video(folder / "odd.mp4", 3, seconds=0.4)
    failing = fail_on("odd.mp4", MemoryError(), windows_module.decode_frames)
    monkeypatch.setattr(windows_module, "decode_frames", failing)
    with pytest.raises(MediaError, match=r"odd\.mp4"):
        embed(model, folder, folder.parent / "index", on_error="raise")
    (folder / "odd.mp4").write_bytes(b"no media")
    with pytest.raises(MediaError, match=r"odd\.mp4"):
        embed(model, folder, folder.parent / "other", on_error="raise")


def test_silence_is_no_error(model, tmp_path):
    silence = np.zeros(8_000, np.float32), 8_000
    write_media(tmp_path / "a.wav", sound=silence, audio_codec="pcm_s16le")
    report = embed(model, tmp_path, tmp_path / "index", on_error="raise")
    assert set(report.counts) == {Problem.SILENT}


@pytest.mark.parametrize(("height", "width"), [(60_000, 2), (2, 60_000), (8, 8)])
def test_frames_of_any_shape_end_nothing(model, folder, height, width):
    picture = np.zeros((height, width, 3), np.uint8)
    options = {"video_codec": "png", "pixel_format": "rgb24", "rate": 10}
    pictures, times = [picture] * 4, np.arange(4) / 10
    odd = write_media(folder / "odd.mov", pictures, times, **options)
    report = embed(model, folder, folder.parent / "index")
    named = {finding.where for finding in report.findings}
    assert report.used + len(named) == 3
    assert named <= {"odd.mov"}
    with contextlib.suppress(MediaError):
        assert thumbnail(odd, 0.0, 0.4)[1] == "image/jpeg"


def test_any_error_of_a_thumbnail_is_the_file_s(folder, monkeypatch):
    def failing(*_):
        raise MemoryError

    monkeypatch.setattr(thumbnails, "_image_at", failing)
    with pytest.raises(MediaError, match=r"good\.mp4.*MemoryError"):
        thumbnail(folder / "good.mp4", 0.0, 0.4)


def test_an_audio_file_without_samples_is_named(model, folder):
    with wave.open(str(folder / "empty.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
    report = embed(model, folder, folder.parent / "index")
    assert [(f.problem, f.where) for f in report.findings] == [
        (Problem.NO_AUDIO, "empty.wav")
    ]


def test_a_claim_of_weeks_is_believed_as_far_as_the_bytes_allow(tmp_path, monkeypatch):
    write_media(tmp_path / "a.wav", sound=tone(300, 1.0), audio_codec="pcm_s16le")
    claim = MediaInfo(0.0, WEEKS, has_video=False, has_audio=True)
    monkeypatch.setattr(media.Media, "info", lambda _: claim)
    reader = WindowReader(tmp_path, SPEC)
    windows, findings = reader.cut(find_media(tmp_path)[0], 3.2)
    size = (tmp_path / "a.wav").stat().st_size
    assert windows[-1].end == max(600.0, size / 16)
    assert [(f.problem, f.where) for f in findings] == [(Problem.MALFORMED, "a.wav")]


def test_windows_past_the_end_are_one_finding(model, tmp_path, monkeypatch):
    write_media(tmp_path / "a.wav", sound=tone(300, 3.0), audio_codec="pcm_s16le")
    claim = MediaInfo(0.0, 40.0, has_video=False, has_audio=True)
    monkeypatch.setattr(media.Media, "info", lambda _: claim)
    report = embed(model, tmp_path, tmp_path / "index", window_seconds=2.0)
    # Of the second window, the clip from 2.8 to 3.2 s is audible in part.
    assert report.used == 2
    (finding,) = report.findings
    assert "in 18 windows" in finding.reason


def test_the_length_of_a_file_is_measured_once(model, folder, monkeypatch):
    calls, info = [], media.Media.info
    monkeypatch.setattr(
        media.Media, "info", lambda opened: calls.append(0) or info(opened)
    )
    monkeypatch.setattr(windows_module, "decode_frames", _frames_without_a_file)
    embed(model, folder, folder.parent / "index", window_seconds=0.05)
    assert len(calls) == 1


def _frames_without_a_file(source, start, spec):
    return np.zeros(spec.video_shape, np.uint8)


def test_a_file_that_is_no_longer_there_is_named(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4")
    files, _ = find_media(tmp_path)
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "a.mp4").mkdir()
    windows, (finding,) = WindowReader(tmp_path, SPEC).cut(files, SPEC.duration)
    assert not windows
    assert finding.problem is Problem.MISSING
    assert str(tmp_path) not in finding.reason


def test_the_page_names_a_query_that_fails_in_an_unforeseen_way(
    index, model, monkeypatch
):
    testclient = pytest.importorskip("starlette.testclient")
    pytest.importorskip("uvicorn")
    from keras_vatt.search import _queries as queries
    from keras_vatt.search._page import HOST, make_app

    def failing(*_, **__):
        raise ERRORS["library"]

    monkeypatch.setattr(queries, "raw_frames", failing)
    app = make_app(index, model)
    address = f"http://{HOST}/{app.state.token}"
    with testclient.TestClient(app, base_url=address) as client:
        answer = client.post("/search/video?name=odd.mov", content=b"something")
    assert answer.status_code == 422
    assert "odd.mov" in answer.text
