"""Results of a search equal the formula of the cosine."""

import shutil
import sys

import numpy as np
import pytest

from keras_vatt.data import MediaError, decode_frames, decode_waveform
from keras_vatt.search import (
    MediaIndex,
    MediaIndexError,
    embed_folder,
    read_report,
    unknown_words,
)
from tests.search.small import SPEC, small_model, write_folder, write_video
from tests.search.tables import edit_header, edit_rows, read_rows, replace_rows

# Windows of 0.4 seconds: file, number of windows, whether it is seen and heard.
FILES = [
    ("talk.mp4", 5, True, True),
    ("trip/hum.wav", 4, False, True),
    ("trip/mute.mp4", 5, True, False),
]
SPACES = {
    ("text", "video"): ("to_video", "to_text"),
    ("audio", "video"): ("to_video", "to_audio"),
    ("audio", "audio"): ("to_video", "to_video"),
    ("video", "audio"): ("to_audio", "to_video"),
    ("video", "video"): ("to_audio", "to_audio"),
}


def all_windows(model, media, modality):
    """The embeddings of each window, and which window it is."""
    places, clips = [], []
    for path, count, seen, heard in FILES:
        if not (seen if modality == "video" else heard):
            continue
        for start in (0.4 * np.arange(count)).round(3).tolist():
            if modality == "video":
                clips.append(decode_frames(media / path, start, SPEC))
            else:
                clips.append(decode_waveform(media / path, start, SPEC)[:, np.newaxis])
            places.append((path, round(start, 3)))
    return places, model.encode(**{modality: np.stack(clips)})[modality]


def by_formula(query, rows):
    query, rows = np.asarray(query, np.float64), np.asarray(rows, np.float64)
    return rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)


@pytest.mark.parametrize(("kind", "modality"), SPACES)
def test_results_are_those_of_the_formula(model, media, index, kind, modality):
    query = {
        "text": "a red circle",
        "audio": str(media / "trip" / "hum.wav"),
        "video": str(media / "trip" / "mute.mp4"),
    }[kind]
    of_query, of_media = SPACES[kind, modality]
    places, embeddings = all_windows(model, media, modality)
    vector = model.encode(**{kind: [query]})[kind][of_query][0]
    expected = by_formula(vector, embeddings[of_media])
    results = index.search(model, **{kind: query}, modality=modality, top_k=99)
    assert len(results) == len(places)
    scores = {(r.path, round(r.start, 3)): r.score for r in results}
    for place, score in zip(places, expected, strict=True):
        assert scores[place] == pytest.approx(score, abs=2e-5)
    assert [r.score for r in results] == sorted(scores.values(), reverse=True)
    assert {r.modality for r in results} == {modality}
    assert all(r.end == pytest.approx(r.start + 0.4) for r in results)


def test_a_text_and_a_sound_look_for_videos_and_a_video_for_sounds(model, media, index):
    file = media / "talk.mp4"
    assert index.search(model, text="a star", top_k=1)[0].modality == "video"
    assert index.search(model, audio=file, top_k=1)[0].modality == "video"
    assert index.search(model, video=file, top_k=1)[0].modality == "audio"


