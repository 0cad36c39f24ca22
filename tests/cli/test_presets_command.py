"""`keras-vatt presets` shows what a user chooses a preset by."""

import re

import pytest
from huggingface_hub import constants

from keras_vatt.cli.main import main
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetFolder
from keras_vatt.storage._published_cache import preset_folder
from keras_vatt.storage._published_checkpoints import PUBLISHED
from tests.golden_files import FOLDER

pytestmark = pytest.mark.once

LISTINGS = {
    "finetune_vit_base_kinetics400_specific": "vatt_vit_base_kinetics400",
    "finetune_vit_medium_kinetics400_agnostic": "vatt_vit_medium_agnostic_kinetics400",
    "finetune_wat_base_audioset_specific": "vatt_wat_base_audioset",
    "finetune_wat_medium_audioset_agnostic": "vatt_wat_medium_agnostic_audioset",
    "pretrain_agnostic_medium": "vatt_medium_agnostic",
    "pretrain_specific_bbs": "vatt_bbs_specific",
    "pretrain_specific_lbs": "vatt_lbs_specific",
    "pretrain_specific_mbs": "vatt_mbs_specific",
}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path))


def put_in_cache(name):
    folder = preset_folder(name)
    folder.mkdir(parents=True)
    for path in PresetFolder(name).path.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "model.safetensors").write_bytes(b"")


def listed(capsys):
    """Returns the lines of the table by preset, split into cells."""
    assert main(["presets"]) == 0
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 120
    cells = [re.split(r"\s{2,}", line) for line in table[1:]]
    return {row[0]: row[1:] for row in cells}


def test_a_row_has_modalities_sizes_status_and_the_reported_results(capsys):
    rows = listed(capsys)
    assert set(rows) == set(describe_presets())
    assert rows["vatt_lbs_specific"] == [
        "video audio text", "431.7 M", "1.7 GB", "download"
    ]  # fmt: skip
    assert rows["vatt_wat_base_audioset"] == [
        "audio", "86.5 M", "346 MB", "download", "mAP 39.4, AUC 97.1, d' 2.895"
    ]  # fmt: skip
    assert rows["vatt_tiny_agnostic"][-1] == "included"
    for name in ("vatt_base_agnostic", "vatt_large_agnostic", "vatt_tiny_specific"):
        assert rows[name][-1] == "none"


def test_a_preset_in_the_cache_is_marked(capsys):
    name = "vatt_wat_base_audioset"
    assert not describe_presets()[name]["is_cached"]
    put_in_cache(name)
    assert listed(capsys)[name][3] == "cached"
    assert describe_presets()[name]["is_cached"]
    assert describe_presets()[name]["has_weights"]


@pytest.mark.parametrize("listing", LISTINGS)
def test_the_size_of_the_download_is_that_of_the_variables_of_the_original(listing):
    path = FOLDER / "full_size_keys" / f"{listing}.tsv"
    total = int(re.search(r"total=(\d+)", path.read_text().partition("\n")[0])[1])
    assert describe_presets()[LISTINGS[listing]]["download_bytes"] == 4 * total


def test_descriptions_have_the_results_of_published_checkpoints_only():
    for name, preset in describe_presets().items():
        is_published = name in PUBLISHED
        assert (preset["download_bytes"] is not None) is is_published
        assert preset["reported"] == (
            dict(PUBLISHED[name].reported) if is_published else {}
        )
