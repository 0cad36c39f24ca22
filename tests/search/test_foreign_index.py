"""An index that a stranger made opens nothing outside of its folder."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import safetensors.numpy

from keras_vatt.cli.main import main
from keras_vatt.search import MediaIndex, MediaIndexError, embed_folder

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="links of Unix"),
]


@pytest.fixture
def foreign(index_folder, tmp_path):
    """A copy of an index, made by someone with another key."""
    folder = shutil.copytree(index_folder, tmp_path / "foreign")
    edit(folder / "index.json", lambda content: content.update(signature="0" * 64))
    return folder


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["hf://owner/name", "/tmp", "../preset"])
def test_its_model_is_not_loaded_without_being_asked_for(name, foreign, capsys):
    edit(foreign / "index.json", lambda content: content["model"].update(preset=name))
    index = MediaIndex.load(foreign)
    assert index.preset is None
    assert index.named_preset == name
    assert main(["search", str(foreign), "--text", "a star"]) != 0
    message = capsys.readouterr().err
    assert "made by someone else" in message
    assert name in message


def test_a_preset_of_the_package_may_be_named_by_anyone(foreign):
    name = "vatt_tiny_agnostic"
    edit(foreign / "index.json", lambda content: content["model"].update(preset=name))
    assert MediaIndex.load(foreign).preset == name


def test_its_media_are_opened_only_from_a_folder_that_is_given(foreign, media):
    index = MediaIndex.load(foreign)
    with pytest.raises(MediaIndexError, match="made by someone else"):
        index.find_file("talk.mp4")
    given = MediaIndex.load(foreign, folder=media)
    assert given.find_file("talk.mp4") == (media / "talk.mp4").resolve()


@pytest.mark.parametrize("folder", ["/", "../../..", "a\0b"])
def test_it_may_not_name_another_folder_of_media(folder, foreign):
    edit(foreign / "index.json", lambda content: content.update(folder=folder))
    with pytest.raises(MediaIndexError, match="made by someone else"):
        MediaIndex.load(foreign).find_file("talk.mp4")


def test_media_in_the_folder_of_the_index_are_its_own(foreign, media):
    shutil.copytree(media, foreign / "media")
    edit(foreign / "index.json", lambda content: content.update(folder="media"))
    found = MediaIndex.load(foreign).find_file("talk.mp4")
    assert found == (foreign / "media" / "talk.mp4").resolve()


def test_a_user_who_embeds_again_makes_it_the_user_s_own(model, media, index_folder):
    again = shutil.copytree(index_folder, media.parent / "again")
    edit(again / "index.json", lambda content: content.pop("signature"))
    assert MediaIndex.load(again).folder is None
    embed_folder(model, media, again, batch_size=4, progress=False)
    assert MediaIndex.load(again).folder == media.resolve()


def replaced(path, make):
    def change(folder):
        (found,) = folder.glob(path)
        target = folder.parent / "outside"
        shutil.copy(found, target)
        found.unlink()
        make(found, target)

    return change


def linked(path, target):
    path.symlink_to(target)


CHANGES = {
    "index is a link outside": replaced("index.json", linked),
    "index is a pipe": replaced("index.json", lambda path, _: os.mkfifo(path)),
    "shard is a link outside": replaced("shards/*.json", linked),
    "shard is a pipe": replaced("shards/*.json", lambda path, _: os.mkfifo(path)),
    "shard is a folder": replaced("shards/*.json", lambda path, _: path.mkdir()),
    "matrices are a link outside": replaced("shards/*.safetensors", linked),
    "matrices are a pipe": replaced(
        "shards/*.safetensors", lambda path, _: os.mkfifo(path)
    ),
    "shard is huge": replaced(
        "shards/*.json", lambda path, _: (path.touch(), os.truncate(path, 2**33))
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_only_regular_files_of_the_index_are_read(name, foreign):
    CHANGES[name](foreign)
    with pytest.raises(MediaIndexError, match="can't be read|no index"):
        MediaIndex.load(foreign)


def test_shards_outside_are_neither_read_nor_removed(foreign, model, media):
    outside = foreign.parent / "elsewhere"
    (foreign / "shards").rename(outside)
    (outside / "precious.txt").write_text("mine")
    (foreign / "shards").symlink_to(outside)
    with pytest.raises(MediaIndexError, match="leads out"):
        MediaIndex.load(foreign)
    edit(foreign / "index.json", lambda content: content.update(shards=[]))
    with pytest.raises(MediaIndexError, match=r"leads out|was made of"):
        embed_folder(model, media, foreign, batch_size=4, progress=False)
    assert (outside / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("key", "value"),
    [("start", float("nan")), ("end", 1e400), ("file", -1), ("file", True)],
)
def test_numbers_that_mean_nothing_are_refused(key, value, foreign):
    (path,) = (foreign / "shards").glob("*.json")
    edit(path, lambda content: content[key].__setitem__(0, value))
    with pytest.raises(MediaIndexError, match="can't be read"):
        MediaIndex.load(foreign)


def test_embeddings_that_are_not_finite_are_refused(foreign, model):
    (path,) = (foreign / "shards").glob("*.safetensors")
    matrices = safetensors.numpy.load_file(path)
    matrices["video_to_text"][0] = np.nan
    safetensors.numpy.save_file(matrices, path)
    with pytest.raises(MediaIndexError, match="not finite"):
        MediaIndex.load(foreign).search(model, text="a red star")


def test_a_pipe_among_the_media_is_not_opened(foreign, tmp_path):
    (tmp_path / "media").mkdir()
    os.mkfifo(tmp_path / "media" / "talk.mp4")
    index = MediaIndex.load(foreign, folder=tmp_path / "media")
    with pytest.raises(MediaIndexError, match="no regular file"):
        index.find_file("talk.mp4")
