"""The presets that come with the package are the published sizes."""

import huggingface_hub
import numpy as np
import pytest
from keras_hub.src.utils.preset_utils import get_preset_loader

import keras_vatt
from keras_vatt.data import make_demo_corpus
from keras_vatt.evaluation import EvaluationSettings, evaluate
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetError, PresetFolder, _published_checkpoints

pytestmark = pytest.mark.once

# Those of the original code's models, heads and word table included.
PUBLISHED = {
    "vatt_medium_agnostic": 182_653_696,
    "vatt_bbs_specific": 213_540_652,
    "vatt_mbs_specific": 280_569_132,
    "vatt_lbs_specific": 431_723_820,
}
CHECKPOINTS = _published_checkpoints.PUBLISHED
TINY = ("vatt_tiny_agnostic", "vatt_tiny_specific")


def test_the_built_in_presets_are_listed():
    presets = describe_presets()
    assert {name: presets[name]["parameters"] for name in PUBLISHED} == PUBLISHED
    assert {"vatt_base_agnostic", "vatt_large_agnostic", *TINY} <= set(presets)
    video = [name for name in presets if name.startswith("vatt_vit_")]
    audio = [name for name in presets if name.startswith("vatt_wat_")]
    assert (len(video), len(audio)) == (4 + 4 + 1 + 4, 2)
    assert set(CHECKPOINTS) <= set(presets)
    for preset in presets.values():
        assert preset["description"]
        assert preset["license"] == "apache-2.0"
        assert preset["source"]
        assert set(preset["inputs"]) == set(preset["modalities"])


def test_a_class_lists_the_presets_that_it_can_be_made_from():
    everything = set(describe_presets())
    assert set(keras_vatt.VATT.presets) == {
        name for name in everything if name.endswith(("agnostic", "specific"))
    }
    assert set(keras_vatt.VATTAudioClassifier.presets) == {
        "vatt_wat_base_audioset",
        "vatt_wat_medium_agnostic_audioset",
    }
    assert "vatt_wat_base_audioset" in keras_vatt.VATTSpecificBackbone.presets
    assert "vatt_wat_base_audioset" not in keras_vatt.VATTAgnosticBackbone.presets
    assert set(keras_vatt.VATTTokenizer.presets) == everything


@pytest.mark.parametrize("name", sorted(describe_presets()))
def test_a_preset_has_a_card_with_a_header_that_the_hub_reads(name):
    card = huggingface_hub.ModelCard.load(PresetFolder(name).path / "README.md")
    assert card.data.library_name == "keras-vatt"
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag
    assert "arxiv:2211.02077" in card.data.tags
    for title in ("Use", "Inputs", "How it was made", "Evaluation", "Limits", "Papers"):
        assert f"## {title}" in card.text


@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_the_card_of_a_published_preset_credits_the_authors(name):
    folder, checkpoint = PresetFolder(name), CHECKPOINTS[name]
    card = folder.read_card()
    assert f'from_preset("{name}")' in "".join(card.split())
    assert "load_weights=False" not in card
    assert "Hassan Akbari" in card
    assert checkpoint.path in card
    assert "trained on web videos" in card
    recorded = folder.read_metadata()["provenance"]
    assert {"HowTo100M", "AudioSet"} <= set(recorded["datasets"])
    if checkpoint.reported:
        task = f"{checkpoint.dataset}, as reported by the authors of VATT"
        assert recorded["evaluation"] == {task: dict(checkpoint.reported)}
    else:
        assert recorded["evaluation"] == {}


@pytest.mark.parametrize(
    "name", ["vatt_base_agnostic", "vatt_large_agnostic", "vatt_tiny_specific"]
)
def test_the_card_of_a_size_says_that_no_weights_were_published(name):
    card = PresetFolder(name).read_card()
    assert "No weights of this size were published" in card
    assert "load_weights=False" in card
    assert "its outputs are random" in card
    assert "web videos" not in card


def test_a_model_that_saw_no_web_videos_is_not_said_to_reproduce_their_biases():
    card = PresetFolder("vatt_tiny_agnostic").read_card()
    assert "biases of its training data" in card
    assert "web videos" not in card


@pytest.mark.parametrize("name", sorted(describe_presets()))
def test_keras_hub_finds_the_class_of_a_preset(name):
    loader = get_preset_loader(str(PresetFolder(name).path))
    backbone = describe_presets()[name]["backbone"]
    assert loader.check_backbone_class().__name__ == backbone


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_preset_takes_the_clips_that_it_is_for(name):
    model = keras_vatt.VATT.from_preset(name, load_weights=False)
    assert model.count_params() == describe_presets()[name]["parameters"]
    spec = model.preprocessor.clip_spec
    outputs = model.encode(
        video=np.zeros((1, *spec.video_shape), np.uint8),
        audio=np.zeros((1, spec.audio_samples, 1), np.float32),
    )
    assert outputs["video"]["to_audio"].shape == outputs["audio"]["to_video"].shape


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vatt_vit_base_kinetics400", {"num_frames": 32, "frames_per_second": 12.5}),
        (
            "vatt_wat_base_audioset",
            {"sampling_rate": 24_000, "audio_samples": 153_600},
        ),
    ],
)
def test_a_fine_tuned_preset_is_for_the_clips_of_fine_tuning(name, settings):
    spec = keras_vatt.VATTPreprocessor.from_preset(name).clip_spec
    assert settings.items() <= spec.get_config().items()


@pytest.mark.parametrize(
    "name",
    [n for n in sorted(describe_presets()) if n.startswith(("vatt_vit_", "vatt_wat_"))],
)
def test_classifiers_of_audio_have_several_classes_a_clip(name):
    task = PresetFolder(name).read("task.json")
    is_audio = task["class_name"] == "VATTAudioClassifier"
    assert task["config"]["multi_label"] is is_audio


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_is_for_the_clips_of_the_paper(name):
    spec = keras_vatt.VATTPreprocessor.from_preset(name).clip_spec
    assert spec.video_shape == (32, 224, 224, 3)
    assert spec.audio_samples == 153_600


def test_a_preset_without_weights_says_how_to_get_them():
    with pytest.raises(PresetError, match="keras-vatt convert") as caught:
        keras_vatt.VATT.from_preset("vatt_tiny_specific")
    assert "load_weights=False" in str(caught.value)


def test_an_evaluation_repeats_the_results_on_the_card_of_the_tiny_preset(tmp_path):
    name = "vatt_tiny_agnostic"
    held_out = make_demo_corpus(tmp_path, train_clips=0, seed=100, progress=False)
    report, _ = evaluate(
        EvaluationSettings("retrieval", name, str(held_out), windows=1, progress=False)
    )
    card = PresetFolder(name).read_metadata()["provenance"]["evaluation"]
    assert set(card) == {f"zero-shot {task}" for task in report["results"]}
    for task, found in report["results"].items():
        claimed = card[f"zero-shot {task}"]
        assert found["metrics"]["num_queries"] == claimed["num_queries"] == 120
        # Two queries: sums differ between processors.
        assert abs(found["metrics"]["recall_at_1"] - claimed["recall_at_1"]) <= 2 / 120


def test_the_files_of_the_tiny_preset_are_small():
    files = PresetFolder("vatt_tiny_agnostic").path.rglob("*")
    assert sum(file.stat().st_size for file in files) < 12_000_000
