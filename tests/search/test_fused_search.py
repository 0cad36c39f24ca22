"""A query and a window may have both video and audio: then both are compared."""

import re

import numpy as np
import pytest

from keras_vatt.data import decode_frames, decode_waveform
from keras_vatt.search import MediaIndex, MediaIndexError, embed_folder
from tests.search.small import SPEC, small_model

# Windows of 0.4 seconds of the files of `small.write_folder`.
SEEN = {"talk.mp4": 5, "trip/mute.mp4": 5}
HEARD = {"talk.mp4": 5, "trip/hum.wav": 4}


def unit(vector):
    vector = np.asarray(vector, np.float64)
    return vector / np.sqrt(vector @ vector)


def mean_of(vectors):
    return unit(np.mean([unit(vector) for vector in vectors], axis=0))


def windows_of(files):
    for path, count in files.items():
        for number in range(count):
            yield path, round(0.4 * number, 3)


def vectors_of_windows(model, media, video_output):
    """Dict from the place of a window to the vectors of what it has."""
    vectors = {}
    frames = [decode_frames(media / p, t, SPEC) for p, t in windows_of(SEEN)]
    rows = model.encode(video=np.stack(frames))["video"][video_output]
    for place, row in zip(windows_of(SEEN), rows, strict=True):
        vectors.setdefault(place, []).append(row)
    waveforms = [decode_waveform(media / p, t, SPEC) for p, t in windows_of(HEARD)]
    rows = model.encode(audio=np.stack(waveforms)[..., None])["audio"]["to_video"]
    for place, row in zip(windows_of(HEARD), rows, strict=True):
        vectors.setdefault(place, []).append(row)
    return vectors


def vector_of(model, kind, path, output):
    return model.encode(**{kind: str(path)})[kind][output][0]


def check(results, query, windows):
    assert len(results) == len(windows)
    for result in results:
        own = windows[result.path, round(result.start, 3)]
        assert result.score == pytest.approx(query @ mean_of(own), abs=2e-5)
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("kinds", ["audio", "video", "audio+video"])
def test_windows_are_compared_by_the_mean_of_their_unit_vectors(
    model, media, index, kinds
):
    kinds, path = kinds.split("+"), media / "talk.mp4"
    outputs = {"audio": "to_video", "video": "to_audio"}
    query = mean_of([vector_of(model, kind, path, outputs[kind]) for kind in kinds])
    results = index.search(
        model, **dict.fromkeys(kinds, path), modality="both", top_k=99
    )
    check(results, query, vectors_of_windows(model, media, "to_audio"))
    assert {(r.path, r.modality) for r in results} == {
        ("talk.mp4", "both"),
        ("trip/hum.wav", "audio"),
        ("trip/mute.mp4", "video"),
    }


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_a_query_of_both_looks_for_one_of_them_if_asked_to(
    model, media, index, modality
):
    path = media / "talk.mp4"
    query = mean_of(
        [
            vector_of(model, "video", path, "to_audio"),
            vector_of(model, "audio", path, "to_video"),
        ]
    )
    results = index.search(model, video=path, audio=path, modality=modality, top_k=99)
    windows = vectors_of_windows(model, media, "to_audio")
    files = SEEN if modality == "video" else HEARD
    number = 0 if modality == "video" else -1
    check(results, query, {p: [windows[p][number]] for p in windows_of(files)})


def test_a_query_of_both_looks_for_both_by_default(model, media, index):
    query = {"video": media / "talk.mp4", "audio": media / "trip" / "hum.wav"}
    found = index.search(model, **query, top_k=99)
    assert found == index.search(model, **query, modality="both", top_k=99)
    assert found != index.search(model, **query, modality="video", top_k=99)


def test_text_is_compared_with_both_in_a_joint_space_alone(
    model, media, index, tmp_path
):
    with pytest.raises(MediaIndexError, match="no common space"):
        index.search(model, text="a star", modality="both")
    joint = small_model(joint=True)
    embed_folder(joint, media, tmp_path / "joint", batch_size=4, progress=False)
    results = MediaIndex.load(tmp_path / "joint").search(
        joint, text="a red star", modality="both", top_k=99
    )
    query = unit(joint.encode(text=["a red star"])["text"]["to_video"][0])
    check(results, query, vectors_of_windows(joint, media, "to_text"))


def test_text_is_not_mixed_with_other_queries(model, media, index):
    with pytest.raises(ValueError, match="audio and video together"):
        index.search(model, text="a star", video=media / "talk.mp4")


def test_the_page_searches_by_both(model, media, index):
    testclient = pytest.importorskip("starlette.testclient")
    pytest.importorskip("uvicorn")
    from keras_vatt.search._page import HOST, make_app

    app = make_app(index, model)
    address = f"http://{HOST}/{app.state.token}"
    content = (media / "talk.mp4").read_bytes()
    with testclient.TestClient(app, base_url=address) as client:
        chosen = "count=12&modality=both&by=both"
        answer = client.post(f"/search/video?{chosen}", content=content)
        refused = client.post("/search/video?by=all", content=content)
        page = client.get("/").text
    path = media / "talk.mp4"
    expected = index.search(model, video=path, audio=path, top_k=12)
    assert answer.status_code == 200
    assert [
        float(score) for score in re.findall(r"<b>([-0-9.]+)</b>", answer.text)
    ] == [pytest.approx(result.score, abs=0.0051) for result in expected]
    assert refused.status_code == 400
    # Text finds video alone: there is nothing to choose.
    assert 'id="text-modality"' not in page
    assert page.count('value="both"') == 3
