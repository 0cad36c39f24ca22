"""The base class of the tokenizers: vocabulary, padding, nested lists, assets."""

import collections
import os
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np

from keras_vatt._keras_internals import set_untracked
from keras_vatt._untrusted import check_regular, regular_file
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._keras_hub import Tokenizer
from keras_vatt.models._preset_parts import PartFromPreset
from keras_vatt.storage._config_limits import MAX_VOCABULARY_BYTES, MAX_WORDS

_FILE = "vocabulary.txt"
NO_VOCABULARY = (
    "There is no vocabulary for strings: pass word ids, or set "
    "`model.preprocessor.tokenizer = keras_vatt.VATTTokenizer(file)`. To add a "
    "vocabulary to a published preset for good, run `keras-vatt convert --from NAME "
    "--vocabulary FILE`."
)


class VocabularyTokenizer(PartFromPreset, Tokenizer):
    """Converts captions to rows of token ids, of which 0 is padding.

    Subclasses define the class attributes and `_token_ids`, `_split_file` and
    `_check_case`. They run on strings and NumPy arrays in any thread.

    Args:
        vocabulary: list of tokens, or path of a file. Defaults to `None`:
            `load_assets` sets it.
        sequence_length: int. Number of tokens per row. Defaults to `16`.
        **kwargs: `name`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the vocabulary is invalid, or its path is not that of a file.
    """

    backbone_cls = VATTBackbone
    padding: ClassVar[str]
    unknown: ClassVar[str]
    required: ClassVar[tuple[str, ...]]

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

    def set_vocabulary(self, vocabulary: Iterable[str] | str | os.PathLike) -> None:
        """Sets the vocabulary.

        Args:
            vocabulary: list of tokens or path; see the class.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the vocabulary is invalid.
        """
        if isinstance(vocabulary, str | pathlib.Path):
            vocabulary = self._read(pathlib.Path(vocabulary))
        vocabulary = list(vocabulary)
        self._check(vocabulary)
        self.vocabulary = vocabulary
        # Keras would wrap the dict, which slows down every look-up.
        ids = {word: index for index, word in enumerate(vocabulary)}
        set_untracked(self, "_ids", ids)

    def __call__(self, inputs: Any) -> np.ndarray:
        # Not that of Keras: it runs on strings in data-loading threads.
        return self.tokenize(inputs)

    def tokenize(self, inputs: Any) -> np.ndarray:
        """Converts captions to token ids.

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
        known = self._known_ids()
        row = np.full(self.sequence_length, known[self.padding], np.int32)
        ids = self._token_ids(inputs)[: self.sequence_length]
        row[: len(ids)] = ids
        return row

    def detokenize(self, inputs: Any) -> list[str]:
        """Converts token ids to captions, without the padding.

        Args:
            inputs: int array of shape `(rows, tokens)`.

        Returns:
            List of strings.
        """
        words = self.get_vocabulary()
        return [
            " ".join(words[index] for index in row if words[index] != self.padding)
            for row in np.asarray(inputs)
        ]

    def get_vocabulary(self) -> list[str]:
        """Returns the tokens of the vocabulary, in the order of their ids."""
        self._known_ids()
        return list(self.vocabulary)

    def vocabulary_size(self) -> int:
        """Returns the number of tokens."""
        return len(self._known_ids())

    def id_to_token(self, id: int) -> str:  # noqa: A002
        """Returns the token of an id."""
        return self.get_vocabulary()[id]

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, which must be in the vocabulary."""
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

    def _token_ids(self, text):
        """Returns the ids of the tokens of a caption, a list of any length."""
        raise NotImplementedError

    def _split_file(self, path, text):
        """Returns the tokens in the text of a vocabulary file."""
        raise NotImplementedError

    def _check_case(self, vocabulary):
        """Raises a `ValueError` if tokens have upper-case letters."""
        raise NotImplementedError

    def _read(self, path):
        if not path.exists():
            raise FileNotFoundError(f"There is no vocabulary {str(path)!r}.")
        check_regular(path, ValueError, MAX_VOCABULARY_BYTES)
        return self._split_file(path, path.read_text("utf-8"))

    def _check(self, vocabulary):
        if len(vocabulary) > MAX_WORDS:
            raise ValueError(
                f"A vocabulary has at most {MAX_WORDS:,} words. Received: "
                f"{len(vocabulary):,} words"
            )
        if not all(isinstance(word, str) for word in vocabulary):
            raise ValueError("The words of a vocabulary must be strings.")
        missing = [word for word in self.required if word not in vocabulary]
        if missing:
            raise ValueError(
                f"The vocabulary lacks the special words {missing} of a "
                f"{type(self).__name__}. VATT's vocabularies have '<pad>', those of "
                "BERT have '[PAD]'."
            )
        if vocabulary[0] != self.padding:
            raise ValueError(
                f"The first word of a vocabulary must be {self.padding!r}: id 0 is "
                f"padding. Received: {vocabulary[0]!r}"
            )
        self._check_case(vocabulary)
        counts = collections.Counter(vocabulary)
        twice = [word for word, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"The vocabulary has duplicate words: {twice[:5]}")

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
