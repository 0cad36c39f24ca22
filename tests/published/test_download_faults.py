"""Downloads of published presets that fail, and what they leave."""

import os
import re
import shutil
import threading

import numpy as np
import pytest
from huggingface_hub import constants

import keras_vatt
from keras_vatt.conversion import fetch_preset
from keras_vatt.storage import PresetError, _download
from keras_vatt.storage._download import DownloadError
from tests.conversion.bundle_files import Bundle
from tests.published import original_files
from tests.published.original_files import model_specs, write_original
from tests.published.tiny_publication import DATA, INDEX, NAME, PATH
from tests.published.weights_server import Fault

pytestmark = pytest.mark.once

_LOGIN = "https://accounts.example.org/login"
_REFUSALS = {
    "a login": (INDEX, Fault(status=401), r"asks for a login \(401\)"),
    "no access": (INDEX, Fault(status=403), r"refuses access \(403\)"),
    "no file": (INDEX, Fault(status=404), r"no such file \(404\)"),
    "no access to the data": (DATA, Fault(status=403), r"refuses access \(403\)"),
    "another status": (INDEX, Fault(status=418), "the status 418"),
    "a redirect": (INDEX, Fault(location=_LOGIN), "redirects to .*accounts"),
    "a login page": (INDEX, Fault(page=b"<html>"), "a web page instead"),
    "a login page for the data": (DATA, Fault(page=b"<html>"), "a web page instead"),
    "compressed data": (DATA, Fault(gzip=True), "compressed form"),
    "endless data": (DATA, Fault(endless=True), "more than the expected"),
    "too much data": (
        DATA,
        Fault(endless=True, claimed_size=10**8),
        "more than the expected",
    ),
    "no connection": (DATA, Fault(cut_after=0), "connection failed"),
    "silence": (INDEX, Fault(silent=True), "connection failed"),
}


