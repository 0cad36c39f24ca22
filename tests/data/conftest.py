"""Media files that several tests read; each is made once."""

import os

import filelock
import numpy as np
import pytest

from keras_vatt.data import Segment
from tests.data._corpus import write_corpus
from tests.data._ffmpeg_cases import AUDIOS, VIDEOS, write_case
from tests.data._media import clicks, noisy_picture, numbered_picture, write_media

CLICK_TIMES = np.arange(0.5, 8.0, 0.5)


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def steady_video(media_folder):
    """8 seconds at 25 frames per second, H.264 with B-frames, and clicks in AAC."""
    return write_media(
        media_folder / "steady.mp4",
        [numbered_picture(number) for number in range(200)],
        np.arange(200) / 25,
        (clicks(CLICK_TIMES, 8.0, 48_000), 48_000),
        group=40,
    )


@pytest.fixture(scope="session")
def silent_video(media_folder):
    """4 seconds without an audio stream."""
    images = [numbered_picture(number) for number in range(40)]
    return write_media(media_folder / "mute.mp4", images, np.arange(40) / 10)


@pytest.fixture(scope="session")
def noisy_video(media_folder):
    """8 seconds of 25 noisy frames, the index before 80 kB of frames."""
    return write_media(
        media_folder / "noisy.mp4",
        [noisy_picture(number) for number in range(200)],
        np.arange(200) / 25,
        muxer={"movflags": "faststart"},
    )


@pytest.fixture(scope="session")
def corpus(media_folder):
    """The segments of a corpus with everything that can be wrong."""
    return write_corpus(media_folder / "corpus")


@pytest.fixture(scope="session")
def many_clips(steady_video):
    """Twelve good segments of one video of 8 seconds, half a second apart."""
    path = str(steady_video)
    return [Segment(path, t / 2, t / 2 + 1.5, f"caption {'x' * t}") for t in range(12)]


@pytest.fixture(scope="session")
def ffmpeg_file(tmp_path_factory):
    """A function from the name of a case to its file, made once by `ffmpeg`."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # Of all workers.
    folder = folder / "ffmpeg"

    def file_of(name):
        # In a folder of its own, where the parts that it is made of lie too.
        path = folder / name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            done = path.with_suffix(".done")
            if not done.exists():
                case = VIDEOS.get(name) or AUDIOS[name]
                write_case(path, case, has_video=name in VIDEOS)
                done.touch()
        return path

    return file_of
