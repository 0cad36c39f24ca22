"""Asking an index: which windows of media match a text, a sound or a video?"""

import dataclasses
import functools
import os
import pathlib
import weakref

import numpy as np

from keras_vatt.data.decoding._short_clips import SHORT_CLIPS, check_short_clips
from keras_vatt.search._embedding import unit_rows
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._index_files import IndexFolder, is_own
from keras_vatt.search._media_files import file_inside
from keras_vatt.search._model_identity import model_identity
from keras_vatt.search._queries import comparison, encode_query
from keras_vatt.search._regular_files import open_regular_file
from keras_vatt.search._window_scores import window_scores
from keras_vatt.storage import built_in_presets


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A window of a file that was found.

    Args:
        path: string, relative to the folder that was indexed.
        start: float, seconds after the start of the file.
        end: float, seconds.
        score: float in `[-1, 1]`, the cosine with the query.
        modality: string, `"video"`, `"audio"` or `"both"`: whether it was found by its
            frames, by its audio, or by both of them.
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
        shards: list of `Shard`.
        folder: path of the folder that was indexed; `None` if it isn't known, as an
            index that someone else made may name any.
        allow_outside: bool, see `load`. Defaults to `False`.

    Example:
    ```python
    from keras_vatt.search import MediaIndex

    index = MediaIndex.load("demo-index")
    model = keras_vatt.VATT.from_preset(index.preset)
    for result in index.search(model, text="a red star moving left", top_k=3):
        print(result.path, result.start, result.end, result.score)
    index.search(model, audio="whistle.wav")  # Videos that go with the sound.
    # What is most like a clip, by its frames and its audio.
    index.search(model, video="clip.mp4", audio="clip.mp4")
    ```
    """

    def __init__(self, header, shards, folder, allow_outside=False):
        self.folder = None if folder is None else pathlib.Path(folder)
        self._resolved_folder = None if folder is None else os.path.realpath(folder)
        self._is_own = is_own(header)
        said_so = self._is_own and header.get("allow_outside") is True
        self._allow_outside = allow_outside or said_so
        self._short_clips = _rule_in(header)
        self.complete = header.get("complete") is True
        self._identity = dict(header["model"])
        self._shards = shards
        self._offsets = np.cumsum([0, *(len(shard.windows) for shard in shards)])
        self._known_model = None

    @classmethod
    def load(cls, path, folder=None, allow_outside=False):
        """Open an index.

        Args:
            path: string or path of its folder.
            folder: string or path of the media, if they don't lie where they lay,
                as seen from the index. Defaults to `None`. It must be given to open
                media of an index that someone else made, unless they lie in the
                folder of the index.
            allow_outside: bool. Whether media may be opened to which links in that
                folder lead. Defaults to `False`: only if you made the index yourself,
                with `allow_outside=True`. An index that someone else made is not
                believed in this.

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
        return cls(header, files.read_shards(header), folder, allow_outside)

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
        """A window by its number, a `Window`.

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
        return file_inside(self.folder, path, self._allow_outside)

    def open_file(self, path):
        """Opens a file of the index, which must still lie in the folder.

        Links are followed only where they lead to another file of the folder, as it
        was when the index was loaded, or with `allow_outside` anywhere. FIFOs and
        devices are refused.

        Args:
            path: string, one of `paths`.

        Returns:
            Binary file object.

        Raises:
            MediaIndexError: if the index has no such file, it leads out of the folder,
                or can't be opened.
        """
        found = self.find_file(path)
        is_inside = found.is_relative_to(self._resolved_folder)
        if not (is_inside or self._allow_outside):
            raise MediaIndexError(
                f"{path!r} leads out of the folder {str(self.folder)!r}."
            )
        try:
            return open_regular_file(found)
        except OSError as error:
            raise MediaIndexError(f"{path!r} can't be opened: {error}") from error

    def search(
        self,
        model,
        text=None,
        audio=None,
        video=None,
        top_k=10,
        modality=None,
        short_clips=None,
    ):
        """Windows that match a query best.

        A window of both video and audio can be compared by one of them or by both, and
        a query may have both too. Of both, the mean of the unit vectors is taken and
        normalized again. All vectors lie in one space of the bridge head:

        | query | `"video"` | `"audio"` | `"both"` |
        |---|---|---|---|
        | text | video-text | joint head only | joint head only |
        | audio, video, or both | video-audio | video-audio | video-audio |

        With a `keras_vatt.layers.JointBridgeHead` they are one and the same space. In
        a search by `"both"`, a window that has only one of them is compared by that.

        Args:
            model: the `keras_vatt.VATT` that made the index.
            text: string. What is looked for, in words. Those that the model's
                vocabulary doesn't have are left out; see `unknown_words`.
            audio: a path, bytes, or a tuple of samples and their rate in hertz. Of
                what is longer than a clip the middle is taken. It may not be silent.
            video: a path, bytes, or a tuple of frames and their rate. Together with
                `audio`, which may be of the same file, it is one query of both.
            top_k: int. How many windows are returned at most. Defaults to `10`.
            modality: `"video"`, `"audio"` or `"both"`. What windows are compared by:
                their frames, their audio, or both. Defaults to `None`: audio for a
                query of video, both for a query of both, else video.
            short_clips: string. The rule for queries shorter than a clip, see
                `embed_folder`. Defaults to `None`, the rule of the index.

        Returns:
            List of `SearchResult`, best first. Of equal ones the earlier in the index
            comes first.

        Raises:
            MediaIndexError: if the index was made by another model, can't be asked
                so, no word of the text is known to the model, or the audio is silent.
            ValueError: if there isn't exactly one of text, audio and video, or audio
                and video together; or if `short_clips` is unknown.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        given = {"text": text, "audio": audio, "video": video}
        given = {name: query for name, query in given.items() if query is not None}
        if len(given) != 1 and set(given) != {"audio", "video"}:
            raise ValueError(
                "Search by exactly one of text, audio and video, or by audio and video "
                f"together. Received: {sorted(given) or 'none of them'}"
            )
        short_clips = short_clips or self._short_clips
        check_short_clips(short_clips)
        self.check_model(model)
        outputs, names = comparison(model, tuple(given), modality)
        vector = encode_query(model, given, outputs, short_clips)
        return self.search_vector(vector, names, top_k)

    def search_vector(self, vector, matrix, top_k=10):
        """Windows whose embedding has the largest cosine with a vector.

        Args:
            vector: array `(dim,)` of any length.
            matrix: string, which embeddings it is compared with: `"video_to_text"`,
                `"video_to_audio"` or `"audio_to_video"`; or a tuple of one of video
                and one of audio, whose mean it is compared with, see `search`.
            top_k: int. Defaults to `10`.

        Returns:
            List of `SearchResult`, see `search`.

        Raises:
            MediaIndexError: if the index has embeddings of another width.
        """
        if top_k < 1:
            raise MediaIndexError(f"`top_k` must be positive. Received: {top_k}")
        names = (matrix,) if isinstance(matrix, str) else tuple(matrix)
        vector = unit_rows(np.asarray(vector)[np.newaxis])[0].astype(np.float64)
        found = [window_scores(shard, names, vector) for shard in self._shards]
        empty = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(names)), bool)
        windows, scores, has = map(np.concatenate, zip(empty, *found, strict=True))
        offsets = np.repeat(self._offsets[:-1], [len(part[0]) for part in found])
        windows = windows + offsets
        return [
            self._result(int(windows[row]), float(scores[row]), names, has[row])
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

    def _result(self, number, score, names, has):
        window = self.window(number)
        found_by = [name.partition("_")[0] for name in np.asarray(names)[has]]
        modality = found_by[0] if len(found_by) == 1 else "both"
        return SearchResult(
            window.file.path, window.start, window.end, score, modality, number
        )


def _rule_in(header):
    """The rule for short clips of an index; those of earlier versions have none."""
    rule = header.get("short_clips")
    return rule if rule in SHORT_CLIPS else "repeat"


def _named_folder(root, header):
    """The folder of the media that an index names, if it may be opened."""
    named = os.path.normpath(root / header["folder"])
    try:
        is_inside = pathlib.Path(os.path.realpath(named)).is_relative_to(root)
    except (OSError, ValueError):  # It is no path.
        return None
    return named if is_inside or is_own(header) else None


def _best(scores, top_k):
    """Rows with the largest scores, and among equal ones the first rows."""
    rows = np.arange(len(scores))
    if top_k < len(scores):
        least = np.partition(scores, -top_k)[-top_k]
        rows = np.flatnonzero(scores >= least)
    return rows[np.argsort(-scores[rows], kind="stable")][:top_k]
