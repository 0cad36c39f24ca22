"""Captions become the word ids of the original code's word tokenizer."""

import keras
import numpy as np
import pytest

import keras_vatt

WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "red", "star", "its"]


def test_punctuation_is_deleted_and_letters_are_lowered():
    tokenizer = keras_vatt.VATTTokenizer(WORDS, sequence_length=4)
    ids = tokenizer(["A red, STAR!", "it's (a)  red-star"])
    np.testing.assert_array_equal(ids, [[4, 5, 6, 0], [7, 4, 3, 0]])
    assert ids.dtype == np.int32


def test_rows_are_cropped_and_padded():
    tokenizer = keras_vatt.VATTTokenizer(WORDS)
    ids = tokenizer(["red " * 40, ""])
    assert ids.shape == (2, 16)
    assert (ids[0] == 5).all()
    assert (ids[1] == 0).all()


def test_candidates_keep_their_axis_and_one_string_has_none():
    tokenizer = keras_vatt.VATTTokenizer(WORDS, sequence_length=3)
    assert tokenizer([["a", "red"], ["star", "a"]]).shape == (2, 2, 3)
    assert tokenizer("a red star").shape == (3,)
    assert tokenizer([]).shape == (0, 3)


def test_vocabulary_of_captions_is_by_frequency_then_alphabet():
    captions = ["a star", "a circle", "the star"]
    tokenizer = keras_vatt.VATTTokenizer.from_captions(captions)
    words = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "star", "circle", "the"]
    assert tokenizer.get_vocabulary() == words
    small = keras_vatt.VATTTokenizer.from_captions(captions, max_words=5)
    assert small.get_vocabulary() == words[:5]


@pytest.mark.parametrize("numbered", [False, True])
def test_vocabulary_files_have_words_with_or_without_index(tmp_path, numbered):
    rows = [f"{i} {word}" if numbered else word for i, word in enumerate(WORDS)]
    rows = rows[::-1] if numbered else rows
    (tmp_path / "words.txt").write_text("\n".join(rows))
    tokenizer = keras_vatt.VATTTokenizer(tmp_path / "words.txt")
    assert tokenizer.get_vocabulary() == WORDS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["<pad>", "<bos>", "<eos>", "a"], "lacks the special words"),
        (["a", *WORDS[:4]], "first word"),
        ([*WORDS, "a"], "twice"),
        ([*WORDS, "Blue"], "upper case"),
    ],
)
def test_what_is_no_vocabulary_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        keras_vatt.VATTTokenizer(words)


def test_lines_of_several_words_are_refused(tmp_path):
    (tmp_path / "words.txt").write_text("\n".join([*WORDS, "two words"]))
    with pytest.raises(ValueError, match="two words"):
        keras_vatt.VATTTokenizer(tmp_path / "words.txt")


def test_a_tokenizer_without_vocabulary_says_so():
    with pytest.raises(ValueError, match="no vocabulary yet"):
        keras_vatt.VATTTokenizer()(["a"])


def test_word_ids_turn_back_into_words():
    tokenizer = keras_vatt.VATTTokenizer(WORDS)
    assert tokenizer.detokenize(tokenizer(["A red star", "blue"])) == [
        "a red star",
        "<unk>",
    ]
    assert tokenizer.id_to_token(tokenizer.token_to_id("star")) == "star"


def test_a_tokenizer_comes_back_from_its_config():
    tokenizer = keras_vatt.VATTTokenizer(WORDS, sequence_length=5)
    config = keras.saving.serialize_keras_object(tokenizer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == tokenizer.get_config()
    np.testing.assert_array_equal(again(["a star"]), tokenizer(["a star"]))
