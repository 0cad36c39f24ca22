"""The authors' vocabulary, from an archive that may be hostile."""

import gzip
import tarfile

import pytest

import keras_vatt
from keras_vatt.conversion import _published_vocabulary as vocabulary
from keras_vatt.conversion import fetch_preset
from tests.published.tiny_publication import (
    ARCHIVE,
    NAME,
    VOCABULARY,
    WORDS,
    archive,
)
from tests.published.weights_server import Fault

pytestmark = pytest.mark.once

FILE = "howto100m_en.txt"


def link(target):
    info = tarfile.TarInfo(FILE)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def read(tmp_path, content):
    (tmp_path / ARCHIVE).write_bytes(content)
    return vocabulary.read_archived_vocabulary(tmp_path / ARCHIVE, FILE)


def test_the_vocabulary_is_found_in_any_folder_and_nothing_is_unpacked(tmp_path):
    content = archive({"../../evil.txt": "x", "/etc/evil": "x", VOCABULARY: "a\nb"})
    assert read(tmp_path, content) == "a\nb"
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]
    assert not (tmp_path.parent.parent / "evil.txt").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive({"misc/other.txt": "a"}), "has no file"),
        (archive({FILE: link("/etc/passwd")}), "has no file"),
        (b"<html>", "is damaged"),
        (archive({VOCABULARY: "a" * 1000})[:-20], "is damaged"),
        (gzip.compress(b"not an archive" * 100), "is damaged"),
    ],
    ids=["other file", "link", "web page", "cut", "no archive"],
)
def test_archives_without_a_vocabulary_are_refused(tmp_path, content, words):
    with pytest.raises(vocabulary.VocabularyArchiveError, match=words):
        read(tmp_path, content)


@pytest.mark.parametrize("limit", ["_MAX_UNPACKED_BYTES", "MAX_VOCABULARY_BYTES"])
def test_archives_that_are_too_large_are_refused(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(vocabulary, limit, 20_000)
    with pytest.raises(vocabulary.VocabularyArchiveError, match="too large|limit"):
        read(tmp_path, archive({VOCABULARY: "a" * 30_000}))


def test_archives_with_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "_MAX_ENTRIES", 2)
    with pytest.raises(vocabulary.VocabularyArchiveError, match="more than 2 entries"):
        read(tmp_path, archive({"a": "", "b": "", VOCABULARY: "a"}))


def _too_many():
    return archive({VOCABULARY: "\n".join([*WORDS, *map(str, range(300))])})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive({"a": ""}), "has no file"),
        (archive({VOCABULARY: "a\nb"}), "lacks the special words"),
        (_too_many(), "the model has vectors for 256"),
    ],
    ids=["no file", "no special words", "too many words"],
)
def test_without_a_usable_vocabulary_word_ids_work(server, content, words):
    server.replace(ARCHIVE, content)
    with pytest.warns(UserWarning, match=words):
        model = keras_vatt.VATT.from_preset(NAME)
    rows = model.encode(text=[[4, 5, 6] + [0] * 13])
    assert rows["text"]["to_video"].shape[0] == 1
    with pytest.raises(ValueError, match="keras-vatt convert --from NAME --vocabulary"):
        model.encode(text=["a red star"])


def test_a_refused_vocabulary_is_named_with_its_address(server):
    server.fail(ARCHIVE, Fault(status=403))
    with pytest.warns(UserWarning, match="refuses access") as warning:
        fetch_preset(NAME)
    messages = [str(entry.message) for entry in warning]
    assert any(f"{server.url}/{ARCHIVE}" in message for message in messages)


def test_the_vocabulary_is_downloaded_once(server, cache):
    folder = fetch_preset(NAME)
    (folder / "config.json").unlink()
    fetch_preset(NAME)
    assert [request.path for request in server.requests].count(ARCHIVE) == 1
    assert (cache / "vocabulary" / FILE).read_text().split() == WORDS
    assert not (cache / "vocabulary" / ARCHIVE).exists()
