"""Tokenizes captions like BERT."""

import re

import keras
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from keras_vatt._keras_internals import set_untracked
from keras_vatt.models._vocabulary_tokenizer import VocabularyTokenizer

PADDING, UNKNOWN = "[PAD]", "[UNK]"
# Longer words are unknown, as in BERT's code.
_LONGEST_WORD = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTWordPieceTokenizer(VocabularyTokenizer):
    """Splits captions into the word pieces of a BERT vocabulary.

    It is the uncased tokenizer of BERT, an option of the original code: letters are
    lower-cased and lose their accents, the text is split at white space, punctuation
    and Chinese characters, and each word is split into the longest pieces of the
    vocabulary. Words that can't be split become `[UNK]`. Rows are cropped or padded
    with `[PAD]`, without `[CLS]` and `[SEP]`. These names in a caption are ordinary
    text.

    The pieces are found by the library `tokenizers`, on which KerasHub depends too, in
    any thread. It gives the results of BERT's own code. KerasHub's
    `WordPieceTokenizer` doesn't at characters such as the non-breaking spaces of
    YouTube's captions, and imports TensorFlow on every backend.

    Args:
        vocabulary: list of pieces, or path of a file with one piece per line. `[PAD]`
            is first and `[UNK]` is required. Pieces that continue a word begin with
            `##`. Defaults to `None`: `load_assets` sets it.
        sequence_length: int. Number of pieces per row. Defaults to `16`.
        **kwargs: `name`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the vocabulary is invalid, or its path is not that of a file.

    Example:
    ```python
    pieces = ["[PAD]", "[UNK]", "a", "star", "##fish"]
    tokenizer = keras_vatt.VATTWordPieceTokenizer(pieces)
    tokenizer(["A starfish"])  # [[2, 3, 4, 0, ...]], of shape (1, 16)
    ```
    """

    padding, unknown, required = PADDING, UNKNOWN, (PADDING, UNKNOWN)

    def set_vocabulary(self, vocabulary):
        super().set_vocabulary(vocabulary)
        set_untracked(self, "_encoder", _encoder(self._known_ids()))

    def detokenize(self, inputs):
        return [text.replace(" ##", "") for text in super().detokenize(inputs)]

    def _token_ids(self, text):
        # Not a valid string for the encoder; U+FFFD is deleted like other controls.
        text = _SURROGATE.sub("\ufffd", text)
        return self._encoder.encode(text, add_special_tokens=False).ids

    def _split_file(self, path, text):
        # Not `splitlines`: pieces may be any character that ends a line of Unicode.
        lines = [line.strip() for line in text.removesuffix("\n").split("\n")]
        if "" in lines:
            raise ValueError(
                f"Line {lines.index('') + 1} of the vocabulary {str(path)!r} is empty. "
                "The id of a piece is the number of its line."
            )
        return lines

    def _check_case(self, vocabulary):
        upper = [
            piece
            for piece in vocabulary
            if piece != piece.lower() and not re.fullmatch(r"\[.*\]", piece)
        ]
        if upper:
            raise ValueError(
                f"The vocabulary has pieces with upper-case letters: {upper[:5]}. Use "
                "the vocabulary of an uncased BERT model."
            )


def _encoder(ids):
    # Special tokens are not added to it: they would be found in captions.
    encoder = Tokenizer(
        models.WordPiece(
            dict(ids), unk_token=UNKNOWN, max_input_chars_per_word=_LONGEST_WORD
        )
    )
    encoder.normalizer = normalizers.BertNormalizer(lowercase=True)
    encoder.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return encoder
