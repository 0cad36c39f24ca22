"""Files in object stores and on the Hub are listed, read and written, or named."""

import os
import subprocess
import sys
import time

import pytest

from keras_vatt import _remote_files
from keras_vatt._remote_files import (
    RemoteFileError,
    file_size,
    file_state,
    join_url,
    list_files,
    open_remote,
    read_bytes,
    upload,
    write_bytes,
)
from tests.stores import s3_client, stalling_server

pytestmark = pytest.mark.once

CONTENT = bytes(range(256)) * 20_000  # Several blocks, on the Hub an LFS file.


def test_files_are_listed_with_their_sizes(any_store):
    for name in ("b/é #1.bin", "a.bin", "b/c/d.bin", "b.bin", "z/z.bin"):
        any_store.put(name, name.encode())
    url = any_store.url
    names = ["a.bin", "b.bin", "b/c/d.bin", "b/é #1.bin", "z/z.bin"]
    assert list(list_files(url).items()) == [
        (f"{url}/{name}", len(name.encode())) for name in names
    ]
    assert list(list_files(f"{url}/b")) == [f"{url}/{name}" for name in names[2:4]]


def test_a_file_is_read_in_parts_and_as_a_whole(any_store):
    any_store.put("é #1.bin", CONTENT)
    url = join_url(any_store.url, "é #1.bin")
    assert file_size(url) == len(CONTENT)
    assert read_bytes(url) == CONTENT
    assert read_bytes(url, 300, 700) == CONTENT[300:700]
    with open_remote(url) as file:
        assert file.seek(-5, 2) == len(CONTENT) - 5
        assert file.read() == CONTENT[-5:]
        file.seek(1_048_570)
        assert file.read(20) == CONTENT[1_048_570:1_048_590]


@pytest.mark.parametrize("store", ["s3_store", "gcs_store"])
def test_files_are_written_and_replaced(store, tmp_path, request):
    store = request.getfixturevalue(store)
    url = join_url(store.url, "a", "b.bin")
    for content in (b"\n\nfirst\n", CONTENT):
        write_bytes(url, content)
        assert read_bytes(url) == content
        assert list_files(store.url) == {url: len(content)}
    (tmp_path / "c.bin").write_bytes(CONTENT + b"more")
    upload(tmp_path / "c.bin", url)
    assert read_bytes(url) == CONTENT + b"more"


def test_a_server_that_does_not_answer_is_an_error(stalled_store, monkeypatch):
    monkeypatch.setattr(_remote_files, "REQUEST_SECONDS", 0.5)
    url = join_url(stalled_store, "a.bin")
    calls = [
        lambda: list_files(stalled_store),
        lambda: open_remote(url),
        lambda: read_bytes(url),
        lambda: file_state(url),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(RemoteFileError, match=r"did not answer within 0\.5 s"):
            call()
        assert time.monotonic() - started < 5


def test_files_and_folders_that_do_not_exist_are_missing(any_store):
    any_store.put("a/b.bin", b"b")
    for name in ("c.bin", "a/c.bin", "a"):
        url = join_url(any_store.url, name)
        for read in (open_remote, file_state):
            with pytest.raises(FileNotFoundError, match="There is no file .*/"):
                read(url)
    for url in (join_url(any_store.url, "c"), f"{any_store.url}-2"):
        with pytest.raises(FileNotFoundError):
            list_files(url)


def test_a_file_written_after_a_listing_is_found(any_store):
    any_store.put("a/b.bin", b"b")
    list_files(any_store.url)
    any_store.put("a/c.bin", b"new")
    url = join_url(any_store.url, "a", "c.bin")
    assert file_size(url) == 3
    assert url in list_files(any_store.url)


def test_a_file_that_vanishes_after_a_listing_is_missing(any_store):
    any_store.put("a/b.bin", b"b")
    (url,) = list_files(any_store.url)
    any_store.delete("a/b.bin")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_bytes(url)


@pytest.mark.parametrize("store", ["gcs_store", "hf_store"])
def test_a_refusal_is_an_error_with_its_reason(store, request):
    store = request.getfixturevalue(store)
    store.server.status = 403
    for call in (list_files, open_remote, read_bytes):
        with pytest.raises(RemoteFileError, match=r"can't be used .*(403|Forbidden)"):
            call(join_url(store.url, "a.bin"))


def test_a_refusal_of_s3_is_an_error(gcs_server, monkeypatch):
    # Any server that refuses everything will do.
    monkeypatch.setattr(gcs_server, "status", 403)
    with s3_client(gcs_server.url, monkeypatch):
        for call in (list_files, open_remote, read_bytes):
            with pytest.raises(RemoteFileError, match=r"can't be used .*Forbidden"):
                call("s3://bucket/a.bin")


def test_a_process_ends_while_the_hub_does_not_answer():
    code = (
        "from keras_vatt import _remote_files; _remote_files.REQUEST_SECONDS = 0.5; "
        "_remote_files.list_files('hf://datasets/tester/corpus')"
    )
    with stalling_server() as address:
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"HF_ENDPOINT": address},
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "did not answer within 0.5 s" in ended.stderr


def test_the_state_of_a_file_changes_with_its_content(any_store):
    url = join_url(any_store.url, "a.bin")
    states = []
    for content in (b"one", b"two"):
        any_store.put("a.bin", content)
        list_files(any_store.url)
        states.append(file_state(url))
    assert states[0] != states[1]
    assert all(states)


@pytest.mark.parametrize("url", ["http://localhost/a", "s3://a::file:///b", "xy://a"])
def test_other_protocols_are_not_opened(url):
    with pytest.raises(RemoteFileError, match="known are paths, and gs://, s3://, hf:"):
        open_remote(url)
