"""A run can split captions into the word pieces of a BERT vocabulary."""

import dataclasses

import pytest

import keras_vatt
from keras_vatt.data import read_corpus
from keras_vatt.pretraining import PretrainingError, PretrainSettings, resolve_settings
from keras_vatt.pretraining._model import make_tokenizer, preset_preprocessor
from tests.pretraining.tiny_run import make_tiny_data, run


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Those of a run from random weights, with a vocabulary of letters and words."""
    folder = tmp_path_factory.mktemp("word_pieces")
    tiny = make_tiny_data(folder)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    captions = " ".join(segment.caption for segment in read_corpus(tiny.data)[0])
    words = sorted(set(captions.split()) - set(letters))[::2]
    pieces = ["[PAD]", "[UNK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*pieces, *words]) + "\n")
    return dataclasses.replace(
        tiny,
        initialize_from=None,
        preset=tiny.initialize_from,
        tokenizer="wordpiece",
        vocabulary=str(vocabulary),
        epochs=1,
    )


def test_the_preset_of_a_run_has_the_tokenizer(settings, tmp_path):
    run(settings, tmp_path / "run")
    assert (tmp_path / "run" / "retrieval.json").exists()
    preset = str(tmp_path / "run" / "preset")
    model = keras_vatt.VATT.from_preset(preset)
    tokenizer = model.preprocessor.tokenizer
    assert type(tokenizer) is keras_vatt.VATTWordPieceTokenizer
    assert model.backbone.vocabulary_size == tokenizer.vocabulary_size()
    assert tokenizer.detokenize([tokenizer("zebra")]) == ["zebra"]
    assert model.encode(text=["a zebra"])["text"]["to_video"].shape[0] == 1
    # A run that starts from it needs neither option.
    start = PretrainSettings(data="demo", output="next", initialize_from=preset)
    chosen = make_tokenizer(start, preset_preprocessor(start), data=None)
    assert chosen.get_config() == tokenizer.get_config()


@pytest.mark.once
def test_word_pieces_need_a_vocabulary():
    given = {"data": "demo", "output": "run", "tokenizer": "wordpiece"}
    with pytest.raises(PretrainingError, match=r"needs --vocabulary, the vocab\.txt"):
        resolve_settings(given)
    # The preset has no vocabulary: that is known once it is read.
    start = resolve_settings(given | {"initialize_from": "vatt_tiny_specific"})
    with pytest.raises(PretrainingError, match=r"needs --vocabulary, the vocab\.txt"):
        make_tokenizer(start, preset_preprocessor(start), data=None)


@pytest.mark.once
def test_the_weights_of_words_are_not_trained_with_pieces(settings):
    start = dataclasses.replace(
        settings, vocabulary=None, initialize_from=settings.preset
    )
    with pytest.raises(PretrainingError, match="leave out --tokenizer"):
        make_tokenizer(start, preset_preprocessor(start), data=None)
    words = dataclasses.replace(start, tokenizer="words")
    chosen = make_tokenizer(words, preset_preprocessor(words), data=None)
    assert type(chosen) is keras_vatt.VATTTokenizer