def test_equal_media_come_in_the_order_of_the_index(model, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    write_video(media / "b.mp4", 7)
    for name in ("a.mp4", "d.mp4", "c.mp4"):
        shutil.copy(media / "b.mp4", media / name)
    embed_folder(model, media, tmp_path / "index", batch_size=4, progress=False)
    index = MediaIndex.load(tmp_path / "index")
    for top_k in (1, 2, 3, 4):
        results = index.search(model, video=media / "b.mp4", modality="video", top_k=20)
        same = [r.path for r in results if r.score == results[0].score]
        assert same == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
        assert results[:top_k] == index.search(
            model, video=media / "b.mp4", modality="video", top_k=top_k
        )


def test_text_finds_sounds_where_both_are_in_one_space(model, media, index, tmp_path):
    with pytest.raises(MediaIndexError, match="no common space"):
        index.search(model, text="a star", modality="audio")
    joint = small_model(joint=True)
    embed_folder(joint, media, tmp_path / "joint", batch_size=4, progress=False)
    results = MediaIndex.load(tmp_path / "joint").search(
        joint, text="a red star", modality="audio", top_k=99
    )
    places, embeddings = all_windows(joint, media, "audio")
    vector = joint.encode(text=["a red star"])["text"]["to_video"][0]
    expected = by_formula(vector, embeddings["to_video"])
    best = places[int(np.argmax(expected))]
    assert (results[0].path, round(results[0].start, 3)) == best
    assert results[0].score == pytest.approx(expected.max(), abs=2e-5)


def test_words_that_the_model_does_not_know_are_left_out(model, index):
    assert unknown_words(model, "A zebra, a Star!") == ["zebra,"]
    assert index.search(model, text="a zebra star") == index.search(
        model, text="a star"
    )
    for text in ("zebra", "  ", "!?"):
        with pytest.raises(MediaIndexError, match="empty|none of the words"):
            index.search(model, text=text)


def test_bad_queries_are_named(model, media, index):
    with pytest.raises(ValueError, match="exactly one"):
        index.search(model)
    with pytest.raises(ValueError, match="exactly one"):
        index.search(model, text="a star", audio="a.wav")
    with pytest.raises(MediaIndexError, match="'video' or 'audio'"):
        index.search(model, text="a star", modality="smell")
    with pytest.raises(MediaIndexError, match="must be positive"):
        index.search(model, text="a star", top_k=0)
    with pytest.raises(MediaIndexError, match="another model"):
        index.search(small_model(seed=1), text="a star")
    with pytest.raises(MediaIndexError, match="width 8"):
        index.search_vector(np.ones(9), "video_to_text")
    with pytest.raises(MediaError, match="cannot be decoded"):
        index.search(model, video=media / "noise.mp4")


def test_an_index_and_its_media_can_be_moved_together(model, tmp_path):
    here = tmp_path / "here"
    write_folder(here / "media")
    embed_folder(model, here / "media", here / "index", batch_size=4, progress=False)
    shutil.move(here, tmp_path / "there")
    index = MediaIndex.load(tmp_path / "there" / "index")
    assert index.find_file("talk.mp4") == (tmp_path / "there/media/talk.mp4").resolve()
    elsewhere = MediaIndex.load(tmp_path / "there" / "index", folder=tmp_path / "media")
    assert elsewhere.find_file("talk.mp4") == (tmp_path / "media/talk.mp4").resolve()


@pytest.fixture
def copy(index_folder, tmp_path):
    return shutil.copytree(index_folder, tmp_path / "copy")


def test_an_index_serves_no_file_but_media_in_its_folder(copy, media):
    outside = ["../../secret.mp4", "/etc/passwd", "notes.txt"]

    def change(columns):
        columns["path"][:3] = outside

    edit_rows(copy, change)
    index = MediaIndex.load(copy, folder=media)
    for path in outside:
        with pytest.raises(MediaIndexError, match="leads out|no file of video"):
            index.find_file(path)
    with pytest.raises(MediaIndexError, match="no file 'other.mp4'"):
        index.find_file("other.mp4")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "cake"}, "not an index of media"),
        ({"version": 99}, "version 99"),
        ({"model": None}, "no valid 'model'"),
        ({"complete": "yes"}, "no valid 'complete'"),
        ({"short_clips": "stretch"}, "short clips is unknown"),
        ({"approximate": {"both": {"probes": 0}}}, "approximate indexes"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_damaged_header_is_named(copy, change, message):
    edit_header(copy, lambda header: header.update(change))
    with pytest.raises(MediaIndexError, match=message):
        MediaIndex.load(copy)


def test_a_damaged_report_is_named(copy):
    edit_header(copy, lambda header: header.update(report={"used": 1}))
    with pytest.raises(MediaIndexError, match="can't be read"):
        read_report(copy)


@pytest.mark.parametrize("name", ["path", "start", "has_video", "video_to_text"])
def test_windows_with_columns_of_other_types_are_refused(copy, name):
    rows = read_rows(copy)
    place = rows.schema.names.index(name)
    replace_rows(copy, rows.set_column(place, name, [[0] * len(rows)]))
    with pytest.raises(MediaIndexError, match=f"column '{name}'"):
        MediaIndex.load(copy)


def test_windows_without_a_path_are_refused(copy):
    edit_rows(copy, lambda columns: columns["path"].__setitem__(0, None))
    with pytest.raises(MediaIndexError, match="lacks its path"):
        MediaIndex.load(copy)


def test_an_index_of_an_earlier_version_must_be_made_again(model, media, tmp_path):
    (tmp_path / "index.json").write_text('{"version": 1}')
    (tmp_path / "shards").mkdir()
    for use in (
        lambda: MediaIndex.load(tmp_path),
        lambda: read_report(tmp_path),
        lambda: embed_folder(model, media, tmp_path, progress=False),
    ):
        with pytest.raises(MediaIndexError, match="`keras-vatt embed` again"):
            use()


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras_vatt.search._store", raising=False)
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MediaIndexError, match=r'pip install "keras-vatt\[search\]"'):
        MediaIndex.load(tmp_path)
