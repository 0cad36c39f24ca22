"""Files and queries shorter than a clip are used, by one rule for an index."""

import numpy as np
import pytest

from keras_vatt.data import MediaError, Problem, decode_waveform
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.search import MediaIndex, MediaIndexError, embed_folder, read_report
from tests.data._media import write_media
from tests.search.small import SPEC, tone, write_video

pytestmark = pytest.mark.once


@pytest.fixture
def short(tmp_path):
    """A video and an audio file of 0.2 seconds; a clip lasts 0.4."""
    folder = tmp_path / "short"
    folder.mkdir()
    write_video(folder / "a.mp4", 9, seconds=0.2)
    write_media(folder / "b.wav", sound=tone(300, 0.2), audio_codec="pcm_s16le")
    return folder


def embed(model, folder, output, **options):
    return embed_folder(model, folder, output, batch_size=4, progress=False, **options)


def unit(vector):
    vector = np.asarray(vector, np.float64)
    return vector / np.sqrt(vector @ vector)


@pytest.mark.parametrize(("rule", "done"), [("repeat", "repeated"), ("pad", "padded")])
def test_short_files_are_embedded_and_counted(model, short, tmp_path, rule, done):
    report = embed(model, short, tmp_path / "index", short_clips=rule)
    assert report.used == 2
    assert report.counts == {Problem.SHORT: 2}
    assert [f.where for f in report.findings] == ["a.mp4", "b.wav"]
    assert all(done in finding.reason for finding in report.findings)
    assert read_report(tmp_path / "index") == report
    waveform = raw_waveform(short / "b.wav", SPEC, short_clips=rule)
    half = decode_waveform(short / "b.wav", 0.0, SPEC)[:400]
    rest = half if rule == "repeat" else np.zeros(400)
    np.testing.assert_allclose(waveform[0], [*half, *rest], atol=1e-6)
    row = unit(model.encode(audio=waveform[..., None])["audio"]["to_video"][0])
    frames = raw_frames(short / "a.mp4", SPEC, short_clips=rule)
    seen = unit(model.encode(video=frames)["video"]["to_audio"][0])
    # The query is short too: by default, the rule of the index is its own.
    index = MediaIndex.load(tmp_path / "index")
    (found,) = index.search(model, audio=short / "b.wav", modality="audio")
    assert found.score == pytest.approx(1.0, abs=1e-5)
    (found,) = index.search(model, audio=short / "b.wav", modality="video")
    assert found.score == pytest.approx(row @ seen, abs=2e-5)


def test_short_files_are_left_out_if_that_is_the_rule(model, short, tmp_path):
    report = embed(model, short, tmp_path / "index", short_clips="error")
    assert report.used == 0
    assert report.counts == {Problem.TOO_SHORT: 2}
    index = MediaIndex.load(tmp_path / "index")
    with pytest.raises(MediaError) as caught:
        index.search(model, audio=short / "b.wav")
    assert caught.value.problem is Problem.TOO_SHORT
    assert index.search(model, audio=short / "b.wav", short_clips="pad") == []


def test_a_file_of_several_short_windows_is_not_short(model, media, tmp_path):
    report = embed(model, media / "trip", tmp_path / "index", window_seconds=0.1)
    assert report.findings == ()


def test_an_index_is_not_mixed_from_two_rules(model, short, tmp_path):
    embed(model, short, tmp_path / "index")
    with pytest.raises(MediaIndexError, match="short_clips='repeat'"):
        embed(model, short, tmp_path / "index", short_clips="pad")


def test_unknown_rules_are_named(model, media, index, tmp_path):
    with pytest.raises(ValueError, match="short_clips='stretch'"):
        embed(model, media, tmp_path / "index", short_clips="stretch")
    with pytest.raises(ValueError, match="short_clips='stretch'"):
        index.search(model, audio=media / "talk.mp4", short_clips="stretch")
    with pytest.raises(ValueError, match="on_error='ignore'"):
        embed(model, media, tmp_path / "index", on_error="ignore")
