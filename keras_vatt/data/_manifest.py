"""Reads corpora of captioned videos: manifests, and folders with subtitles."""

import csv
import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Iterable

from keras_vatt._files import atomic_write
from keras_vatt.data._caption_files import CaptionFiles
from keras_vatt.data._corpus_folder import find_files, leads_outside, outside_reason
from keras_vatt.data._manifest_header import (
    check_header,
    missing_column,
    renamed_columns,
)
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._subtitles import MAX_SUBTITLE_BYTES
from keras_vatt.data.decoding._media_segment import MediaSegment

MANIFEST_NAMES = ("manifest.jsonl", "manifest.csv")

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

    The first that can be read is used. Of several languages, `caption_language` comes
    first, then its regional variants, then a file without a language, then the others
    in alphabetical order; the findings name the files that are not read. A video
    without captions is a single segment.

    Rows and files that can't be read, and media files that are not read (audio, formats
    that are not supported, links that lead out of the folder), are skipped and
    reported. Hidden files and folders are skipped silently.

    Args:
        source: str or path of a manifest or of a folder.
        allow_outside: bool, whether files may lie outside the folder of the corpus:
            absolute paths, paths through `..`, links to other places. Only for
            corpora that you trust. Defaults to `False`.
        caption_language: str, language tag of the preferred captions. Defaults to
            `"en"`.
        max_subtitle_bytes: int, size of the largest caption file of one video that is
            read. Defaults to 16 MiB.

    Returns:
        Tuple of a list of `Segment` and of a list of `keras_vatt.data.Finding`, the
        problems found.

    Raises:
        FileNotFoundError: If there is no such file or folder.
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
    source = pathlib.Path(source)
    if source.is_dir():
        manifests = [source / name for name in MANIFEST_NAMES]
        manifest = next(filter(pathlib.Path.is_file, manifests), None)
        if manifest is None:
            return _read_folder(
                source, allow_outside, caption_language, max_subtitle_bytes
            )
        source = manifest
    if not source.is_file():
        raise FileNotFoundError(f"There is no file or folder {str(source)!r}.")
    return _read_manifest(source, allow_outside)


def write_manifest(path: str | os.PathLike[str], segments: Iterable[Segment]) -> None:
    """Writes segments to a manifest that `read_corpus` reads.

    The write is atomic.

    Args:
        path: str or path of the manifest, ending in `.jsonl`. Files in its folder are
            written with relative paths.
        segments: Iterable of `Segment`.

    Raises:
        ValueError: If the path does not end in `.jsonl`.

    Example:
    ```python
    from keras_vatt.data import Segment, write_manifest

    write_manifest("manifest.jsonl", [Segment("talk.mp4", 1.0, 5.5, "a greeting")])
    ```
    """
    path = pathlib.Path(path).absolute()
    if path.suffix != ".jsonl":
        raise ValueError(f"`path` must end in `.jsonl`. Received: {path}")
    with (
        atomic_write(path) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for segment in segments:
            file.write(json.dumps(_to_row(segment, path.parent)) + "\n")


def _to_row(segment, folder):
    row = {name: getattr(segment, name) for name in _COLUMNS}
    path = pathlib.Path(segment.path).absolute()
    if path.is_relative_to(folder):
        row["path"] = path.relative_to(folder).as_posix()
    row = {name: value for name, value in row.items() if value is not None}
    return row | segment.extra


def _read_manifest(manifest, allow_outside):
    segments, findings = [], []
    for line, row in _rows_of(manifest, findings):
        where = f"{manifest}, line {line}"
        try:
            segment = _to_segment(row)
        except (ValueError, ArithmeticError, RecursionError) as error:
            findings.append(Finding(Problem.MALFORMED, where, str(error)))
            continue
        path = manifest.parent / segment.path
        if not allow_outside and leads_outside(manifest.parent, path):
            raise ValueError(f"{where}: {outside_reason(f'{segment.path!r} leads')}")
        if os.path.isfile(path):
            path = os.path.realpath(path)
            segments.append(dataclasses.replace(segment, path=path))
        else:
            reason = f"{segment.path} does not exist"
            findings.append(Finding(Problem.MISSING, where, reason, segment.split))
    return segments, findings


def _rows_of(manifest, findings):
    """Yields the line number and the content of each row: JSON text, or a dict."""
    if manifest.suffix not in (".jsonl", ".csv"):
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


def _read_folder(folder, allow_outside, caption_language, max_subtitle_bytes):
    content = find_files(folder, allow_outside)
    captions = CaptionFiles(
        folder,
        content.videos.values(),
        content.captions,
        caption_language,
        max_subtitle_bytes,
    )
    segments = []
    for path, video in content.videos.items():
        cues = captions.cues_of(video)
        segments.extend(Segment(path, cue.start, cue.end, cue.caption) for cue in cues)
        if not cues:
            segments.append(Segment(path))
    return segments, content.findings + captions.findings
