"""Captions to word ids, as the original VATT does it."""

import collections
import pathlib
import string

import keras
import keras_nlp
import numpy as np

from keras_vatt._untrusted import check_regular, regular_file
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._presets import PartFromPreset
from keras_vatt.storage._config_limits import MAX_VOCABULARY_BYTES, MAX_WORDS

PADDING, BEGIN, END, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
_SPECIAL = (PADDING, BEGIN, END, UNKNOWN)
_FILE = "vocabulary.txt"
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTTokenizer(PartFromPreset, keras_nlp.tokenizers.Tokenizer):
    """Splits captions into words and looks them up in a vocabulary.

    Punctuation is deleted, letters are lower-cased, and words are what lies between
    white space. A word out of the vocabulary becomes `<unk>`. Rows are cropped or
    filled with `<pad>`; there are no tokens of begin and end. This is the
    `WordTokenizer` of the original code. It runs on strings and NumPy alone, on
    every backend and in any thread.

    Args:
        vocabulary: list of words, or path of a file with one word a line (or
            `index word`). It has `<pad>` first, `<bos>`, `<eos>` and `<unk>`, and no
            word twice or in upper case, and up to a million words. Defaults to
            `None`: `load_assets` sets it.
        sequence_length: int. Number of words of a row. Defaults to `16`.
        **kwargs: `name`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the vocabulary is none, or its path that of something else than
            a file.

    Example:
    ```python
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star", "a circle"])
    tokenizer(["A red square!"])  # [[4, 6, 3, 0, ...]], of shape (1, 16)
    ```
    """

    backbone_cls = VATTBackbone

    def __init__(self, vocabulary=None, sequence_length=16, **kwargs):
        super().__init__(**kwargs)
        self.sequence_length = _checked_length(sequence_length)
        self.file_assets = [_FILE]
        self.vocabulary = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    @classmethod
    def from_captions(cls, captions, max_words=65_536, sequence_length=16):
        """A tokenizer whose vocabulary is the words of captions.

        The most frequent words come first, equally frequent ones by alphabet.

        Args:
            captions: iterable of strings.
            max_words: int. Size of the vocabulary at most, the four special words
                included. Defaults to `65_536`.
            sequence_length: int. Defaults to `16`.

        Returns:
            `VATTTokenizer`.
        """
        counts = collections.Counter(word for text in captions for word in _words(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        vocabulary = [*_SPECIAL, *ranked[: max_words - len(_SPECIAL)]]
        return cls(vocabulary, sequence_length)

    def set_vocabulary(self, vocabulary):
        """Set the vocabulary; see the class for what it may be."""
        if isinstance(vocabulary, str | pathlib.Path):
            vocabulary = _read_vocabulary(vocabulary)
        vocabulary = list(vocabulary)
        _check_vocabulary(vocabulary)
        self.vocabulary = vocabulary
        # Past Keras' tracker, which would wrap it and slow each look-up down.
        ids = {word: index for index, word in enumerate(vocabulary)}
        object.__setattr__(self, "_ids", ids)

    def __call__(self, inputs):
        # Neither tensors nor names of Keras layers are wanted between a thread that
        # loads data and its word ids.
        return self.tokenize(inputs)

    def tokenize(self, inputs):
        """Word ids of captions.

        Args:
            inputs: list of strings, nested lists for more axes, or one string.

        Returns:
            int32 NumPy array with the axes of `inputs` and `sequence_length`.

        Raises:
            ValueError: if there is no vocabulary, or something is no string.
        """
        if isinstance(inputs, bytes):
            inputs = inputs.decode("utf-8", errors="replace")
        if not isinstance(inputs, str):
            rows = [self.tokenize(entry) for entry in _entries(inputs)]
            if len({row.shape for row in rows}) > 1:
                raise ValueError(
                    "Lists of captions must be nested equally deep and equally long. "
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

    def detokenize(self, inputs):
        """Captions of word ids, without what is padding.

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

    def get_vocabulary(self):
        self._known_ids()
        return list(self.vocabulary)

    def vocabulary_size(self):
        return len(self._known_ids())

    def id_to_token(self, id):  # noqa: A002
        return self.get_vocabulary()[id]

    def token_to_id(self, token):
        return self._known_ids()[token]

    def save_assets(self, dir_path):
        """Write the vocabulary into a folder."""
        text = "\n".join(self.get_vocabulary()) + "\n"
        (pathlib.Path(dir_path) / _FILE).write_text(text, encoding="utf-8")

    def load_assets(self, dir_path):
        """Read the vocabulary from a folder, and from no file outside of it.

        Raises:
            FileNotFoundError: if the folder has none.
            ValueError: if it is no regular file inside of the folder, or no vocabulary.
        """
        folder, name = pathlib.Path(dir_path), _FILE
        if folder.parts[-2:] == ("assets", "tokenizer"):
            # The assets of a preset, none of whose folders may lead out of it.
            folder, name = folder.parents[1], f"assets/tokenizer/{_FILE}"
        path = regular_file(folder, name, ValueError)
        if path is None:
            raise FileNotFoundError(f"There is no vocabulary {str(folder / name)!r}.")
        self.set_vocabulary(path)

    @classmethod
    def from_config(cls, config):
        """A tokenizer from what `get_config` returned, which names no file.

        Raises:
            ValueError: if the vocabulary is no list of words: a config that a stranger
                wrote could else name any file of this machine.
        """
        vocabulary = config.get("vocabulary")
        if vocabulary is not None and not isinstance(vocabulary, list | tuple):
            raise ValueError(
                "The config of a tokenizer has a list of words for its vocabulary, or "
                f"none. Received: vocabulary={vocabulary!r:.100}"
            )
        return cls(**config)

    def get_config(self):
        config = super().get_config()
        config.update(
            {"vocabulary": self.vocabulary, "sequence_length": self.sequence_length}
        )
        return config

    def _known_ids(self):
        if self.vocabulary is None:
            raise ValueError(
                "The tokenizer has no vocabulary yet: give `vocabulary`, or call "
                "`set_vocabulary`."
            )
        return self._ids


def _entries(inputs):
    """The entries of nested captions; anything that has none is no caption."""
    is_array = hasattr(inputs, "dtype") and getattr(inputs, "ndim", 1) > 0
    if isinstance(inputs, list | tuple) or (is_array and hasattr(inputs, "__iter__")):
        return inputs
    raise ValueError(
        "Captions are strings, or lists of strings. Received: "
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
            f"A vocabulary has {MAX_WORDS:,} words at most. Received: "
            f"{len(vocabulary):,} words"
        )
    if not all(isinstance(word, str) for word in vocabulary):
        raise ValueError("The words of a vocabulary are strings.")
    missing = [word for word in _SPECIAL if word not in vocabulary]
    if missing:
        raise ValueError(f"The vocabulary lacks the special words {missing}.")
    if vocabulary[0] != PADDING:
        raise ValueError(
            f"The first word of a vocabulary must be {PADDING!r}: the model takes id "
            f"0 for padding. Received: {vocabulary[0]!r}"
        )
    upper = [word for word in vocabulary if word != word.lower()]
    if upper:
        raise ValueError(f"The vocabulary has words in upper case: {upper[:5]}")
    counts = collections.Counter(vocabulary)
    twice = [word for word, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"The vocabulary has words twice: {twice[:5]}")
