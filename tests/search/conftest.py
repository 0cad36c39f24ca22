"""A model, a folder of media and its index, made once."""

import pytest

from keras_vatt.search import MediaIndex, embed_folder
from tests.search.small import small_model, write_folder


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
