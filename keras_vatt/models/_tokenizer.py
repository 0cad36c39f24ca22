"""Tokenizes captions like the original VATT."""

import collections
import os
import pathlib
import string
from collections.abc import Iterable
from typing import Any, Self

import keras
import numpy as np

from keras_vatt._untrusted import check_regular, regular_file
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._keras_hub import Tokenizer
from keras_vatt.models._preset_parts import PartFromPreset
from keras_vatt.storage._config_limits import MAX_VOCABULARY_BYTES, MAX_WORDS

PADDING, BEGIN, END, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
_SPECIAL = (PADDING, BEGIN, END, UNKNOWN)
_FILE = "vocabulary.txt"
NO_VOCABULARY = (
    "There is no vocabulary for strings: pass word ids, or set "
    "`model.preprocessor.tokenizer = keras_vatt.VATTTokenizer(file)`. To add a "
    "vocabulary to a published preset for good, run `keras-vatt convert --from NAME "
    "--vocabulary FILE`."
)
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTTokenizer(PartFromPreset, Tokenizer):
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

    backbone_cls = VATTBackbone

    def __init__(
        self,
        vocabulary: Iterable[str] | str | os.PathLike | None = None,
        sequence_length: int = 16,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sequence_length = _checked_length(sequence_length)
        self.file_assets = [_FILE]
        self.vocabulary = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

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

    def set_vocabulary(self, vocabulary: Iterable[str] | str | os.PathLike) -> None:
        """Sets the vocabulary.

        Args:
            vocabulary: list of words or path; see the class.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the vocabulary is invalid.
        """
        if isinstance(vocabulary, str | pathlib.Path):
            vocabulary = _read_vocabulary(vocabulary)
        vocabulary = list(vocabulary)
        _check_vocabulary(vocabulary)
        self.vocabulary = vocabulary
        # Not by `setattr`: Keras would wrap the dict, which slows down every look-up.
        ids = {word: index for index, word in enumerate(vocabulary)}
        object.__setattr__(self, "_ids", ids)

    def __call__(self, inputs: Any) -> np.ndarray:
        # Not that of Keras: it runs on strings in data-loading threads.
        return self.tokenize(inputs)

    def tokenize(self, inputs: Any) -> np.ndarray:
        """Converts captions to word ids.

        Args:
            inputs: list of strings, nested lists for more axes, or one string.

        Returns:
            int32 NumPy array with the axes of `inputs` and a last axis of size
            `sequence_length`.

        Raises:
            ValueError: if there is no vocabulary, or an entry is not a string.
        """
        if isinstance(inputs, bytes):
            inputs = inputs.decode("utf-8", errors="replace")
        if not isinstance(inputs, str):
            rows = [self.tokenize(entry) for entry in _entries(inputs)]
            if len({row.shape for row in rows}) > 1:
                raise ValueError(
                    "Nested lists of captions must all have the same depth and length. "
                    f"Received: {inputs!r:.200}"
                )
            return np.array(rows, np.int32).reshape(
                len(rows), *(rows[0].shape if rows else (self.sequence_length,))
            )
        ids = self._known_ids()
        unknown = ids[UNKNOWN]
        row = np.full(self.sequence_length, ids[PADDING], np.int32)
        words = _words(inputs)[: self.sequence_length]
        row[: len(words)] = [ids.get(word, unknown) for word in words]
        return row

    def detokenize(self, inputs: Any) -> list[str]:
        """Converts word ids to captions, without the padding.

        Args:
            inputs: int array of shape `(rows, words)`.

        Returns:
            List of strings.
        """
        words = self.get_vocabulary()
        return [
            " ".join(words[index] for index in row if words[index] != PADDING)
            for row in np.asarray(inputs)
        ]

    def get_vocabulary(self) -> list[str]:
        """Returns the words of the vocabulary, in the order of their ids."""
        self._known_ids()
        return list(self.vocabulary)

    def vocabulary_size(self) -> int:
        """Returns the number of words."""
        return len(self._known_ids())

    def id_to_token(self, id: int) -> str:  # noqa: A002
        """Returns the word of an id."""
        return self.get_vocabulary()[id]

    def token_to_id(self, token: str) -> int:
        """Returns the id of a word, which must be in the vocabulary."""
        return self._known_ids()[token]

    def save_assets(self, dir_path: str | os.PathLike) -> None:
        """Writes the vocabulary into a folder."""
        text = "\n".join(self.get_vocabulary()) + "\n"
        (pathlib.Path(dir_path) / _FILE).write_text(text, encoding="utf-8")

    def load_assets(self, dir_path: str | os.PathLike) -> None:
        """Reads the vocabulary from a folder.

        Args:
            dir_path: string or path. Links that lead out of the folder are refused.

        Raises:
            FileNotFoundError: if the folder has no vocabulary.
            ValueError: if it is not a regular file inside the folder, or is invalid.
        """
        folder, name = pathlib.Path(dir_path), _FILE
        if folder.parts[-2:] == ("assets", "tokenizer"):
            # The folder of a preset: neither of these folders may be a link out of it.
            folder, name = folder.parents[1], f"assets/tokenizer/{_FILE}"
        path = regular_file(folder, name, ValueError)
        if path is None:
            raise FileNotFoundError(f"There is no vocabulary {str(folder / name)!r}.")
        self.set_vocabulary(path)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes a tokenizer from the result of `get_config`.

        Raises:
            ValueError: if the vocabulary is not a list of words. A path is refused: an
                untrusted config could name any file of this machine.
        """
        vocabulary = config.get("vocabulary")
        if vocabulary is not None and not isinstance(vocabulary, list | tuple):
            raise ValueError(
                "The vocabulary in a tokenizer's config must be a list of words or "
                f"`None`. Received: vocabulary={vocabulary!r:.100}"
            )
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {"vocabulary": self.vocabulary, "sequence_length": self.sequence_length}
        )
        return config

    def _known_ids(self):
        if self.vocabulary is None:
            raise ValueError(NO_VOCABULARY)
        return self._ids


def _entries(inputs):
    """Returns the entries of nested captions; refuses other objects."""
    is_array = hasattr(inputs, "dtype") and getattr(inputs, "ndim", 1) > 0
    if isinstance(inputs, list | tuple) or (is_array and hasattr(inputs, "__iter__")):
        return inputs
    raise ValueError(
        "Captions must be strings or lists of strings. Received: "
        f"{type(inputs).__name__} {inputs!r:.200}"
    )


def _checked_length(length):
    is_int = isinstance(length, int | np.integer) and not isinstance(length, bool)
    if not is_int or length < 1:
        raise ValueError(
            f"`sequence_length` must be a positive integer. Received: {length!r:.100}"
        )
    return int(length)


def _words(text):
    return text.translate(_DELETE_PUNCTUATION).lower().split()


def _read_vocabulary(path):
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no vocabulary {str(path)!r}.")
    check_regular(path, ValueError, MAX_VOCABULARY_BYTES)
    lines = path.read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    if rows and all(len(row) == 2 and row[0].isdigit() for row in rows):
        rows = [row[1:] for row in sorted(rows, key=lambda row: int(row[0]))]
    wrong = [" ".join(row) for row in rows if len(row) != 1]
    if wrong:
        raise ValueError(
            f"The vocabulary {str(path)!r} has lines that are neither `word` nor "
            f"`index word`: {wrong[:5]}"
        )
    return [row[0] for row in rows]


def _check_vocabulary(vocabulary):
    if len(vocabulary) > MAX_WORDS:
        raise ValueError(
            f"A vocabulary has at most {MAX_WORDS:,} words. Received: "
            f"{len(vocabulary):,} words"
        )
    if not all(isinstance(word, str) for word in vocabulary):
        raise ValueError("The words of a vocabulary must be strings.")
    missing = [word for word in _SPECIAL if word not in vocabulary]
    if missing:
        raise ValueError(f"The vocabulary lacks the special words {missing}.")
    if vocabulary[0] != PADDING:
        raise ValueError(
            f"The first word of a vocabulary must be {PADDING!r}: id 0 is padding. "
            f"Received: {vocabulary[0]!r}"
        )
    upper = [word for word in vocabulary if word != word.lower()]
    if upper:
        raise ValueError(
            f"The vocabulary has words with upper-case letters: {upper[:5]}"
        )
    counts = collections.Counter(vocabulary)
    twice = [word for word, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"The vocabulary has duplicate words: {twice[:5]}")
