"""Reads corpora of captioned videos: manifests, and folders with subtitles."""

import csv
import dataclasses
import json
import math
import os
from collections.abc import Iterable

from keras_vatt._files import atomic_write
from keras_vatt._remote_files import write_bytes
from keras_vatt.data._caption_files import CaptionFiles
from keras_vatt.data._corpus_folder import (
    find_files,
    outside_reason,
    select_files,
)
from keras_vatt.data._manifest_header import (
    check_header,
    missing_column,
    renamed_columns,
)
from keras_vatt.data._manifest_paths import ManifestPaths
from keras_vatt.data._remote_path import RemotePath, list_remote, to_path
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._subtitles import MAX_SUBTITLE_BYTES
from keras_vatt.data._table_corpus import TableCorpus
from keras_vatt.data.decoding._decode_ahead import decode_ahead
from keras_vatt.data.decoding._media_segment import MediaSegment

MANIFEST_NAMES = ("manifest.jsonl", "manifest.csv")

_MANIFEST_SUFFIXES = (".jsonl", ".csv")
# Caption files of a remote folder that are read at the same time.
_NUM_READERS = 16

_COLUMNS = ("path", "start", "end", "caption", "split")


@dataclasses.dataclass(frozen=True)
class Segment(MediaSegment):
    """A part of a media file, with its caption.

    Args:
        path: see `keras_vatt.data.MediaSegment`.
        start: see `keras_vatt.data.MediaSegment`.
        end: see `keras_vatt.data.MediaSegment`.
        caption: str, empty for a segment without a caption. Defaults to `""`.
        split: str, such as `"train"`, or `None`. Defaults to `None`.
        extra: dict, all further columns of the segment in the manifest.
    """

    caption: str = ""
    split: str | None = None
    extra: dict = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self):
        if self.start is None and self.end is None:
            return str(self.path)
        end = "the end" if self.end is None else f"{self.end:.2f} s"
        return f"{self.path} from {self.start or 0.0:.2f} s to {end}"


def read_corpus(
    source: str | os.PathLike[str],
    allow_outside: bool = False,
    caption_language: str = "en",
    max_subtitle_bytes: int = MAX_SUBTITLE_BYTES,
) -> tuple[list[Segment], list[Finding]]:
    """Reads the segments of a corpus from a manifest or a folder.

    They may be on disk, or in a store: `"s3://bucket/videos"`,
    `"gs://bucket/manifest.jsonl"`, `"hf://datasets/owner/name/videos"`. `s3://` needs
    `pip install "keras-vatt[s3]"`, and `gs://` needs `keras-vatt[gcs]`. The paths of
    segments are then URLs, whose media are read in parts when they are decoded. The
    folder is listed once.

    A manifest has one row per segment: `path` (relative to the manifest), `start` and
    `end` in seconds, `caption`, `split`; only `path` is required, and further columns
    are kept in `Segment.extra`. It is JSON Lines (`.jsonl`, one object per line) or CSV
    (`.csv`, with a header), in UTF-8.

    If a folder has a `manifest.jsonl` or `manifest.csv`, that is read. Otherwise the
    corpus has every video of the folder tree, in alphabetical order, with the captions
    next to it:

    | captions of `talk.mp4` | format |
    |---|---|
    | `talk.vtt`, `talk.srt` | WebVTT or SubRip; its cues are the segments |
    | `talk.en.vtt`, `talk.en-US.srt`, `talk.mp4.vtt` | the same, as yt-dlp names them |
    | `talk.csv` | a table with the columns `start`, `end` and `text` |
    | `caption.json` | HowTo100M's captions of all videos, by their ids |

    Of these, the first that can be read is used. Of several languages,
    `caption_language` comes first, then its regional variants, then a file without a
    language, then the others in alphabetical order; the findings name the files that
    are not read. A video without captions is a single segment.

    A folder tree with tables of labeled segments has these segments instead:

    | tables | segments |
    |---|---|
    | `class_labels_indices.csv`, and any of `balanced_train_segments.csv`, | AudioSet |
    | `unbalanced_train_segments.csv` and `eval_segments.csv` | |
    | `vocabulary.csv`, and tables with the columns `Class,Segments` | YouTube-8M |

    Their videos are named `ID`, `Y<ID>`, `<ID>_<start>` or `<ID>_<start>_<end>`, in
    seconds or milliseconds. A file without times in its name is opened, and cut to the
    segment if it is longer. `Segment.extra["labels"]` has the names of the classes;
    they are no captions. The files of AudioSet and the vocabulary of YouTube-8M are
    official. The columns `Class,Segments` are those of submissions to the YouTube-8M
    challenge of 2019: the index of a class, and `ID:start ID:start ...`, each of 5
    seconds. A table whose name has a word that begins with `eval`, `test` or `valid` is
    the split `"test"`, others are `"train"`; this, like the names of media, is a
    convention of this library. The list of videos `HowTo100M_v1.csv` is not used.

    Rows and files that can't be read, and media files that are not read (audio, formats
    that are not supported, links that lead out of the folder), are skipped and
    reported. Hidden files and folders are skipped silently.

    Args:
        source: str, path or URL of a manifest or of a folder.
        allow_outside: bool, whether files may lie outside the folder of the corpus:
            absolute paths, URLs, paths through `..`, links to other places. Only for
            corpora that you trust. URLs of other folders are not checked until they are
            decoded. Defaults to `False`.
        caption_language: str, language tag of the preferred captions. Defaults to
            `"en"`.
        max_subtitle_bytes: int, size of the largest caption file of one video that is
            read. Defaults to 16 MiB.

    Returns:
        Tuple of a list of `Segment` and of a list of `keras_vatt.data.Finding`, the
        problems found.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        OSError: If a store can't be reached, or refuses to answer. Files that can't be
            read later on are findings.
        ValueError: If a row of a manifest leads out of its folder and `allow_outside`
            is `False`, if a CSV manifest has no `path` column, or if the suffix of a
            manifest is unknown.

    Example:
    ```python
    import pathlib
    from keras_vatt.data import make_demo_corpus, read_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    segments, findings = read_corpus(corpus)
    train = [segment for segment in segments if segment.split == "train"]
    ```
    """
    source = to_path(source)
    if isinstance(source, RemotePath):
        files, manifest = _find_remote(source)
    else:
        files, manifest = (), _find_manifest(source)
    if manifest is not None:
        return _read_manifest(manifest, files, allow_outside)
    if isinstance(source, RemotePath):
        content = select_files(source, files)
    else:
        content = find_files(source, allow_outside)
    tables = TableCorpus(content)
    if tables.rows or tables.findings:
        return _read_tables(tables, content)
    return _read_folder(source, content, caption_language, max_subtitle_bytes)


