"""Publishes a checkpoint of a tiny built-in preset on a local server."""

import contextlib
import io
import tarfile

import huggingface_hub
from huggingface_hub import constants

import keras_vatt
from keras_vatt.conversion import _published
from keras_vatt.storage import _download
from keras_vatt.storage._published_checkpoints import PUBLISHED, PublishedCheckpoint
from tests.published.original_files import model_specs, write_original
from tests.published.weights_server import running_server

NAME = "vatt_tiny_specific"
PATH = "pretrain/tiny/ckpt-5"
INDEX, DATA = f"{PATH}.index", f"{PATH}.data-00000-of-00001"
ARCHIVE, VOCABULARY = "misc_data.tgz", "misc/howto100m_en.txt"
WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "red", "star"]


def files(folder):
    """Returns a dict from the paths of all published files to bytes."""
    model = keras_vatt.VATT.from_preset(NAME, load_weights=False)
    write_original(folder / PATH, model_specs(model))
    content = {path: (folder / path).read_bytes() for path in (INDEX, DATA)}
    return content | {ARCHIVE: archive({VOCABULARY: "\n".join(WORDS)})}


def archive(members):
    """Returns a compressed archive of texts, or of `TarInfo`s of links."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, member in members.items():
            text = member.encode() if isinstance(member, str) else b""
            info = tarfile.TarInfo(name) if isinstance(member, str) else member
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return content.getvalue()


@contextlib.contextmanager
def published(content, home, monkeypatch):
    """Yields a server of published files, from which the preset is fetched."""
    monkeypatch.setitem(PUBLISHED, NAME, PublishedCheckpoint(PATH))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(_download, "_WAITS", (0, 0))
    # The padding is far smaller than the tiny checkpoint.
    monkeypatch.setattr(_published, "_MAX_PADDING", 64)
    huggingface_hub.close_session()
    with running_server(content) as server:
        monkeypatch.setenv("KERAS_VATT_WEIGHTS_URL", server.url)
        yield server
    huggingface_hub.close_session()
