"""A query that nobody hears is refused: the index has no silence either."""

import numpy as np
import pytest

from keras_vatt.search import MediaIndexError
from tests.data._media import write_media
from tests.search.small import tone

pytestmark = pytest.mark.once

SILENCE = np.zeros(8_000, np.float32)


def as_file(folder, samples=SILENCE):
    sound = samples, 8_000
    return write_media(folder / "quiet.wav", sound=sound, audio_codec="pcm_s16le")


def test_a_silent_file_is_refused(model, index, tmp_path):
    with pytest.raises(MediaIndexError, match="silent"):
        index.search(model, audio=as_file(tmp_path))


def test_a_silent_array_is_refused(model, index):
    with pytest.raises(MediaIndexError, match="silent"):
        index.search(model, audio=(SILENCE, 8_000))


def test_silence_with_a_video_is_refused(model, media, index):
    with pytest.raises(MediaIndexError, match="silent"):
        index.search(model, video=media / "talk.mp4", audio=(SILENCE, 8_000))


def test_silence_around_the_middle_is_no_silent_query(model, index):
    padded = np.concatenate([SILENCE, tone(300, 1.0)[0], SILENCE])
    assert index.search(model, audio=(padded, 8_000), top_k=1)


def test_the_page_refuses_silence_and_says_why(model, index, tmp_path):
    testclient = pytest.importorskip("starlette.testclient")
    pytest.importorskip("uvicorn")
    from keras_vatt.search._page import HOST, make_app

    app = make_app(index, model)
    address = f"http://{HOST}/{app.state.token}"
    content = as_file(tmp_path).read_bytes()
    with testclient.TestClient(app, base_url=address) as client:
        answer = client.post("/search/audio", content=content)
    assert answer.status_code == 422
    assert "silent" in answer.text
