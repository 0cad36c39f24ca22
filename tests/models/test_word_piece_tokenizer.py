"""Captions become the word pieces of BERT's uncased tokenizer."""

import concurrent.futures
import random
import unicodedata

import keras
import keras_hub
import numpy as np
import pytest

from keras_vatt import VATTTokenizer, VATTWordPieceTokenizer
from tests.models.bert_words import PIECES, pieces_of

pytestmark = pytest.mark.once

# The scripts of captions in European languages, and of BERT's special cases.
_BLOCKS = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x3FF), (0x400, 0x460)]
_BLOCKS += [(0x2000, 0x2070), (0x20A0, 0x20B0), (0x3040, 0x30A0), (0x4E00, 0x4E40)]
# At the end of a word, Python lower-cases it to another letter.
_SIGMA = "Σ"


def tokens_of(tokenizer, text):
    """List of the tokens of a text, without padding."""
    return [tokenizer.id_to_token(index) for index in tokenizer(text) if index]


def random_texts(count):
    generator = random.Random(0)
    characters = [chr(code) for block in _BLOCKS for code in range(*block)]
    characters = [
        char
        for char in characters
        if unicodedata.category(char) != "Cn" and char != _SIGMA
    ]
    stems = [piece.removeprefix("##") for piece in PIECES]
    for _ in range(count):
        parts = generator.choices([*stems, " ", *generator.choices(characters, k=9)])
        parts += generator.choices([*stems, " "], k=9)
        parts += generator.choices(characters, k=3)
        generator.shuffle(parts)
        yield "".join(parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unaffable", "un ##aff ##able"),
        ("The quick FOXES jumped.", "the quick fox ##es jump ##ed ."),
        ("It's a café, naïve", "it ' s a cafe , naive"),
        ("it’s quick…", "it ’ s quick …"),
        ("foxing", "[UNK]"),
        ("a中文a", "a 中 文 a"),
        ("[CLS] [PAD]", "[ cl ##s ] [ [UNK] ]"),
        # A non-breaking space, a zero-width space, a soft hyphen, a null character.
        (
            "the\u00a0fox qu\u200bick un\u00adaffable a\0",
            "the fox quick un ##aff ##able a",
        ),
        ("Straße", "straße"),
        ("cafe\u0301", "cafe"),
        ("\ud800a", "a"),
        (" \t\n", ""),
    ],
)
def test_captions_are_split_by_the_rules_of_bert(text, expected):
    tokenizer = VATTWordPieceTokenizer(PIECES)
    assert " ".join(tokens_of(tokenizer, text)) == expected


def test_random_text_is_split_as_by_a_plain_implementation_of_the_rules():
    tokenizer = VATTWordPieceTokenizer(PIECES, sequence_length=100)
    for text in random_texts(2000):
        assert tokens_of(tokenizer, text) == pieces_of(text, set(PIECES)), repr(text)


def test_ordinary_text_is_split_as_by_keras_hub():
    other = keras_hub.tokenizers.WordPieceTokenizer(
        PIECES, 16, lowercase=True, strip_accents=True
    )
    texts = ["The quick, unaffable fox jumped!", "it's a naïve café", "foxed a-the"]
    expected = keras.ops.convert_to_numpy(other(texts))
    np.testing.assert_array_equal(VATTWordPieceTokenizer(PIECES)(texts), expected)


def test_rows_are_cropped_and_padded_with_id_0():
    tokenizer = VATTWordPieceTokenizer(PIECES)
    ids = tokenizer(["the fox", "unaffable " * 9, ""])
    assert ids.shape == (3, 16)
    assert ids.dtype == np.int32
    assert ids[0].tolist() == [8, 10] + [0] * 14
    assert ids[1].all()
    assert not ids[2].any()
    assert tokenizer([["a", "the fox"]]).shape == (1, 2, 16)
    assert tokenizer.detokenize(ids[:1]) == ["the fox"]
    assert tokenizer.detokenize([tokenizer("unaffable foxes")]) == ["unaffable foxes"]


def test_words_of_more_than_200_characters_are_unknown():
    tokenizer = VATTWordPieceTokenizer(PIECES, sequence_length=300)
    assert tokens_of(tokenizer, "a" * 200) == ["a"] + ["##a"] * 199
    assert tokens_of(tokenizer, "a" * 201) == ["[UNK]"]


def test_it_runs_in_threads():
    tokenizer = VATTWordPieceTokenizer(PIECES)
    texts = list(random_texts(400))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(tokenizer, texts))
    np.testing.assert_array_equal(rows, tokenizer(texts))


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (PIECES[1:], r"lacks the special words \['\[PAD\]'\]"),
        (["a", *PIECES[:3]], "id 0 is padding. Received: 'a'"),
        (["[PAD]", "a"], r"lacks the special words \['\[UNK\]'\]"),
        ([*PIECES, "a"], "duplicate"),
        ([*PIECES, "Blue"], "uncased"),
        (["<pad>", "<bos>", "<eos>", "<unk>", "a"], "those of BERT have"),
    ],
)
def test_other_vocabularies_are_refused(pieces, message):
    with pytest.raises(ValueError, match=message):
        VATTWordPieceTokenizer(pieces)


def test_a_vocabulary_of_bert_is_refused_for_words():
    with pytest.raises(ValueError, match="those of BERT have"):
        VATTTokenizer(PIECES)


def test_the_id_of_a_piece_is_the_number_of_its_line(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    tokenizer = VATTWordPieceTokenizer(path)
    assert tokenizer.get_vocabulary() == PIECES
    assert tokenizer.vocabulary_size() == len(PIECES)
    assert tokenizer.token_to_id("the") == 8
    path.write_text("[PAD]\n[UNK]\n\na\n")
    with pytest.raises(ValueError, match="Line 3 .* is empty"):
        VATTWordPieceTokenizer(path)


def test_a_tokenizer_comes_back_from_its_config_and_names_no_file(tmp_path):
    tokenizer = VATTWordPieceTokenizer(PIECES, sequence_length=5)
    config = keras.saving.serialize_keras_object(tokenizer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == tokenizer.get_config()
    np.testing.assert_array_equal(again(["a fox"]), tokenizer(["a fox"]))
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES), encoding="utf-8")
    with pytest.raises(ValueError, match="a list of words"):
        VATTWordPieceTokenizer.from_config({"vocabulary": str(path)})
