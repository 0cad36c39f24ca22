"""Thumbnails of files that promise more than they hold."""

import contextlib
import io
import types
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from keras_vatt.data import MediaError, Problem
from keras_vatt.data.decoding import _media as media
from keras_vatt.search import _thumbnails as thumbnails
from keras_vatt.search._thumbnails import thumbnail
from tests.search.small import write_video

pytestmark = pytest.mark.once


def test_a_video_without_frames_is_named(tmp_path, monkeypatch):
    path = write_video(tmp_path / "talk.mp4")
    monkeypatch.setattr(media.Media, "decode", lambda *_: iter(()))
    with pytest.raises(MediaError, match="no frame that can be shown") as caught:
        thumbnail(path, 0.0, 0.4)
    assert caught.value.problem is Problem.NO_VIDEO


def test_a_video_whose_packets_are_lost_has_no_thumbnail(tmp_path):
    path = write_video(tmp_path / "talk.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[start:end] = np.random.default_rng(0).bytes(end - start)
    path.write_bytes(content)
    with contextlib.suppress(MediaError):
        thumbnail(path, 0.0, 0.4)


class Frame:
    """A frame whose header promises pixels ten million times as wide as high."""

    rotation = 0
    side_data: ClassVar[dict] = {}

    def to_ndarray(self, format):
        return np.zeros((40, 60, 3), np.uint8)


@pytest.mark.parametrize("aspect", [1e7, 1e-7, 2.0, None])
def test_pixels_of_any_shape_make_a_small_image(monkeypatch, aspect):
    class Video:
        sample_aspect_ratio = aspect
        codec_context = types.SimpleNamespace(name="rawvideo")

    class Media:
        video = Video()
        decode = staticmethod(lambda *_: iter([Frame()]))
        translated_errors = staticmethod(contextlib.nullcontext)

    image = thumbnails._image_at(Media(), 0.0)
    assert max(image.size) <= 480
    with Image.open(io.BytesIO(thumbnails._jpeg(image))) as read:
        assert read.size == image.size
