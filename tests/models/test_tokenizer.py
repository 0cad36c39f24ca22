"""Captions become the word ids of the original code's word tokenizer."""

import os
import sys

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt import VATTTokenizer

pytestmark = pytest.mark.once

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
        ([*WORDS, "a"], "duplicate"),
        ([*WORDS, "Blue"], "upper-case"),
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
    with pytest.raises(ValueError, match="no vocabulary for strings"):
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


@pytest.mark.parametrize("config", ["path", "bytes", 7, {"a": 1}])
def test_a_config_names_no_file(config, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("<pad>\n<bos>\n<eos>\n<unk>\nsecret\n")
    vocabulary = str(path) if config == "path" else config
    vocabulary = bytes(path) if config == "bytes" else vocabulary
    with pytest.raises(ValueError, match="a list of words"):
        VATTTokenizer.from_config({"vocabulary": vocabulary})
    assert VATTTokenizer(str(path)).token_to_id("secret") == 4


def test_assets_are_read_from_their_folder_alone(tmp_path):
    folder = tmp_path / "preset" / "assets" / "tokenizer"
    folder.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no vocabulary"):
        VATTTokenizer().load_assets(folder)
    (tmp_path / "words.txt").write_text("<pad>\n<bos>\n<eos>\n<unk>\nsecret\n")
    (folder / "vocabulary.txt").symlink_to(tmp_path / "words.txt")
    with pytest.raises(ValueError, match="leads out"):
        VATTTokenizer().load_assets(folder)
    (folder / "vocabulary.txt").unlink()
    (tmp_path / "vocabulary.txt").write_text("<pad>\n<bos>\n<eos>\n<unk>\nsecret\n")
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leads out"):
        VATTTokenizer().load_assets(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "huge"])
def test_a_vocabulary_is_a_file_of_limited_size(kind, tmp_path):
    path = tmp_path / "words.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    else:
        path.touch()
        os.truncate(path, 2**33)
    with pytest.raises(ValueError, match="not a regular file|limit of"):
        VATTTokenizer(path)


def test_a_vocabulary_has_a_million_words_at_most():
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *map(str, range(2**20 - 3))]
    with pytest.raises(ValueError, match="at most 1,048,576 words"):
        VATTTokenizer(words)
    assert VATTTokenizer(words[:-1]).vocabulary_size() == 2**20


@pytest.mark.parametrize("words", [[1, 2], [None], [["a"]]])
def test_words_are_strings(words):
    with pytest.raises(ValueError, match="must be strings"):
        VATTTokenizer(["<pad>", "<bos>", "<eos>", "<unk>", *words])


@pytest.mark.parametrize("length", [0, -1, 2.0, "5", True, None])
def test_a_sequence_length_is_a_positive_integer(length):
    with pytest.raises(ValueError, match="positive integer"):
        VATTTokenizer(sequence_length=length)


def test_keras_deserializes_no_tokenizer_that_names_a_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("<pad>\n<bos>\n<eos>\n<unk>\nsecret\n")
    config = keras.saving.serialize_keras_object(VATTTokenizer(WORDS))
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_vocabulary() == WORDS
    config["config"]["vocabulary"] = str(path)
    with pytest.raises((TypeError, ValueError), match="a list of words"):
        keras.saving.deserialize_keras_object(config)
