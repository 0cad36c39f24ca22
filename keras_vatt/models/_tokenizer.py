"""Tokenizes captions like the original VATT."""

import collections
import string
from collections.abc import Iterable
from typing import Self

import keras

from keras_vatt.models._vocabulary_tokenizer import VocabularyTokenizer

PADDING, BEGIN, END, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
_SPECIAL = (PADDING, BEGIN, END, UNKNOWN)
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTTokenizer(VocabularyTokenizer):
    """Splits captions into words and looks them up in a vocabulary.

    Punctuation is deleted, letters are lower-cased, and the text is split at white
    space. Words that are not in the vocabulary become `<unk>`. Rows are cropped or
    padded with `<pad>`, without begin and end tokens. It is the `WordTokenizer` of the
    original code, and runs on strings and NumPy arrays in any thread.

    Args:
        vocabulary: list of words, or path of a file with one word per line (or
            `index word`). `<pad>` is first; `<bos>`, `<eos>` and `<unk>` are required.
            Words are unique and lower-case, up to a million of them. Defaults to
            `None`: `load_assets` sets it.
        sequence_length: int. Number of words per row. Defaults to `16`.
        **kwargs: `name`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the vocabulary is invalid, or its path is not that of a file.

    Example:
    ```python
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star", "a circle"])
    tokenizer(["A red square!"])  # [[4, 6, 3, 0, ...]], of shape (1, 16)
    ```
    """

    padding, unknown, required = PADDING, UNKNOWN, _SPECIAL

    @classmethod
    def from_captions(
        cls,
        captions: Iterable[str],
        max_words: int = 65_536,
        sequence_length: int = 16,
    ) -> Self:
        """Makes a tokenizer whose vocabulary is the most frequent words of captions.

        The words are sorted by frequency, then by alphabet.

        Args:
            captions: iterable of strings.
            max_words: int. Largest size of the vocabulary, including the four special
                words. Defaults to `65_536`.
            sequence_length: int. Defaults to `16`.

        Returns:
            `VATTTokenizer`.
        """
        counts = collections.Counter(word for text in captions for word in _words(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        vocabulary = [*_SPECIAL, *ranked[: max_words - len(_SPECIAL)]]
        return cls(vocabulary, sequence_length)

    def _token_ids(self, text):
        ids = self._known_ids()
        unknown = ids[UNKNOWN]
        return [ids.get(word, unknown) for word in _words(text)]

    def _split_file(self, path, text):
        rows = [line.split() for line in text.splitlines() if line.strip()]
        if rows and all(len(row) == 2 and row[0].isdigit() for row in rows):
            rows = [row[1:] for row in sorted(rows, key=lambda row: int(row[0]))]
        wrong = [" ".join(row) for row in rows if len(row) != 1]
        if wrong:
            raise ValueError(
                f"The vocabulary {str(path)!r} has lines that are neither `word` nor "
                f"`index word`: {wrong[:5]}"
            )
        return [row[0] for row in rows]

    def _check_case(self, vocabulary):
        upper = [word for word in vocabulary if word != word.lower()]
        if upper:
            raise ValueError(
                f"The vocabulary has words with upper-case letters: {upper[:5]}"
            )


def _words(text):
    return text.translate(_DELETE_PUNCTUATION).lower().split()
