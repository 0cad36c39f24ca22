"""A preset has the tokenizer of its model, whatever its kind."""

import json

import numpy as np
import pytest

import keras_vatt
from keras_vatt.search import unknown_words
from keras_vatt.storage import PresetError
from tests.models.bert_words import PIECES
from tests.models.classifiers import SPEC, raw_clips
from tests.models.tiny import tiny_vatt


@pytest.fixture(scope="module")
def model():
    tower = tiny_vatt(vocabulary_size=len(PIECES))
    pieces = keras_vatt.VATTWordPieceTokenizer(PIECES, sequence_length=5)
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, pieces)
    return keras_vatt.VATT(tower.backbone, tower.bridge_head, preprocessor)


@pytest.fixture
def preset(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def test_a_loaded_model_encodes_strings_as_the_saved_one(model, preset):
    again = keras_vatt.VATT.from_preset(preset)
    tokenizer = again.preprocessor.tokenizer
    assert type(tokenizer) is keras_vatt.VATTWordPieceTokenizer
    assert tokenizer.get_config() == model.preprocessor.tokenizer.get_config()
    captions = ["The unaffable fox!", "a café"]
    np.testing.assert_array_equal(
        again.encode(text=captions)["text"]["to_video"],
        model.encode(text=captions)["text"]["to_video"],
    )


def test_labels_are_compared_by_their_pieces(model):
    clips = raw_clips("video", 2)
    shown = keras_vatt.zero_shot_classify(model, ["fox", "unaffable"], video=clips)
    assert shown.shape == (2, 2)
    with pytest.raises(ValueError, match=r"no word .*\['zebra'\]"):
        keras_vatt.zero_shot_classify(model, ["fox", "zebra"], video=clips)


@pytest.mark.once
def test_words_without_a_known_piece_are_left_out_of_queries(model):
    assert unknown_words(model, "a zebra, zebra foxes ☃") == ["zebra", "☃"]


@pytest.mark.once
def test_the_vocabulary_is_in_the_assets_alone(preset):
    stored = (preset / "assets/tokenizer/vocabulary.txt").read_text("utf-8")
    assert stored.splitlines() == PIECES
    for name in ("tokenizer.json", "preprocessor.json"):
        assert "##able" not in (preset / name).read_text()
    config = json.loads((preset / "tokenizer.json").read_text())
    assert config["registered_name"] == "keras_vatt>VATTWordPieceTokenizer"


@pytest.mark.once
def test_a_part_is_loaded_by_its_own_class(preset):
    tokenizer = keras_vatt.VATTWordPieceTokenizer.from_preset(preset)
    assert tokenizer.get_vocabulary() == PIECES
    with pytest.raises(PresetError, match="has no VATTTokenizer"):
        keras_vatt.VATTTokenizer.from_preset(preset)


@pytest.mark.once
def test_a_vocabulary_of_words_in_its_place_is_refused(preset):
    (preset / "metadata.json").unlink()
    path = preset / "assets/tokenizer/vocabulary.txt"
    path.write_text("<pad>\n<bos>\n<eos>\n<unk>\na\n")
    with pytest.raises(PresetError, match=r"lacks the special words \['\[PAD\]'"):
        keras_vatt.VATT.from_preset(preset)