def write_manifest(path: str | os.PathLike[str], segments: Iterable[Segment]) -> None:
    """Writes segments to a manifest that `read_corpus` reads.

    The write is atomic.

    Args:
        path: str, path or URL of the manifest, ending in `.jsonl`. Files in its folder
            are written with relative paths. To read the URLs or paths of others,
            `read_corpus` needs `allow_outside=True`.
        segments: Iterable of `Segment`.

    Raises:
        ValueError: If the path does not end in `.jsonl`.

    Example:
    ```python
    from keras_vatt.data import Segment, write_manifest

    write_manifest("manifest.jsonl", [Segment("talk.mp4", 1.0, 5.5, "a greeting")])
    ```
    """
    path = to_path(path)
    if path.suffix != ".jsonl":
        raise ValueError(f"`path` must end in `.jsonl`. Received: {path}")
    if not isinstance(path, RemotePath):
        path = path.absolute()
    rows = (json.dumps(_to_row(segment, path.parent)) + "\n" for segment in segments)
    if isinstance(path, RemotePath):
        write_bytes(str(path), "".join(rows).encode())
        return
    with (
        atomic_write(path) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(rows)


def _to_row(segment, folder):
    row = {name: getattr(segment, name) for name in _COLUMNS}
    path = to_path(segment.path)
    if not isinstance(path, RemotePath):
        path = path.absolute()
    if type(path) is type(folder) and path.is_relative_to(folder):
        path = path.relative_to(folder).as_posix()
    row = {name: value for name, value in row.items() if value is not None}
    return row | segment.extra | {"path": str(path)}


def _find_manifest(source):
    """Returns the manifest at a local path or in a folder; `None` if it has none."""
    if source.is_dir():
        manifests = (source / name for name in MANIFEST_NAMES)
        return next((path for path in manifests if path.is_file()), None)
    if not source.is_file():
        raise FileNotFoundError(f"There is no file or folder {str(source)!r}.")
    return source


def _find_remote(source):
    """Returns the files below a URL, and its manifest or `None`."""
    is_manifest = source.suffix in _MANIFEST_SUFFIXES
    files = list(list_remote(source.parent if is_manifest else source))
    if is_manifest or files == [source]:
        return files, source
    manifests = {source / name for name in MANIFEST_NAMES}.intersection(files)
    # The names are in the order of preference, and in reverse alphabetical order.
    return files, max(manifests, default=None)


def _read_manifest(manifest, files, allow_outside):
    segments, findings = [], []
    paths = ManifestPaths(manifest.parent, files)
    for line, row in _rows_of(manifest, findings):
        where = f"{manifest}, line {line}"
        try:
            segment = _to_segment(row)
        except (ValueError, ArithmeticError, RecursionError) as error:
            findings.append(Finding(Problem.MALFORMED, where, str(error)))
            continue
        file = paths.find(segment.path)
        if file.is_outside and not allow_outside:
            raise ValueError(f"{where}: {outside_reason(f'{segment.path!r} leads')}")
        if file.is_missing:
            reason = f"{segment.path} does not exist"
            findings.append(Finding(Problem.MISSING, where, reason, segment.split))
        else:
            segments.append(dataclasses.replace(segment, path=file.path))
    return segments, findings


def _rows_of(manifest, findings):
    """Yields the line number and the content of each row: JSON text, or a dict."""
    if manifest.suffix not in _MANIFEST_SUFFIXES:
        raise ValueError(f"A manifest must end in .jsonl or .csv. Received: {manifest}")
    # Invalid UTF-8 becomes a lone surrogate, which marks the row as malformed.
    with manifest.open(
        encoding="utf-8-sig", errors="surrogateescape", newline=""
    ) as file:
        if manifest.suffix == ".jsonl":
            yield from (
                (line, text) for line, text in enumerate(file, 1) if text.strip()
            )
        else:
            yield from _csv_rows(file, manifest, findings)


def _csv_rows(file, manifest, findings):
    reader = csv.DictReader(file, strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        check_header(header, manifest)
        for reason in renamed_columns(header):
            findings.append(Finding(Problem.IGNORED, str(manifest), reason))
        reader.fieldnames = header
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        # For example an unclosed quote: the ends of the following rows are unknown.
        reason = f"{manifest}, line {reader.line_num}: {error}"
        raise ValueError(reason) from error


def _to_segment(row):
    if isinstance(row, str):
        row = json.loads(row)
    if not isinstance(row, dict):
        raise ValueError("is not an object with a `path`")
    if None in row:
        raise ValueError("has more cells than the header")
    extra = {name: value for name, value in row.items() if name not in _COLUMNS}
    start, end = _seconds(row, "start"), _seconds(row, "end")
    if end is not None and end <= (start or 0.0):
        raise ValueError(f"ends at {end} s, before it starts")
    path = _text(row, "path")
    if not path:
        raise ValueError(missing_column("path", row))
    caption = " ".join(_text(row, "caption").split())
    return Segment(path, start, end, caption, _text(row, "split") or None, extra)


def _text(row, name):
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"`{name}` is not text: {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"`{name}` is not valid UTF-8") from None
    if "\0" in value:
        raise ValueError(f"`{name}` contains a null character")
    return value


def _seconds(row, name):
    value = row.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"`{name}` is not a number of seconds: {value!r}")
    seconds = float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"`{name}` is not a time in seconds: {value!r}")
    return seconds


def _read_tables(tables, content):
    segments = [
        Segment(path, *times, split=split, extra={"labels": labels})
        for path, times, split, labels in tables.segments()
    ]
    return segments, content.findings + tables.findings


def _read_folder(folder, content, caption_language, max_subtitle_bytes):
    captions = CaptionFiles(
        folder,
        content.videos.values(),
        content.captions,
        caption_language,
        max_subtitle_bytes,
    )
    segments, findings = [], []
    cues_of_videos = _read_captions(captions, content.videos.values())
    for path, (cues, problems) in zip(content.videos, cues_of_videos, strict=True):
        segments.extend(Segment(path, cue.start, cue.end, cue.caption) for cue in cues)
        if not cues:
            segments.append(Segment(path))
        findings.extend(problems)
    return segments, content.findings + captions.findings + findings


def _read_captions(captions, videos):
    """Yields the cues and the findings of each video."""
    if any(isinstance(video, RemotePath) for video in videos):
        # Each file takes a request, which is mostly waiting.
        for _, result in decode_ahead(videos, captions.cues_of, _NUM_READERS):
            yield result.result()
    else:
        yield from map(captions.cues_of, videos)
