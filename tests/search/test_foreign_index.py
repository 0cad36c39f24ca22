"""An index that a stranger made opens nothing outside of its folder."""

import os
import shutil
import struct
import sys

import lancedb
import pyarrow as pa
import pytest

from keras_vatt.cli.main import main
from keras_vatt.search import MediaIndex, MediaIndexError, embed_folder
from tests.search.tables import edit_header, edit_rows, read_rows, replace_rows

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="links of Unix"),
]


@pytest.fixture
def foreign(index_folder, tmp_path):
    """A copy of an index, made by someone with another key."""
    folder = shutil.copytree(index_folder, tmp_path / "foreign")
    edit_header(folder, lambda header: header.update(signature="0" * 64))
    return folder


@pytest.mark.parametrize("name", ["hf://owner/name", "/tmp", "../preset"])
def test_its_model_is_not_loaded_without_being_asked_for(name, foreign, capsys):
    edit_header(foreign, lambda header: header["model"].update(preset=name))
    index = MediaIndex.load(foreign)
    assert index.preset is None
    assert index.named_preset == name
    assert main(["search", str(foreign), "--text", "a star"]) != 0
    message = capsys.readouterr().err
    assert "made by someone else" in message
    assert name in message


def test_a_preset_of_the_package_may_be_named_by_anyone(foreign):
    name = "vatt_tiny_agnostic"
    edit_header(foreign, lambda header: header["model"].update(preset=name))
    assert MediaIndex.load(foreign).preset == name


def test_its_media_are_opened_only_from_a_folder_that_is_given(foreign, media):
    index = MediaIndex.load(foreign)
    with pytest.raises(MediaIndexError, match="made by someone else"):
        index.find_file("talk.mp4")
    given = MediaIndex.load(foreign, folder=media)
    assert given.find_file("talk.mp4") == (media / "talk.mp4").resolve()


@pytest.mark.parametrize("folder", ["/", "../../..", "a\0b"])
def test_it_may_not_name_another_folder_of_media(folder, foreign):
    edit_header(foreign, lambda header: header.update(folder=folder))
    with pytest.raises(MediaIndexError, match="made by someone else"):
        MediaIndex.load(foreign).find_file("talk.mp4")


def test_media_in_the_folder_of_the_index_are_its_own(foreign, media):
    shutil.copytree(media, foreign / "media")
    edit_header(foreign, lambda header: header.update(folder="media"))
    found = MediaIndex.load(foreign).find_file("talk.mp4")
    assert found == (foreign / "media" / "talk.mp4").resolve()


def test_a_user_who_embeds_again_makes_it_the_user_s_own(model, media, index_folder):
    again = shutil.copytree(index_folder, media.parent / "again")
    edit_header(again, lambda header: header.pop("signature"))
    assert MediaIndex.load(again).folder is None
    embed_folder(model, media, again, batch_size=4, progress=False)
    assert MediaIndex.load(again).folder == media.resolve()


PARTS = {
    "header": "header.lance",
    "windows": "windows.lance",
    "data": "windows.lance/data",
    "data-file": "windows.lance/data/*.lance",
    "manifest": "header.lance/_versions/*.manifest",
}
REPLACEMENTS = {
    "link": lambda path, moved: path.symlink_to(moved),
    "pipe": lambda path, moved: os.mkfifo(path),
    "empty-file": lambda path, moved: path.touch(),
    "huge-file": lambda path, moved: (path.touch(), os.truncate(path, 2**33)),
}


@pytest.mark.parametrize("replacement", REPLACEMENTS)
@pytest.mark.parametrize("part", PARTS)
def test_only_regular_files_of_the_index_are_read(part, replacement, foreign):
    found = next(foreign.glob(PARTS[part]))
    moved = found.rename(foreign.parent / "moved")
    REPLACEMENTS[replacement](found, moved)
    with pytest.raises(
        MediaIndexError, match="can.t be read|no index|leads out|regular file|more than"
    ):
        MediaIndex.load(foreign)


@pytest.mark.parametrize("part", ["header", "windows", "data"])
def test_nothing_outside_is_written_or_removed(part, foreign, model, media):
    outside = foreign.parent / "elsewhere"
    (foreign / PARTS[part]).rename(outside)
    (outside / "precious.txt").write_text("mine")
    before = sorted(outside.rglob("*"))
    (foreign / PARTS[part]).symlink_to(outside)
    with pytest.raises(MediaIndexError, match="leads out|is a link"):
        embed_folder(model, media, foreign, batch_size=4, progress=False)
    assert sorted(outside.rglob("*")) == before


def test_a_manifest_may_not_name_a_folder_outside(foreign, index_folder):
    """Lance opens the files of a fragment in any of the base paths of its manifest."""
    outside = foreign.parent / "elsewhere"
    outside.mkdir()
    database = lancedb.connect(outside)
    database.create_table("windows", read_rows(index_folder), on_bad_vectors="null")
    for manifest in (foreign / "windows.lance" / "_versions").glob("*.manifest"):
        add_base_path(manifest, outside / "windows.lance")
    with pytest.raises(MediaIndexError, match="leads out"):
        MediaIndex.load(foreign)


def add_base_path(path, folder):
    content = path.read_bytes()
    (start,) = struct.unpack("<q", content[-16:-8])
    (size,) = struct.unpack_from("<I", content, start)
    name = str(folder).encode()
    # Field 18, `base_paths`: its `is_dataset_root` and its `path`.
    entry = b"\x18\x01\x22" + bytes([len(name)]) + name
    message = content[start + 4 : start + 4 + size]
    message += b"\x92\x01" + bytes([len(entry)]) + entry
    head = content[:start] + struct.pack("<I", len(message)) + message
    path.write_bytes(head + content[-16:])


@pytest.mark.parametrize(
    ("key", "value"), [("start", float("nan")), ("end", float("inf"))]
)
def test_times_that_mean_nothing_are_refused(key, value, foreign):
    edit_rows(foreign, lambda columns: columns[key].__setitem__(0, value))
    with pytest.raises(MediaIndexError, match="can't be read"):
        MediaIndex.load(foreign)


def with_value(rows, value):
    """Rows whose first embedding has a number that a unit vector can't have."""
    place = rows.schema.names.index("video_to_text")
    vectors = rows["video_to_text"].to_pylist()
    vectors[0][0] = value
    column = pa.array(vectors, rows.schema.field(place).type)
    return rows.set_column(place, "video_to_text", column)


@pytest.mark.parametrize(
    ("value", "message"),
    [(float("nan"), "not finite"), (float("inf"), "not finite"), (9.0, "unit vectors")],
    ids=["nan", "infinite", "long"],
)
def test_embeddings_that_are_no_unit_vectors_are_refused(value, message, foreign):
    # LanceDB refuses to write such vectors, but it can fill in anything.
    filled = {"on_bad_vectors": "fill", "fill_value": value}
    replace_rows(foreign, with_value(read_rows(foreign), value), **filled)
    with pytest.raises(MediaIndexError, match=message):
        MediaIndex.load(foreign)


def test_a_pipe_among_the_media_is_not_opened(foreign, tmp_path):
    (tmp_path / "media").mkdir()
    os.mkfifo(tmp_path / "media" / "talk.mp4")
    index = MediaIndex.load(foreign, folder=tmp_path / "media")
    with pytest.raises(MediaIndexError, match="no regular file"):
        index.find_file("talk.mp4")
