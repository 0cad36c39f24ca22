"""Embedding a folder of media into an index."""

from __future__ import annotations

import dataclasses
import os
import typing

from keras_vatt._choices import check_choice
from keras_vatt.data._report import CorpusReport
from keras_vatt.data.decoding._file_errors import check_on_error
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._cluster import embed_on_cluster
from keras_vatt.inference._common_spaces import common_spaces
from keras_vatt.inference._pipeline import embed
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._locations import open_store
from keras_vatt.search._media_files import find_media
from keras_vatt.search._model_identity import model_identity
from keras_vatt.search._unit_rows import unit_rows
from keras_vatt.search._windows import DecodingRules, WindowReader

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT


def embed_folder(
    model: VATT,
    folder: str | os.PathLike,
    output: str | os.PathLike,
    preset: str | None = None,
    window_seconds: float | None = None,
    batch_size: int = 32,
    num_workers: int | None = None,
    progress: bool = True,
    short_clips: str = "repeat",
    on_error: str = "skip",
    allow_outside: bool = False,
    approximate: bool = False,
    engine: str = "local",
    address: str | None = None,
) -> CorpusReport:
    """Embeds the video and audio files of a folder, so that they can be searched.

    Every video or audio file under the folder is cut into equal windows of about
    `window_seconds`. The clip in the middle of each window is embedded: into `to_text`
    and `to_audio` if it has video, into `to_video` if it has audio that is not silent.
    Two batches of decoded clips are in memory at most.

    The index is a LanceDB database in a local folder or in an object store
    (`pip install "keras-vatt[search]"`). Its table `windows` has a row per window,
    which pandas can read:

    | column | type | content |
    |---|---|---|
    | `path` | string | file, relative to the folder |
    | `start`, `end` | float | seconds after the start of the file |
    | `size`, `modified` | int | bytes of the file; nanoseconds of its last change |
    | `has_video`, `has_audio` | bool | whether the window can be found by it |
    | `findings` | list | `problem` and `reason` of each problem of the window |
    | `video_to_text`, `video_to_audio`, `audio_to_video` | vector | unit vectors |
    | `both` | vector | normalized mean of the vectors of video and audio |

    Windows are written in atomic commits of a few hundred. After an interruption, even
    by `kill -9`, the same call resumes the run and gives the same index. After files
    were added, changed or removed, it embeds only the new ones. Files that can't be
    decoded are skipped, and the report names them.

    Args:
        model: `keras_vatt.VATT` with a preprocessor.
        folder: string or path.
        output: string or path. Folder of the index, or its URI in an object store,
            such as `"s3://bucket/index"`, `"gs://bucket/index"` or
            `"az://container/index"`. LanceDB takes the credentials from the
            environment.
        preset: string. Name by which the model can be loaded again; it is stored in
            the index. Defaults to `None`, no name.
        window_seconds: float. Windows shorter than the model's clip have clips that
            overlap; longer ones leave out some of the media. Defaults to `None`, the
            length of the clip.
        batch_size: int. Number of windows per batch. Defaults to `32`.
        num_workers: int. Number of threads that decode files. Defaults to `None`, the
            number of processors.
        progress: bool. Whether a progress bar is shown. Defaults to `True`.
        short_clips: string. Rule for files that are shorter than a clip: `"repeat"`
            starts again from the beginning, `"pad"` appends black frames and silence,
            `"error"` skips the file. The report counts such files. Defaults to
            `"repeat"`.
        on_error: string. `"skip"` skips a file that can't be decoded and names it in
            the report, `"raise"` raises its error. Defaults to `"skip"`.
        allow_outside: bool. Whether links to files and folders outside of the folder
            are followed. If not, they are ignored, and named in the report. Defaults
            to `False`.
        approximate: bool. Whether approximate indexes are built, for
            `MediaIndex.search(approximate=True)`. Their recall is measured, see
            `MediaIndex.recall`. With fewer than 4,096 windows, none is built. Defaults
            to `False`, which also removes those that the index has.
        engine: string. `"local"`, or `"ray"` to decode and encode on a cluster with Ray
            Data (`pip install "keras-vatt[ray]"`): the index is the same, up to the
            rounding of other numbers of threads. The nodes see the folder and the
            preset under the same names; this process writes the index. Defaults to
            `"local"`.
        address: string. Address of the Ray cluster. Defaults to `None`, one on this
            machine.

    Returns:
        `keras_vatt.data.CorpusReport`: `used` counts the windows that can be found,
        and `findings` name each file that is skipped, in whole or in part, that is
        shorter than a clip, or that is ignored. `read_report` reads it again.

    Raises:
        MediaIndexError: if LanceDB is not installed, the folder is missing or has no
            media, the index has another model, other windows or another rule for short
            clips, or the model computes numbers that are not finite.
        ValueError: if `short_clips`, `on_error` or `engine` is unknown.
        keras_vatt.data.MediaError: with `on_error="raise"`, for the first file that
            can't be decoded.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus
    from keras_vatt.search import MediaIndex, embed_folder

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=8, progress=False)
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    print(embed_folder(model, corpus, "demo-index", preset="vatt_tiny_agnostic"))
    MediaIndex.load("demo-index").search(model, text="a red star moving left")
    ```
    """
    _check_model(model)
    check_short_clips(short_clips)
    check_on_error(on_error)
    check_choice("engine", engine, ("local", "ray"))
    if engine == "ray" and preset is None:
        raise MediaIndexError('The engine "ray" needs a `preset` for its workers.')
    if batch_size < 1:
        raise MediaIndexError(f"`batch_size` must be positive. Received: {batch_size}")
    seconds = _checked_seconds(window_seconds, model.preprocessor.clip_spec)
    store = open_store(output)
    store.check_free()
    files, ignored = find_media(folder, allow_outside)
    if not files:
        raise MediaIndexError(_no_media(folder, ignored))
    header = {
        "model": {"preset": preset} | model_identity(model),
        "window_seconds": seconds,
        "short_clips": short_clips,
        "folder": store.relative_path(folder),
    }
    if allow_outside:
        header["allow_outside"] = True
    from keras_vatt.search._index_run import IndexRun  # It needs LanceDB.

    run = IndexRun(store, header, _fused_embeddings(model), batch_size)
    rules = DecodingRules(short_clips, on_error, allow_outside)
    spec, modalities = model.preprocessor.clip_spec, model.backbone.modalities
    reader = WindowReader(folder, spec, modalities, rules)
    windows, unreadable = reader.cut(files, seconds, num_workers)
    if engine == "ray":
        embed_on_cluster(
            windows,
            _ClusterWorker(
                preset, model_identity(model), os.path.realpath(folder), rules
            ),
            run,
            batch_size=batch_size,
            on_error=on_error,
            progress=progress,
            unit="window",
            address=address,
        )
    else:
        embed(
            windows,
            reader.decode,
            _encoder_of(model),
            run,
            batch_size=batch_size,
            num_workers=num_workers,
            on_error=on_error,
            progress=progress,
            unit="window",
        )
    return run.finish(windows, [*ignored, *unreadable], approximate)


