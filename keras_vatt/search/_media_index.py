"""Searching an index for the windows that match a text, audio or a video."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing
import weakref

import numpy as np

from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._locations import open_store
from keras_vatt.search._media_files import file_inside
from keras_vatt.search._model_identity import model_identity
from keras_vatt.search._queries import EMBEDDINGS, column_of, comparison, encode_query
from keras_vatt.search._regular_files import open_regular_file
from keras_vatt.search._unit_rows import unit_rows
from keras_vatt.storage import built_in_presets

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT
    from keras_vatt.search._store import VectorStore
    from keras_vatt.search._windows import Window


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A window of a file that was found.

    Args:
        path: string. Path of the file, relative to the folder that was indexed.
        start: float. Seconds after the start of the file.
        end: float. Seconds after the start of the file.
        score: float in `[-1, 1]`. Cosine with the query.
        modality: string. `"video"`, `"audio"` or `"both"`: what the window was
            compared by.
        window: int. Number of the window in the index.
    """

    path: str
    start: float
    end: float
    score: float
    modality: str
    window: int


class MediaIndex:
    """An index that `embed_folder` made, to be searched.

    The paths and times of its windows are kept in memory. So are the embeddings that
    are compared, from the first exact search on, if they take at most an eighth of the
    memory of this machine. Larger ones are read from the vector store in each search.
    A search finds the windows that the index had when it was opened.

    Args:
        store: `VectorStore`. The tables of the index.
        folder: string or path. Folder that was indexed. Defaults to `None`, unknown:
            an index that someone else made may name any folder.
        allow_outside: bool, see `load`. Defaults to `False`.

    Example:
    ```python
    from keras_vatt.search import MediaIndex

    index = MediaIndex.load("demo-index")
    model = keras_vatt.VATT.from_preset(index.preset)
    for result in index.search(model, text="a red star moving left", top_k=3):
        print(result.path, result.start, result.end, result.score)
    index.search(model, audio="whistle.wav")  # Videos that match the audio.
    # The windows most similar to a clip, by its frames and its audio.
    index.search(model, video="clip.mp4", audio="clip.mp4")
    ```
    """

    def __init__(
        self,
        store: VectorStore,
        folder: str | os.PathLike | None = None,
        allow_outside: bool = False,
    ):
        self._store = store
        header = store.read_header()
        self._is_own = store.is_own(header)
        folder = self._named_folder(header) if folder is None else folder
        self.folder = None if folder is None else pathlib.Path(folder)
        self._resolved_folder = None if folder is None else os.path.realpath(folder)
        is_allowed_by_header = self._is_own and header.get("allow_outside") is True
        self._allow_outside = allow_outside or is_allowed_by_header
        self._short_clips = header["short_clips"]
        self.complete = header["complete"]
        self._identity = dict(header["model"])
        self._approximate = header.get("approximate")
        self._windows = store.read_windows()
        if not self._is_own:
            store.check_embeddings()
        self._known_model = None

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        folder: str | os.PathLike | None = None,
        allow_outside: bool = False,
    ) -> MediaIndex:
        """Opens an index.

        Anyone who may write to an object store decides which files LanceDB opens: open
        only those that you trust. A local folder is checked first.

        Args:
            path: string or path. Folder or URI of the index.
            folder: string or path. Folder of the media, if it was moved relative to
                the index. Defaults to `None`, the folder that the index names. It must
                be passed to open media of an index that someone else made, unless they
                lie in the folder of the index.
            allow_outside: bool. Whether media are opened to which links in that folder
                lead. Defaults to `False`: only if you made the index yourself, with
                `allow_outside=True`. The setting of an index that someone else made is
                not trusted.

        Returns:
            `MediaIndex`.

        Raises:
            MediaIndexError: if there is no index, or it is damaged.
        """
        return cls(open_store(path), folder, allow_outside)

    @property
    def recall(self) -> dict[str, float] | None:
        """Recall at 10 of the approximate search, per column of embeddings.

        It was measured with windows of the index as queries. Columns with too few
        windows for an approximate index are missing: their searches are exact. `None`
        if the index was made without `approximate=True`.
        """
        if self._approximate is None:
            return None
        return {name: entry["recall"] for name, entry in self._approximate.items()}

    @property
    def preset(self) -> str | None:
        """Name of the preset that made the index, or `None`.

        It is also `None` if someone else made the index and the preset doesn't come
        with the package: loading it could open any folder of this machine, or download
        it. See `named_preset`.
        """
        name = self.named_preset
        return name if self._is_own or name in built_in_presets() else None

    @property
    def named_preset(self) -> str | None:
        """Name of the preset in the index, whoever made it, or `None`."""
        name = self._identity.get("preset")
        return name if isinstance(name, str) else None

    def __len__(self) -> int:
        """Returns the number of windows."""
        return len(self._windows)

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the files, relative to `folder`."""
        return self._windows.paths

    def count(self, modality: str) -> int:
        """Returns how many windows can be found by `"video"` or by `"audio"`."""
        return int(self._windows.has(modality).sum())

    def window(self, number: int) -> Window:
        """Returns a window by its number.

        Raises:
            IndexError: if there is no window of that number.
        """
        return self._windows.window(number)

    def find_file(self, path: str) -> pathlib.Path:
        """Returns where a file of the index lies on this machine.

        Args:
            path: string, one of `paths`.

        Raises:
            MediaIndexError: if the index has no such file, the path leads out of the
                folder, or the folder isn't known.
        """
        if path not in self.paths:
            raise MediaIndexError(f"The index has no file {path!r}.")
        if self.folder is None:
            raise MediaIndexError(
                "The index was made by someone else, and its media lie outside of it: "
                "pass their folder (`--folder`, or `folder` of `MediaIndex.load`)."
            )
        return file_inside(self.folder, path, self._allow_outside)

    def open_file(self, path: str) -> typing.BinaryIO:
        """Opens a file of the index, which must still lie in the folder.

        Links are followed if they lead to another file of the folder, as it was when
        the index was loaded, or anywhere with `allow_outside`. FIFOs and devices are
        refused.

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
        model: VATT,
        text: str | None = None,
        audio: typing.Any = None,
        video: typing.Any = None,
        top_k: int = 10,
        modality: str | None = None,
        short_clips: str | None = None,
        approximate: bool = False,
    ) -> list[SearchResult]:
        """Returns the windows that match a query best.

        A window of both video and audio can be compared by either of them or by both,
        and a query may also have both. For both, the mean of the unit vectors is taken
        and normalized again. All vectors lie in one space of the bridge head:

        | query | `"video"` | `"audio"` | `"both"` |
        |---|---|---|---|
        | text | video-text | joint head only | joint head only |
        | audio, video, or both | video-audio | video-audio | video-audio |

        A `keras_vatt.layers.JointBridgeHead` has a single space for all of them. In a
        search by `"both"`, a window that has only one modality is compared by that.

        Args:
            model: `keras_vatt.VATT`. The model that made the index.
            text: string. Query in words. Words that the model's vocabulary doesn't
                have are left out; see `unknown_words`.
            audio: a path, bytes, a binary file, or a tuple of samples and their rate in
                hertz. The clip is taken from the middle. It may not be silent.
            video: a path, bytes, a binary file, or a tuple of frames and their rate.
                Together with `audio`, which may be of the same file, it is one query
                of both.
            top_k: int. Maximum number of results. Defaults to `10`.
            modality: string. `"video"`, `"audio"` or `"both"`: what windows are
                compared by. Defaults to `None`: audio for a query of video, both for a
                query of both, video otherwise.
            short_clips: string. Rule for queries shorter than a clip, see
                `embed_folder`. Defaults to `None`, the rule of the index.
            approximate: bool. Whether the approximate index is searched, which may miss
                windows, see `recall`; scores are exact. Defaults to `False`, an exact
                search of all windows.

        Returns:
            List of `SearchResult`, best first. Windows with equal scores are in the
            order of the index: by path, then by time.

        Raises:
            MediaIndexError: if the index was made by another model, the model can't
                compare such a query, no word of the text is known to the model, the
                audio is silent, or there is no approximate index.
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
        return self.search_vector(vector, names, top_k, approximate)

    def search_vector(
        self,
        vector: np.ndarray,
        matrix: str | tuple[str, ...],
        top_k: int = 10,
        approximate: bool = False,
    ) -> list[SearchResult]:
        """Returns the windows whose embedding has the largest cosine with a vector.

        Args:
            vector: array `(dim,)` of any length.
            matrix: string, the embeddings that it is compared with: `"video_to_text"`,
                `"video_to_audio"` or `"audio_to_video"`; or a tuple of one of video
                and one of audio, whose mean it is compared with, see `search`.
            top_k: int. Maximum number of results. Defaults to `10`.
            approximate: bool, see `search`. Defaults to `False`.

        Returns:
            List of `SearchResult`, see `search`.

        Raises:
            MediaIndexError: if the index has embeddings of another width, or no
                approximate index.
        """
        if top_k < 1:
            raise MediaIndexError(f"`top_k` must be positive. Received: {top_k}")
        column = column_of((matrix,) if isinstance(matrix, str) else matrix)
        vector = unit_rows(np.asarray(vector)[np.newaxis])[0].astype(np.float64)
        probes = self._probes(column) if approximate else None
        row_ids, scores = self._store.nearest(column, vector, top_k, probes)
        numbers = self._windows.numbers(row_ids)
        order = np.lexsort((numbers, -scores))[:top_k]
        return [
            self._result(int(numbers[place]), float(scores[place]), column)
            for place in order
        ]

    def _probes(self, column):
        if self._approximate is None:
            raise MediaIndexError(
                "The index has no approximate index: run `keras-vatt embed` again with "
                "`--approximate` (`approximate=True` of `embed_folder`)."
            )
        entry = self._approximate.get(column)
        return None if entry is None else entry["probes"]

    def check_model(self, model: VATT) -> None:
        """Refuses a model that didn't make the index.

        Raises:
            MediaIndexError: if the model has other weights or other clips.
        """
        if self._known_model is not None and self._known_model() is model:
            return
        if getattr(model, "preprocessor", None) is None:
            raise MediaIndexError("`model` has no preprocessor, which queries need.")
        identity = model_identity(model)
        if any(self._identity.get(key) != value for key, value in identity.items()):
            raise MediaIndexError(
                "The index was made with another model than the one that was passed. "
                f"Pass {self.named_preset or 'a model without a name'!r}, with the "
                "weights that it had then."
            )
        self._known_model = weakref.ref(model)

    def _result(self, number, score, column):
        window = self.window(number)
        found_by = [m for m in EMBEDDINGS[column] if self._windows.has(m)[number]]
        modality = found_by[0] if len(found_by) == 1 else "both"
        return SearchResult(
            window.file.path, window.start, window.end, score, modality, number
        )

    def _named_folder(self, header):
        """Returns the folder of the media that an index names, if it may be opened."""
        if self._store.folder is None:
            return header["folder"] if self._is_own else None
        root = pathlib.Path(os.path.realpath(self._store.folder))
        named = os.path.normpath(root / header["folder"])
        try:
            is_inside = pathlib.Path(os.path.realpath(named)).is_relative_to(root)
        except (OSError, ValueError):  # A null byte, or a loop of links.
            return None
        return named if is_inside or self._is_own else None