def leftovers(cache):
    """Returns the files in the cache, except for the empty locks."""
    return [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"]


def one_line(error):
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", _REFUSALS)
def test_a_refused_download_says_what_to_do_and_leaves_nothing(server, cache, name):
    path, fault, words = _REFUSALS[name]
    server.fail(path, fault)
    with pytest.raises(DownloadError, match=words) as error:
        keras_vatt.VATT.from_preset(NAME)
    message = one_line(error)
    assert f"{server.url}/{PATH}" in message
    assert f"https://storage.cloud.google.com/tf_model_garden/vision/vatt/{INDEX}" in (
        message
    )
    assert DATA in message
    assert "Check KERAS_VATT_WEIGHTS_URL" in message
    assert f"keras-vatt convert --from FOLDER --config {NAME}" in message
    assert leftovers(cache) == []
    server.heal()
    keras_vatt.VATT.from_preset(NAME)


def test_a_busy_server_is_asked_again(server):
    server.fail(INDEX, Fault(status=503, retry_after="0"), times=1)
    fetch_preset(NAME)
    assert [r.path for r in server.requests].count(INDEX) == 2


def test_a_broken_transfer_goes_on_where_it_stopped(server):
    size = server.file(DATA).size
    server.fail(DATA, Fault(cut_after=size // 2), times=1)
    server.fail(DATA, Fault(stall_after=1000), times=1)
    fetch_preset(NAME)
    sent = sum(r.sent for r in server.requests if r.path == DATA)
    # A part of what was sent before a break may not have arrived.
    assert size <= sent < 1.5 * size


def test_a_later_call_goes_on_where_an_earlier_one_stopped(server, cache):
    size = server.file(DATA).size
    server.fail(DATA, Fault(cut_after=size // 2), times=1)
    server.fail(DATA, Fault(cut_after=0))
    with pytest.raises(DownloadError, match="MB were kept"):
        fetch_preset(NAME)
    (partial,) = (p for p in leftovers(cache) if p.suffix == ".incomplete")
    received = partial.stat().st_size
    assert received > size // 4
    server.heal()
    fetch_preset(NAME)
    (request,) = (r for r in server.requests if r.path == DATA)
    assert request.headers["Range"] == f"bytes={received}-"
    assert request.sent == size - received


def test_a_complete_part_is_not_downloaded_again(server, cache, monkeypatch):
    size = server.file(DATA).size
    with monkeypatch.context() as patch:
        patch.setattr(_download.os, "fsync", _killed_for_large_files(size))
        with pytest.raises(KeyboardInterrupt):
            fetch_preset(NAME)
    server.requests.clear()
    fetch_preset(NAME)
    assert sum(r.sent for r in server.requests if r.path == DATA) < 100


def _killed_for_large_files(size):
    def fsync(descriptor):
        if os.fstat(descriptor).st_size == size:
            raise KeyboardInterrupt

    return fsync


@pytest.mark.parametrize("fault", [{}, {"ignores_range": True}])
def test_a_file_that_changes_meanwhile_is_downloaded_from_its_start(
    server, tmp_path, fault
):
    model = keras_vatt.VATT.from_preset(NAME, load_weights=False)
    write_original(tmp_path / PATH, model_specs(model), seed=7)
    data, index = ((tmp_path / path).read_bytes() for path in (DATA, INDEX))
    size = len(data)
    server.fail(INDEX, Fault(replacement=index), times=1)
    server.fail(DATA, Fault(cut_after=size // 2, replacement=data, **fault), times=1)
    if not fault:
        # The index was that of the earlier version.
        with pytest.raises(PresetError, match="wrong checksum"):
            fetch_preset(NAME)
        fetch_preset(NAME)
    else:
        server.replace(INDEX, index)
        fetch_preset(NAME)


def test_an_altered_checkpoint_is_deleted(server, cache):
    server.fail(DATA, Fault(altered_at=5000), times=1)
    with pytest.raises(PresetError, match="wrong checksum: model/") as error:
        fetch_preset(NAME)
    assert "was altered, or damaged on its way" in one_line(error)
    assert leftovers(cache) == []
    fetch_preset(NAME)


def test_an_altered_index_is_deleted(server, cache):
    server.fail(INDEX, Fault(altered_at=500), times=1)
    with pytest.raises(PresetError, match="its index has .* wrong checksum"):
        fetch_preset(NAME)
    assert leftovers(cache) == []
    assert [r.path for r in server.requests] == [INDEX]


def test_data_shorter_than_its_index_says_is_refused(server, cache):
    server.fail(DATA, Fault(claimed_size=50_000))
    with pytest.raises(PresetError, match="which has 50,000"):
        fetch_preset(NAME)
    assert leftovers(cache) == []


def test_the_checkpoint_of_another_model_is_refused_by_its_index(
    server, cache, tmp_path
):
    other = keras_vatt.VATT.from_preset("vatt_tiny_agnostic", load_weights=False)
    write_original(tmp_path / "other", model_specs(other))
    server.replace(INDEX, (tmp_path / "other.index").read_bytes())
    with pytest.raises(PresetError, match="tensors differ from those of the preset"):
        fetch_preset(NAME)
    assert leftovers(cache) == []
    assert [r.path for r in server.requests] == [INDEX]


def test_a_checkpoint_in_several_shards_is_refused(server, tmp_path):
    model = keras_vatt.VATT.from_preset(NAME, load_weights=False)
    write_original(tmp_path / "two", model_specs(model))
    bundle = Bundle.load(tmp_path / "two")
    bundle.header.num_shards = 2
    bundle.write(tmp_path / "two")
    server.replace(INDEX, (tmp_path / "two.index").read_bytes())
    with pytest.raises(PresetError, match="needs other files than"):
        fetch_preset(NAME)


def test_a_checkpoint_with_a_value_that_is_not_finite_is_deleted(
    server, cache, tmp_path, monkeypatch
):
    model = keras_vatt.VATT.from_preset(NAME, load_weights=False)
    monkeypatch.setattr(
        original_files,
        "random_value",
        lambda key, spec, seed: np.full(spec.shape, np.nan, spec.dtype),
    )
    specs = model_specs(model)
    monkeypatch.setattr(original_files, "_COUNTERS", {})
    write_original(tmp_path / PATH, specs)
    for path in (INDEX, DATA):
        server.replace(path, (tmp_path / path).read_bytes())
    with pytest.raises(PresetError, match="contains NaN or infinity"):
        fetch_preset(NAME)
    assert leftovers(cache) == []


def test_offline_mode_is_named(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="unset HF_HUB_OFFLINE"):
        fetch_preset(NAME)
    assert server.requests == []


def test_a_full_disk_is_found_before_the_download(server, cache, monkeypatch):
    usage = shutil.disk_usage(cache.parent.parent)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=1_000_000)
    )
    with pytest.raises(PresetError, match="No space left on device. Free twice"):
        fetch_preset(NAME)
    assert leftovers(cache) == []
    assert not any(r.path == DATA for r in server.requests)


def test_a_cache_that_is_a_file_is_named(server, cache):
    cache.parent.mkdir()
    cache.write_text("")
    with pytest.raises(PresetError, match=re.escape(str(cache))) as error:
        fetch_preset(NAME)
    assert "HF_HOME" in one_line(error)


def test_two_threads_download_once(server):
    folders = []
    threads = [
        threading.Thread(target=lambda: folders.append(fetch_preset(NAME)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1
    assert len(folders) == 2
    assert [r.path for r in server.requests].count(DATA) == 1
