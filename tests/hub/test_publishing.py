"""Published checkpoints, converted and uploaded to the Hub."""

import pytest

import keras_vatt
from keras_vatt.cli.main import main
from keras_vatt.conversion import fetch_preset
from keras_vatt.storage._published_cache import cached_preset
from keras_vatt.storage._published_checkpoints import PUBLISHED
from tests.published.tiny_publication import NAME, files, published

pytestmark = pytest.mark.once

REPOSITORY = f"tester/{NAME}"
OTHER = "vatt_wat_base_audioset"


@pytest.fixture
def server(hub, tmp_path, monkeypatch):
    # `OTHER` has no files on this server.
    for name in set(PUBLISHED) - {OTHER}:
        monkeypatch.delitem(PUBLISHED, name)
    content = files(tmp_path / "checkpoint")
    with published(content, tmp_path / "hf", monkeypatch) as server:
        yield server


def test_all_presets_are_published_and_failures_are_listed(hub, server, capsys):
    assert main(["publish", "tester", "--private"]) == 2
    printed = capsys.readouterr()
    assert f"1/2 {NAME}: uploaded to {hub.url}" in printed.out
    assert f"2/2 {OTHER}: failed: The weights" in printed.out
    assert f"failed: {OTHER}. To try again" in printed.err
    assert hub.repositories[REPOSITORY].private
    card = hub.repositories[REPOSITORY].branches["main"][-1]["README.md"].decode()
    assert "Hassan Akbari" in card
    assert f'from_preset("hf://{REPOSITORY}")' in card
    assert keras_vatt.VATT.from_preset(f"hf://{REPOSITORY}").count_params() > 0
    assert cached_preset(NAME) is None


def test_published_presets_are_skipped_unless_overwritten(hub, server, capsys):
    main(["publish", "tester", NAME])
    server.requests.clear()
    assert main(["publish", "tester", NAME]) == 0
    assert f"is on the Hub already: hf://{REPOSITORY}" in capsys.readouterr().out
    assert server.requests == []
    assert main(["publish", "tester", NAME, "--overwrite"]) == 0
    assert len(server.requests) > 0


def test_a_repository_without_weights_counts_as_missing(hub, server, capsys):
    import huggingface_hub

    huggingface_hub.HfApi().create_repo(REPOSITORY)
    assert main(["publish", "tester", NAME]) == 0
    assert "uploaded to" in capsys.readouterr().out


def test_presets_that_were_cached_before_are_kept(hub, server):
    fetch_preset(NAME)
    main(["publish", "tester", NAME])
    assert cached_preset(NAME) is not None


def test_presets_are_kept_on_request(hub, server):
    main(["publish", "tester", NAME, "--keep"])
    assert cached_preset(NAME) is not None


def test_a_hub_that_is_out_of_order_is_reported(hub, server, capsys):
    hub.status = 403
    assert main(["publish", "tester", NAME]) == 2
    assert f"{NAME}: failed: The Hub refused" in capsys.readouterr().out


def test_unknown_names_stop_before_any_upload(hub, server, capsys):
    assert main(["publish", "tester", NAME, "vatt_base_agnostic"]) == 2
    assert "No checkpoint of 'vatt_base_agnostic'" in capsys.readouterr().err
    assert hub.repositories == {}


def test_a_converted_preset_goes_to_the_hub_by_one_command(hub, server, capsys):
    assert main(["convert", "--from", NAME, "--push-to-hub", REPOSITORY]) == 0
    assert f"it was uploaded to {hub.url}" in capsys.readouterr().out
