"""Every media file of a folder is read, or reported with the reason."""

import os
import sys

import pytest

from keras_vatt.data import Problem, Segment, read_corpus

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="links of Unix"),
]


@pytest.fixture
def folder(tmp_path):
    corpus = tmp_path / "corpus"
    (corpus / "sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/b.webm"):
        (corpus / name).write_bytes(b"not read here")
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    (tmp_path / "outside" / "deep" / "c.mp4").write_bytes(b"not read here")
    return corpus


def names(folder, **options):
    segments, findings = read_corpus(folder, **options)
    paths = [os.path.relpath(segment.path, folder.parent) for segment in segments]
    reasons = {os.path.relpath(f.where, folder): f.reason for f in findings}
    assert {f.problem for f in findings} <= {Problem.IGNORED, Problem.MISSING}
    return paths, reasons


OWN = ["corpus/a.mp4", "corpus/sub/b.webm"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.rm", "not read (.rm): convert it"),
        ("x.SWF", "not read (.swf)"),
        ("x.wma", "audio without video (.wma)"),
        ("x.m4b", "audio without video (.m4b)"),
        ("x.mp4.part", "unfinished download"),
        ("sub/x.wav", "audio without video"),
        ("x.en.vtt", "no video of this name"),
    ],
)
def test_a_media_file_that_is_not_read_is_named(folder, name, reason):
    (folder / name).write_bytes(b"")
    paths, reasons = names(folder)
    assert paths == OWN
    assert list(reasons) == [name]
    assert reason in reasons[name]


@pytest.mark.parametrize("suffix", [".m2ts", ".3g2", ".asf", ".mxf", ".MOV", ".divx"])
def test_formats_that_can_be_decoded_are_taken(folder, suffix):
    (folder / f"x{suffix}").write_bytes(b"")
    assert f"corpus/x{suffix}" in names(folder)[0]


@pytest.mark.parametrize("name", [".x.mp4", ".x.rm", ".git/x.mp4", "x.jpg", "x.txt"])
def test_hidden_files_and_other_files_are_left_out_silently(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    assert names(folder) == (OWN, {})


def test_a_link_to_a_folder_is_followed_where_that_is_allowed(folder):
    (folder / "link").symlink_to(folder.parent / "outside")
    paths, reasons = names(folder)
    assert paths == OWN
    assert "folder outside the folder of the corpus" in reasons["link"]
    assert "--allow-outside" in reasons["link"]
    paths, reasons = names(folder, allow_outside=True)
    assert paths == ["corpus/a.mp4", "outside/deep/c.mp4", "corpus/sub/b.webm"]
    assert reasons == {}


def test_captions_next_to_a_linked_video_are_read(folder):
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder.parent / "outside" / "deep" / "c.vtt").write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000\nwords\n"
    )
    segments, _ = read_corpus(folder, allow_outside=True)
    path = str(folder.parent / "outside" / "deep" / "c.mp4")
    assert segments[1] == Segment(path, 1.0, 2.0, "words")


@pytest.mark.parametrize(
    "target",
    ["corpus", "corpus/sub", ".", "outside/deep/../../corpus"],
    ids=["itself", "inside", "above", "by a detour"],
)
def test_a_loop_of_links_ends(folder, target):
    (folder / "sub" / "loop").symlink_to(folder.parent / target)
    for allow_outside in (False, True):
        paths, reasons = names(folder, allow_outside=allow_outside)
        assert paths == OWN
        assert list(reasons) == ["sub/loop"]


def test_links_outside_that_lead_to_each_other_are_followed_once(folder):
    outside = folder.parent / "outside"
    (folder / "link").symlink_to(outside)
    (folder / "twice").symlink_to(outside / "deep")
    (outside / "deep" / "up").symlink_to(outside)
    (outside / "back").symlink_to(folder)
    paths, _ = names(folder, allow_outside=True)
    assert sorted(paths) == sorted([*OWN, "outside/deep/c.mp4"])


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../outside/deep/c.mp4", "outside the folder of the corpus"),
        ("a.mp4", "is the same file as"),
        ("nothing.mp4", "a file that doesn't exist"),
        ("link.mp4", "a file that doesn't exist"),
        ("/dev/null", "is not a regular file"),
    ],
)
def test_a_link_that_is_not_read_is_named(folder, target, reason):
    (folder / "link.mp4").symlink_to(target)
    paths, reasons = names(folder)
    assert paths == OWN
    assert list(reasons) == ["link.mp4"]
    assert reason in reasons["link.mp4"]


def test_captions_are_no_way_out_of_the_folder(folder):
    secret = folder.parent / "outside" / "secret.vtt"
    secret.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nsecret\n")
    (folder / "a.vtt").symlink_to(secret)
    segments, (finding,) = read_corpus(folder)
    assert [segment.caption for segment in segments] == ["", ""]
    assert finding.problem is Problem.IGNORED
    segments, findings = read_corpus(folder, allow_outside=True)
    assert segments[0].caption == "secret"
    assert findings == []


def test_a_manifest_that_leads_outside_names_the_ways_to_allow_it(folder):
    (folder / "manifest.csv").write_text("path\n../outside/deep/c.mp4\n")
    with pytest.raises(ValueError, match=r"`allow_outside=True` or `--allow-outside`"):
        read_corpus(folder)
