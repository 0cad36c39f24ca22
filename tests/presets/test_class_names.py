"""The classifiers of datasets with a known list of classes name their classes."""

import numpy as np
import pytest

import keras_vatt
from keras_vatt.evaluation._classification import _plain
from keras_vatt.models import describe_presets
from keras_vatt.models._preset_configs import read_config
from keras_vatt.storage import PresetFolder

pytestmark = pytest.mark.once

NUM_CLASSES = {"kinetics400": 400, "kinetics700": 700, "audioset": 527}
# The first, one from the middle and the last, as the sources number them.
KNOWN = {
    "kinetics400": {0: "abseiling", 98: "drawing", 399: "zumba"},
    "kinetics700": {0: "abseiling", 1: "acting in play", 699: "zumba"},
    "audioset": {0: "Speech", 137: "Music", 526: "Field recording"},
}
WITHOUT_NAMES = ("kinetics600", "moments_in_time")


def dataset_of(preset):
    return next((n for n in (*NUM_CLASSES, *WITHOUT_NAMES) if preset.endswith(n)), None)


CLASSIFIERS = [name for name in sorted(describe_presets()) if dataset_of(name)]


def class_list(dataset):
    folder = PresetFolder("vatt_tiny_specific").path.parent / "class_names"
    return (folder / f"{dataset}.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize("dataset", NUM_CLASSES)
def test_a_list_has_one_distinct_name_per_class_in_the_order_of_its_source(dataset):
    names = class_list(dataset)
    assert len(names) == NUM_CLASSES[dataset]
    assert {i: names[i] for i in KNOWN[dataset]} == KNOWN[dataset]
    # Evaluation matches names by their letters and digits.
    assert len({_plain(name) for name in names}) == len(names)
    assert all(name == name.strip() and name for name in names)


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics700"])
def test_the_classes_of_kinetics_are_in_alphabetical_order(dataset):
    assert class_list(dataset) == sorted(class_list(dataset))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_preset_has_the_names_of_its_dataset_and_says_that_they_are_assumed(name):
    dataset, description = dataset_of(name), describe_presets()[name]["description"]
    # Untrusted configs are checked by the same rules.
    config = read_config(PresetFolder(name), "task.json")["config"]
    if dataset in WITHOUT_NAMES:
        assert config["class_names"] is None
        assert "no class names" in description
    else:
        assert config["class_names"] == class_list(dataset)
        assert config["num_classes"] == NUM_CLASSES[dataset]
        assert "order of its class names is assumed" in description


@pytest.fixture(scope="module")
def audioset_classifier(tmp_path_factory):
    """A preset of a tiny classifier with the names of AudioSet."""
    folder = tmp_path_factory.mktemp("classifier") / "preset"
    keras_vatt.VATTAudioClassifier.from_preset(
        "vatt_tiny_agnostic",
        num_classes=527,
        class_names=class_list("audioset"),
        multi_label=True,
    ).save_to_preset(folder)
    return folder


def test_classify_returns_the_names(audioset_classifier):
    model = keras_vatt.VATTAudioClassifier.from_preset(audioset_classifier)
    ((best, *_),) = model.classify((np.zeros(9_600, "float32"), 4_000))
    assert best[0] in class_list("audioset")


def test_a_new_head_does_not_inherit_the_names(audioset_classifier):
    model = keras_vatt.VATTAudioClassifier.from_preset(
        audioset_classifier, num_classes=2
    )
    assert model.class_names is None
    images = keras_vatt.VATTImageClassifier.from_preset(
        "vatt_tiny_agnostic", num_classes=2
    )
    assert images.class_names is None


def test_other_names_can_be_assigned_and_are_saved_with_the_head(
    audioset_classifier, tmp_path
):
    model = keras_vatt.VATTAudioClassifier.from_preset(audioset_classifier)
    names = class_list("audioset")[::-1]
    model.class_names = names
    model.save_to_preset(tmp_path / "renamed")
    loaded = keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "renamed")
    assert list(loaded.class_names) == names
    clip = np.zeros(9_600, "float32"), 4_000
    np.testing.assert_array_equal(loaded.predict(clip), model.predict(clip))
