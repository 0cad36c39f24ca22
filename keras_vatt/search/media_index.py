"""Asking an index: which windows of media match a text, a sound or a video?"""

import dataclasses
import functools
import os
import pathlib
import weakref

import numpy as np

from keras_vatt.search.embedding import unit_rows
from keras_vatt.search.errors import MediaIndexError
from keras_vatt.search.index_files import IndexFolder, is_own
from keras_vatt.search.media_files import file_inside
from keras_vatt.search.model_identity import model_identity
from keras_vatt.search.regular_files import open_regular_file
from keras_vatt.storage import built_in_presets

# Rows that are multiplied at a time: they are copied to float64.
_CHUNK_ROWS = 8_192

# Cosines are rounded so that equal media have equal scores, wherever in a matrix
# they stand: the products of float32 rows are exact to about this.
_DECIMALS = 6

# Query, what is looked for: the query's embedding, and the matrix it is compared with.
_SPACES = {
    ("text", "video"): ("to_video", "video_to_text"),
    ("text", "audio"): ("to_video", "audio_to_video"),
    ("audio", "video"): ("to_video", "video_to_audio"),
    ("audio", "audio"): ("to_video", "audio_to_video"),
    ("video", "audio"): ("to_audio", "audio_to_video"),
    ("video", "video"): ("to_audio", "video_to_audio"),
}
_OTHER = {"text": "video", "audio": "video", "video": "audio"}


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A window of a file that was found.

    Args:
        path: string, relative to the folder that was indexed.
        start: float, seconds after the start of the file.
        end: float, seconds.
        score: float in `[-1, 1]`, the cosine with the query.
        modality: string, `"video"` or `"audio"`: whether it was found by what is
            seen, or by what is heard.
        window: int, its number in the index.
    """

    path: str
    start: float
    end: float
    score: float
    modality: str
    window: int


class MediaIndex:
    """An index that `embed_folder` made, to be asked.

    Embeddings stay on the disk, mapped into memory, and are read in chunks.

    Args:
        header: dict, the content of `index.json`.
        shards: list of `keras_vatt.search.shards.Shard`.
        folder: path of the folder that was indexed; `None` if it isn't known, as an
            index that someone else made may name any.

    Example:
    ```python
    from keras_vatt.search import MediaIndex

    index = MediaIndex.load("demo-index")
    model = keras_vatt.VATT.from_preset(index.preset)
    for result in index.search(model, text="a red star moving left", top_k=3):
        print(result.path, result.start, result.end, result.score)
    index.search(model, audio="whistle.wav")  # Videos that go with the sound.
    ```
    """

    def __init__(self, header, shards, folder):
        self.folder = None if folder is None else pathlib.Path(folder)
        self._resolved_folder = None if folder is None else os.path.realpath(folder)
        self._is_own = is_own(header)
        self.complete = header.get("complete") is True
        self._identity = dict(header["model"])
        self._shards = shards
        self._offsets = np.cumsum([0, *(len(shard.windows) for shard in shards)])
        self._known_model = None

    @classmethod
    def load(cls, path, folder=None):
        """Open an index.

        Args:
            path: string or path of its folder.
            folder: string or path of the media, if they don't lie where they lay,
                as seen from the index. Defaults to `None`. It must be given to open
                media of an index that someone else made, unless they lie in the
                folder of the index.

        Returns:
            `MediaIndex`.

        Raises:
            MediaIndexError: if there is none, or it is damaged.
        """
        files = IndexFolder(path)
        header = files.read_header()
        if folder is None:
            root = pathlib.Path(os.path.realpath(files.path))
            folder = _named_folder(root, header)
        return cls(header, files.read_shards(header), folder)

    @property
    def preset(self):
        """Name of the preset that made the index, or `None`.

        It is `None` too if someone else made the index and the preset doesn't come
        with the package: it may be any folder of this machine, or be downloaded. See
        `named_preset`.
        """
        name = self.named_preset
        return name if self._is_own or name in built_in_presets() else None

    @property
    def named_preset(self):
        """Name of a preset that the index gives, whoever made it; or `None`."""
        name = self._identity.get("preset")
        return name if isinstance(name, str) else None

    def __len__(self):
        """How many windows it has."""
        return int(self._offsets[-1])

    @functools.cached_property
    def paths(self):
        """Paths of the files that it has, relative to `folder`; a tuple of strings."""
        paths = (window.file.path for shard in self._shards for window in shard.windows)
        return tuple(dict.fromkeys(paths))

    def count(self, modality):
        """How many windows can be found by `"video"` or by `"audio"`, an int."""
        return sum(len(shard.rows.get(modality, ())) for shard in self._shards)

    def window(self, number):
        """A window by its number, a `keras_vatt.search.windows.Window`.

        Raises:
            IndexError: if there is none of that number.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"The index has no window {number}.")
        place = int(np.searchsorted(self._offsets, number, side="right")) - 1
        return self._shards[place].windows[number - int(self._offsets[place])]

    def find_file(self, path):
        """Where a file of the index lies on this machine.

        Args:
            path: string, one of `paths`.

        Returns:
            `pathlib.Path`.

        Raises:
            MediaIndexError: if the index has no such file, it leads out of the
                folder, or the folder isn't known.
        """
        if path not in self.paths:
            raise MediaIndexError(f"The index has no file {path!r}.")
        if self.folder is None:
            raise MediaIndexError(
                "The index was made by someone else, and its media lie outside of it: "
                "give their folder (`--folder`, or `folder` of `MediaIndex.load`)."
            )
        return file_inside(self.folder, path)

    def open_file(self, path):
        """Opens a file of the index, which must still lie in the folder.

        Links are followed only where they lead to another file of the folder, as it
        was when the index was loaded. FIFOs and devices are refused.

        Args:
            path: string, one of `paths`.

        Returns:
            Binary file object.

        Raises:
            MediaIndexError: if the index has no such file, it leads out of the folder,
                or can't be opened.
        """
        found = self.find_file(path)
        if not found.is_relative_to(self._resolved_folder):
            raise MediaIndexError(
                f"{path!r} leads out of the folder {str(self.folder)!r}."
            )
        try:
            return open_regular_file(found)
        except OSError as error:
            raise MediaIndexError(f"{path!r} can't be opened: {error}") from error

    def search(self, model, text=None, audio=None, video=None, top_k=10, modality=None):
        """Windows that match a query best.

        Args:
            model: the `keras_vatt.VATT` that made the index.
            text: string. What is looked for, in words. Those that the model's
                vocabulary doesn't have are left out; see `unknown_words`.
            audio: a path, bytes, or a tuple of samples and their rate in hertz. Of
                what is longer than a clip the middle is taken.
            video: a path, bytes, or a tuple of frames and their rate.
            top_k: int. How many windows are returned at most. Defaults to `10`.
            modality: `"video"` or `"audio"`. Whether windows are looked for by what is
                seen or by what is heard. Defaults to `None`: sounds are looked for by
                a video, else videos. (Sounds can be looked for by a text only if the
                model embeds both in one space; see
                `keras_vatt.layers.JointBridgeHead`.)

        Returns:
            List of `SearchResult`, best first. Of equal ones the earlier in the index
            comes first.

        Raises:
            MediaIndexError: if the index was made by another model, can't be asked
                so, or no word of the text is known to the model.
            ValueError: if there isn't exactly one of text, audio and video.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        given = {"text": text, "audio": audio, "video": video}
        given = {name: query for name, query in given.items() if query is not None}
        if len(given) != 1:
            raise ValueError(
                "Search by exactly one of text, audio and video. Received: "
                f"{sorted(given) or 'none of them'}"
            )
        ((kind, query),) = given.items()
        modality = modality or _OTHER[kind]
        self.check_model(model)
        embedding, matrix = _space(model, kind, modality)
        if kind == "text":
            query = _known_part(model, query)
        vector = model.encode(**{kind: [query]})[kind][embedding][0]
        return self.search_vector(vector, matrix, top_k)

    def search_vector(self, vector, matrix, top_k=10):
        """Windows whose embedding has the largest cosine with a vector.

        Args:
            vector: array `(dim,)` of any length.
            matrix: string, which embeddings it is compared with: `"video_to_text"`,
                `"video_to_audio"` or `"audio_to_video"`.
            top_k: int. Defaults to `10`.

        Returns:
            List of `SearchResult`, see `search`.

        Raises:
            MediaIndexError: if the index has embeddings of another width.
        """
        if top_k < 1:
            raise MediaIndexError(f"`top_k` must be positive. Received: {top_k}")
        modality = matrix.partition("_")[0]
        vector = unit_rows(np.asarray(vector)[np.newaxis])[0].astype(np.float64)
        scores, windows = [np.zeros(0)], [np.zeros(0, np.int64)]
        for shard, offset in zip(self._shards, self._offsets, strict=False):
            if matrix in shard.matrices:
                scores += _cosines(shard.matrices[matrix], vector, matrix)
                windows.append(offset + np.asarray(shard.rows[modality], np.int64))
        scores, windows = np.concatenate(scores), np.concatenate(windows)
        return [
            self._result(int(windows[row]), float(scores[row]), modality)
            for row in _best(scores, top_k)
        ]

    def check_model(self, model):
        """Refuse a model that didn't make the index.

        Raises:
            MediaIndexError: if its weights or its clips are others.
        """
        if self._known_model is not None and self._known_model() is model:
            return
        if getattr(model, "preprocessor", None) is None:
            raise MediaIndexError("The model has no preprocessor for queries.")
        identity = model_identity(model)
        if any(self._identity.get(key) != value for key, value in identity.items()):
            raise MediaIndexError(
                "The index was made with another model than the one that is given: it "
                f"takes {self.named_preset or 'a model without a name'!r}, with the "
                "weights it had then."
            )
        self._known_model = weakref.ref(model)

    def _result(self, number, score, modality):
        window = self.window(number)
        return SearchResult(
            window.file.path, window.start, window.end, score, modality, number
        )


def _named_folder(root, header):
    """The folder of the media that an index names, if it may be opened."""
    named = os.path.normpath(root / header["folder"])
    try:
        is_inside = pathlib.Path(os.path.realpath(named)).is_relative_to(root)
    except (OSError, ValueError):  # It is no path.
        return None
    return named if is_inside or is_own(header) else None


def unknown_words(model, text):
    """Words of a query that a model's vocabulary doesn't have.

    Args:
        model: `keras_vatt.VATT` with a vocabulary.
        text: string.

    Returns:
        List of strings, as they stand in the text.
    """
    tokenizer = getattr(model.preprocessor, "tokenizer", None)
    if tokenizer is None or tokenizer.vocabulary is None:
        return []
    unknown = tokenizer.get_vocabulary().index("<unk>")
    return [word for word in text.split() if tokenizer(word)[0] == unknown]


def _space(model, kind, modality):
    if (kind, modality) not in _SPACES:
        raise MediaIndexError(
            f"`modality` is 'video' or 'audio'. Received: {modality!r}"
        )
    missing = {kind, modality} - set(model.backbone.modalities)
    if missing:
        raise MediaIndexError(
            f"This model knows no {' and no '.join(sorted(missing))}."
        )
    joint = model.bridge_head.embeds_audio_and_text_together
    if (kind, modality) == ("text", "audio") and not joint:
        raise MediaIndexError(
            "This model has no common space for text and sound: look for videos by "
            "text, or take a model with a `keras_vatt.layers.JointBridgeHead`."
        )
    return _SPACES[kind, modality]


def _known_part(model, text):
    """The query without words out of the vocabulary, which would only blur it."""
    if not isinstance(text, str) or not text.strip():
        raise MediaIndexError("The text to search for is empty.")
    unknown = set(unknown_words(model, text))
    known = " ".join(word for word in text.split() if word not in unknown)
    if not model.preprocessor({"text": [known]})["text"].any():
        raise MediaIndexError(
            f"The model's vocabulary has none of the words of {text!r}."
        )
    return known


def _cosines(matrix, vector, name):
    if matrix.shape[1] != len(vector):
        raise MediaIndexError(
            f"The index has embeddings {name} of width {matrix.shape[1]}, the query "
            f"has {len(vector)}."
        )
    chunks = (
        np.asarray(matrix[first : first + _CHUNK_ROWS], np.float64)
        for first in range(0, len(matrix), _CHUNK_ROWS)
    )
    scores = [(chunk @ vector).round(_DECIMALS) for chunk in chunks]
    if not all(np.isfinite(part).all() for part in scores):
        raise MediaIndexError(
            f"The index has embeddings {name} that are not finite: make it again."
        )
    return scores


def _best(scores, top_k):
    """Rows with the largest scores, and among equal ones the first rows."""
    rows = np.arange(len(scores))
    if top_k < len(scores):
        least = np.partition(scores, -top_k)[-top_k]
        rows = np.flatnonzero(scores >= least)
    return rows[np.argsort(-scores[rows], kind="stable")][:top_k]