@dataclasses.dataclass(frozen=True)
class _ClusterWorker:
    """Makes the decoder and the encoder of a worker of a cluster."""

    preset: str
    identity: dict
    folder: str
    rules: DecodingRules

    def __call__(self):
        from keras_vatt.models import VATT

        model = VATT.from_preset(self.preset)
        if self.identity != model_identity(model):
            raise MediaIndexError(
                f"The preset {self.preset!r} has other weights on a node of the "
                "cluster than here."
            )
        spec, modalities = model.preprocessor.clip_spec, model.backbone.modalities
        reader = WindowReader(self.folder, spec, modalities, self.rules)
        return reader.decode, _encoder_of(model)


def _encoder_of(model):
    """Returns a function from a batch of clips to unit vectors by name."""

    def encode(modality, batch):
        outputs = model.encode(**{modality: batch}, batch_size=len(batch))[modality]
        return {
            name: unit_rows(rows)
            for name, rows in outputs.items()
            if name.startswith("to_")
        }

    return encode


def _fused_embeddings(model):
    """Returns the names of the embeddings whose mean is compared, if there are any."""
    for space in common_spaces(model).values():
        if {"video", "audio"} <= set(space):
            return tuple(f"{name}_{space[name]}" for name in ("video", "audio"))
    return ()


def read_report(output: str | os.PathLike) -> CorpusReport:
    """Reads the report of the last run that completed an index.

    Args:
        output: string or path. Folder or URI of the index.

    Returns:
        `keras_vatt.data.CorpusReport`.

    Raises:
        MediaIndexError: if there is no index, or it was never completed.
    """
    report = open_store(output).read_header().get("report")
    if report is None:
        raise MediaIndexError(
            f"The index {os.fspath(output)!r} has no report: the run that makes it was "
            "interrupted. Run `keras-vatt embed` again."
        )
    try:
        return CorpusReport.from_dict(report)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise MediaIndexError(
            f"The report of the index {os.fspath(output)!r} can't be read: {error}"
        ) from error


def _check_model(model):
    if getattr(model, "preprocessor", None) is None or not hasattr(model, "encode"):
        raise MediaIndexError(
            "`model` must be a `keras_vatt.VATT` with a preprocessor, which defines "
            "the clip. Load one with `from_preset`, or pass `preprocessor`."
        )
    if not {"video", "audio"} & set(model.backbone.modalities):
        raise MediaIndexError("`model` has neither a video nor an audio input.")


def _checked_seconds(window_seconds, spec):
    seconds = spec.duration if window_seconds is None else float(window_seconds)
    if not 0 < seconds < float("inf"):
        raise MediaIndexError(
            f"`window_seconds` must be more than 0 seconds. Received: {seconds:g}"
        )
    return seconds


def _no_media(folder, ignored):
    text = f"There is no video or audio file in {str(folder)!r}."
    if ignored:
        text += f" {len(ignored)} ignored: {ignored[0].where!r} {ignored[0].reason}."
    return text
