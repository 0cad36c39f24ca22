"""Media that a folder has and an index has not are named; links out on demand."""

import os
import shutil
import sys

import pytest

from keras_vatt.data import Problem
from keras_vatt.search import MediaIndex, MediaIndexError, embed_folder, read_report
from keras_vatt.search._media_files import file_inside, find_media
from tests.data._media import write_media
from tests.search.small import tone, write_video
from tests.search.tables import edit_header, edit_rows, read_header

pytestmark = pytest.mark.once

unix = pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")


def embed(model, folder, output, **options):
    return embed_folder(model, folder, output, batch_size=4, progress=False, **options)


def paths_in(folder, **options):
    return [file.path for file in find_media(folder, **options)[0]]


@pytest.fixture
def linked(tmp_path):
    """A folder with a file of its own, and links to a file and a folder outside."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    (outside / "deep").mkdir(parents=True)
    write_video(inside / "own.mp4", 1, seconds=0.4)
    write_video(outside / "lone.mp4", 2, seconds=0.4)
    write_video(outside / "deep" / "far.mp4", 3, seconds=0.4)
    (inside / "link.mp4").symlink_to(outside / "lone.mp4")
    (inside / "films").symlink_to(outside / "deep")
    return inside


def test_formats_that_are_not_read_are_named(model, tmp_path):
    write_video(tmp_path / "a.mp4", seconds=0.4)
    for name in ("b.rmvb", "c.MID", "notes.txt", ".hidden.rm"):
        (tmp_path / name).write_bytes(b"something")
    report = embed(model, tmp_path, tmp_path / "index")
    assert [(f.problem, f.where) for f in report.findings] == [
        (Problem.IGNORED, "b.rmvb"),
        (Problem.IGNORED, "c.MID"),
    ]
    assert "not read" in str(report)
    assert read_report(tmp_path / "index") == report


def test_a_folder_of_ignored_media_says_so(model, tmp_path):
    (tmp_path / "b.rmvb").write_bytes(b"something")
    with pytest.raises(MediaIndexError, match=r"1 ignored: 'b\.rmvb'"):
        embed(model, tmp_path, tmp_path / "index")


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [
        (".m4b", "aac", "ipod"),
        (".wma", "libmp3lame", "asf"),
        (".weba", "libopus", "webm"),
        (".au", "pcm_s16be", "au"),
        (".wv", "wavpack", "wv"),
        (".mp2", "mp2", "mp2"),
    ],
)
def test_audio_of_many_suffixes_is_taken(tmp_path, model, suffix, codec, container):
    rate = 48_000 if codec == "libopus" else 44_100
    made = tmp_path / f"made.{container if container != 'ipod' else 'm4a'}"
    write_media(made, sound=tone(300, 1.0, rate), audio_codec=codec)
    folder = tmp_path / "media"
    folder.mkdir()
    made.rename(folder / f"a{suffix}")
    report = embed(model, folder, tmp_path / "index")
    assert report.used >= 2
    assert report.findings == ()


def test_suffixes_of_mpeg_program_streams_are_taken(tmp_path):
    names = ["a.mpg", "b.MPEG", "c.vob"]
    for name in names:
        (tmp_path / name).write_bytes(b"something")
    assert paths_in(tmp_path) == names


@unix
def test_names_that_are_not_utf_8_are_named(tmp_path):
    name = os.fsencode(tmp_path / "a") + b"\xff.mp4"
    with open(name, "wb"):
        pass
    files, (finding,) = find_media(tmp_path)
    assert files == []
    assert finding.problem is Problem.IGNORED
    assert "UTF-8" in finding.reason


@unix
def test_links_out_of_the_folder_are_named(model, linked):
    report = embed(model, linked, linked.parent / "index")
    assert [(f.problem, f.where) for f in report.findings] == [
        (Problem.IGNORED, "films"),
        (Problem.IGNORED, "link.mp4"),
    ]
    assert all("--allow-outside" in finding.reason for finding in report.findings)
    assert MediaIndex.load(linked.parent / "index").paths == ("own.mp4",)


@unix
def test_links_out_of_the_folder_are_followed_on_demand(model, linked):
    output = linked.parent / "index"
    report = embed(model, linked, output, allow_outside=True)
    assert report.findings == ()
    index = MediaIndex.load(output)
    assert index.paths == ("films/far.mp4", "link.mp4", "own.mp4")
    outside = linked.parent / "outside"
    for path, target in [("films/far.mp4", "deep/far.mp4"), ("link.mp4", "lone.mp4")]:
        with index.open_file(path) as file:
            assert file.read() == (outside / target).read_bytes()
    # The next run without it drops them, and the right to open them.
    assert len(embed(model, linked, output).findings) == 2
    assert "allow_outside" not in read_header(output)
    assert MediaIndex.load(output).paths == ("own.mp4",)


@unix
def test_each_folder_is_searched_once_whatever_links_lead_to_it(linked):
    outside = linked.parent / "outside"
    (outside / "deep" / "back").symlink_to(outside / "deep")
    (outside / "deep" / "home").symlink_to(linked)
    (outside / "deep" / "up").symlink_to(outside)
    (linked / "again").symlink_to(outside / "deep")
    (linked / "self").symlink_to(linked / "self")
    assert paths_in(linked, allow_outside=True) == [
        "again/far.mp4",
        "again/up/lone.mp4",
        "link.mp4",
        "own.mp4",
    ]


@unix
def test_links_within_the_folder_are_no_finding(tmp_path):
    (tmp_path / "a").mkdir()
    write_video(tmp_path / "a" / "b.mp4", seconds=0.4)
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "d.mp4").symlink_to(tmp_path / "a" / "b.mp4")
    for allowed in (False, True):
        files, findings = find_media(tmp_path, allow_outside=allowed)
        assert [file.path for file in files] == ["a/b.mp4", "d.mp4"]
        assert findings == []


@unix
def test_broken_links_and_links_to_other_files_are_named(tmp_path):
    (tmp_path / "secret.key").write_text("secret")
    (tmp_path / "a.mp4").symlink_to(tmp_path / "secret.key")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "gone.mp4")
    for allowed in (False, True):
        files, findings = find_media(tmp_path, allow_outside=allowed)
        assert files == []
        assert [finding.where for finding in findings] == ["a.mp4", "b.mp4"]


@pytest.fixture
def outside_index(model, linked):
    output = linked.parent / "index"
    embed(model, linked, output, allow_outside=True)
    return output


@unix
def test_a_stranger_s_index_does_not_allow_itself_links_out(
    model, linked, outside_index
):
    foreign = shutil.copytree(outside_index, linked.parent / "foreign")
    edit_header(foreign, lambda header: header.update(signature="0" * 64))
    index = MediaIndex.load(foreign, folder=linked)
    with pytest.raises(MediaIndexError, match="leads out"):
        index.open_file("link.mp4")
    index.open_file("own.mp4").close()
    given = MediaIndex.load(foreign, folder=linked, allow_outside=True)
    given.open_file("link.mp4").close()


@unix
def test_the_permission_can_not_be_added_to_one_s_own_index(model, linked):
    output = linked.parent / "index"
    embed(model, linked, output)
    edit_header(output, lambda header: header.update(allow_outside=True))
    index = MediaIndex.load(output, folder=linked)
    assert not index._allow_outside
    assert index.preset is None


@unix
@pytest.mark.parametrize(
    "path", ["../outside/lone.mp4", "films/../../outside/lone.mp4", "/etc/a.mp4"]
)
def test_links_lead_out_of_a_folder_and_paths_do_not(linked, outside_index, path):
    edit_rows(outside_index, lambda columns: columns["path"].__setitem__(0, path))
    index = MediaIndex.load(outside_index)
    with pytest.raises(MediaIndexError, match="leads out"):
        index.open_file(path)
    with pytest.raises(MediaIndexError, match="leads out"):
        file_inside(linked, path, allow_outside=True)


@unix
def test_links_lead_to_media_alone(linked):
    (linked.parent / "secret.key").write_text("secret")
    (linked / "link.mp4").unlink()
    (linked / "link.mp4").symlink_to(linked.parent / "secret.key")
    with pytest.raises(MediaIndexError, match="no file of video"):
        file_inside(linked, "link.mp4", allow_outside=True)
