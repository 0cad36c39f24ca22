"""A small corpus of captioned videos, and the same corpus in shards of each format."""

import os

import filelock
import numpy as np
import pytest

from keras_vatt.data import StoredForm, prepare_shards
from tests.data._media import clicks, noisy_picture, numbered_picture, write_media

FORMATS = ("arrayrecord", "tfrecord", "webdataset")
FORM = StoredForm(frame_size=32, sampling_rate=16_000)

_CUES = """WEBVTT

00:00.000 --> 00:04.000
first words of {name}

00:04.000 --> 00:08.000
later words of {name}
"""


def write_videos(folder):
    """Writes four captioned videos, of which one is for tests, and a damaged one."""
    for split, names in {"train": "abc", "test": "d"}.items():
        for name in names:
            path = folder / f"{split}-{name}.mp4"
            images = [numbered_picture(n, 48, 64) for n in range(80)]
            sound = (clicks(np.arange(0.5, 8.0, 0.5), 8.0, 16_000), 16_000)
            write_media(path, images, np.arange(80) / 10, sound)
            path.with_suffix(".vtt").write_text(_CUES.format(name=name))
    write_media(
        folder / "mute.mp4", [noisy_picture(n) for n in range(40)], np.arange(40) / 10
    )
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(3_000))


def prepare_videos(videos, output, kind, **options):
    """Prepares the videos in three shards, and a fifth of them as test clips."""
    options = {"test_fraction": 0.2, "progress": False} | options
    return prepare_shards(videos, output, kind, 3, FORM, **options)


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Folder of four videos of 8 s with two captions each, a mute and a broken one."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # Of all workers.
    folder = folder / "captioned-videos"
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            write_videos(folder)
    return folder


@pytest.fixture(scope="session")
def prepared(videos, tmp_path_factory):
    """A function from a format to a folder with the videos in three shards."""
    folder, made = tmp_path_factory.mktemp("prepared"), {}

    def prepare(kind):
        if kind not in made:
            made[kind] = prepare_videos(videos, folder / kind, kind)
        return folder / kind

    return prepare
