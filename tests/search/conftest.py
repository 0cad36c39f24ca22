"""A model, a folder of media and its index, made once."""

import pathlib

import keras
import pytest

from keras_vatt.search import MediaIndex, embed_folder
from tests.search.small import small_model, write_folder

# The page, its guard and what happens to files have nothing to do with the backend:
# their tests run once, on PyTorch.
_WITH_BACKEND = {
    "test_embedding.py",
    "test_fused_search.py",
    "test_media_index.py",
    "test_search_command.py",
}
if keras.config.backend() != "torch":
    tests = pathlib.Path(__file__).parent.glob("test_*.py")
    collect_ignore = [test.name for test in tests if test.name not in _WITH_BACKEND]


@pytest.fixture(scope="session")
def model():
    return small_model()


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("searched") / "media")


@pytest.fixture(scope="session")
def index_folder(model, media):
    folder = media.parent / "index"
    embed_folder(model, media, folder, batch_size=4, progress=False)
    return folder


@pytest.fixture
def index(index_folder):
    return MediaIndex.load(index_folder)
