"""A folder of media to an index, in batches that are kept."""

import json
import pathlib

import numpy as np
import tqdm

from keras_vatt._untrusted import regular_file
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._common_spaces import unit_vectors
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._index_files import (
    REPORT,
    IndexFolder,
    folder_as_seen_from,
    gather,
    is_own,
)
from keras_vatt.search._media_files import find_media
from keras_vatt.search._model_identity import model_identity
from keras_vatt.search._shards import EMBEDDINGS, Shard
from keras_vatt.search._windows import DecodingRules, cut_files, decode_windows

# What a run that is killed may lose: so many windows at most.
_COMMIT_WINDOWS = 512

_MAX_REPORT_BYTES = 256_000_000

# The disk may be there again, or the file have got its rights.
_MAY_BE_MENDED = {Problem.CORRUPT, Problem.MISSING}


def embed_folder(
    model,
    folder,
    output,
    preset=None,
    window_seconds=None,
    batch_size=32,
    threads=None,
    progress=True,
    short_clips="repeat",
    on_error="skip",
    allow_outside=False,
):
    """Embed what is seen and heard in a folder of media, to search it.

    Every file of video or sound under the folder is cut into equal windows of about
    `window_seconds`, and of each window the clip in its middle is embedded: into
    `to_text` and `to_audio` if it can be seen, into `to_video` if it can be heard and
    is no silence. One batch of decoded clips is in memory at a time.

    What is done is written every few hundred windows. A run that was interrupted is
    gone on with by the same call, and gives the same index. So does a later run after
    files were added, changed or removed: only the new ones are embedded. What can't be
    decoded, whatever the reason, is left out and named in the report.

    The vectors of video and audio are kept apart. `MediaIndex.search` compares with one
    of them or with both.

    Args:
        model: `keras_vatt.VATT` with a preprocessor.
        folder: string or path.
        output: string or path of the index, a folder.
        preset: string. The name by which the model can be loaded again, which the
            index keeps. Defaults to `None`, none.
        window_seconds: float. Shorter than the model's clip it makes windows whose
            clips overlap, longer it leaves out some of the media. Defaults to `None`,
            the clip's own length.
        batch_size: int. Defaults to `32`.
        threads: int. Files that are decoded at a time. Defaults to `None`, as many as
            there are processors, and a few more.
        progress: bool. Whether a progress bar is shown. Defaults to `True`.
        short_clips: string. What is done with a file that is shorter than a clip:
            `"repeat"` starts over from its beginning, `"pad"` appends black frames and
            silence, `"error"` leaves it out. The report counts such files. Defaults to
            `"repeat"`.
        on_error: string. `"skip"` names a file that can't be decoded in the report and
            continues, `"raise"` raises its error. Defaults to `"skip"`.
        allow_outside: bool. Whether links to files and folders outside of the folder
            are followed. Otherwise they are ignored, and named in the report. Defaults
            to `False`.

    Returns:
        `keras_vatt.data.CorpusReport`: `used` counts the windows that can be found,
        and `findings` name each file that can't be, in whole or in part, that is
        shorter than a clip, or that is ignored. It is also in `report.json` of the
        index.

    Raises:
        MediaIndexError: if there is no such folder or nothing in it, if the index is
            of another model, other windows or another rule for short clips, or the
            model gives no finite numbers.
        ValueError: if `short_clips` or `on_error` is none of the above.
        keras_vatt.data.MediaError: with `on_error="raise"`, of the first file that
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
    if on_error not in ("skip", "raise"):
        raise ValueError(
            f"`on_error` must be 'skip' or 'raise'. Received: on_error={on_error!r}"
        )
    if batch_size < 1:
        raise MediaIndexError(f"The batch size must be positive, not {batch_size}.")
    spec = model.preprocessor.clip_spec
    seconds = spec.duration if window_seconds is None else float(window_seconds)
    if not 0 < seconds < float("inf"):
        raise MediaIndexError(f"Windows last more than 0 seconds, not {seconds:g}.")
    index = IndexFolder(output)
    index.check_free()
    files, ignored = find_media(folder, allow_outside)
    if not files:
        raise MediaIndexError(_nothing_in(folder, ignored))
    header = {
        "complete": False,
        "model": {"preset": preset} | model_identity(model),
        "window_seconds": seconds,
        "short_clips": short_clips,
        "folder": folder_as_seen_from(output, folder),
        "shards": [],
    }
    if allow_outside:
        header["allow_outside"] = True
    if index.exists():
        header |= _state_of(index, header)
    rules = DecodingRules(short_clips, on_error, allow_outside)
    infos = {}
    windows, unreadable = cut_files(files, folder, seconds, threads, rules, infos)
    writer = _Writer(index, header)
    known = writer.known_windows()
    missing = [window for window in windows if window not in known]
    encoder = _Encoder(model, folder, batch_size, threads, rules, infos)
    with tqdm.tqdm(
        total=len(windows),
        initial=len(windows) - len(missing),
        unit="window",
        disable=not progress,
    ) as bar:
        try:
            for first in range(0, len(missing), batch_size):
                batch = missing[first : first + batch_size]
                writer.add(encoder.encode(batch))
                bar.update(len(batch))
        finally:
            # Only whole batches are kept: those of the next run are then the same.
            writer.commit()
    shards = writer.finish(windows)
    report = _report(shards, (*ignored, *unreadable))
    report.save(index.path / REPORT)
    return report


class _Encoder:
    """Decodes a batch of windows and lets the model embed it."""

    def __init__(self, model, folder, batch_size, threads, rules, infos):
        self._model = model
        self._folder = folder
        self._batch_size = batch_size
        self._threads = threads
        self._rules = rules
        self._infos = infos

    def encode(self, windows):
        decoded = decode_windows(
            windows,
            self._folder,
            self._model.preprocessor.clip_spec,
            self._model.backbone.modalities,
            self._threads,
            self._rules,
            self._infos,
        )
        clips = {
            "video": {i: d.frames for i, d in enumerate(decoded)},
            "audio": {i: d.waveform for i, d in enumerate(decoded)},
        }
        rows, matrices = {}, {}
        for modality, given in clips.items():
            given = {i: clip for i, clip in given.items() if clip is not None}
            rows[modality] = list(given)
            if given:
                matrices |= self._embed(modality, list(given.values()))
        findings = {i: list(d.findings) for i, d in enumerate(decoded) if d.findings}
        return Shard(windows, rows, matrices, findings)

    def _embed(self, modality, clips):
        batch = np.stack(clips)
        if modality == "audio":
            batch = batch[..., np.newaxis]
        # One shape for all batches: it is compiled once.
        empty = np.zeros((self._batch_size - len(batch), *batch.shape[1:]), batch.dtype)
        outputs = self._model.encode(
            **{modality: np.concatenate([batch, empty])}, batch_size=self._batch_size
        )[modality]
        return {
            name: unit_rows(outputs[name.removeprefix(f"{modality}_")][: len(batch)])
            for name in EMBEDDINGS[modality]
            if name.removeprefix(f"{modality}_") in outputs
        }


class _Writer:
    """Collects batches, and writes them every now and then."""

    def __init__(self, index, header):
        self._index = index
        self._header = header
        self._shards = index.read_shards(header)
        self._pending = []

    def known_windows(self):
        """Returns what needs no embedding; a finished index may have some to retry."""
        known = {w for shard in self._shards for w in shard.windows}
        if self._header["complete"]:
            known -= set(self._failed_windows())
        return known

    def _failed_windows(self):
        for shard in self._shards:
            for number, findings in shard.findings.items():
                if {finding.problem for finding in findings} & _MAY_BE_MENDED:
                    yield shard.windows[number]

    def add(self, batch):
        self._pending.append(batch)
        if sum(len(shard.windows) for shard in self._pending) >= _COMMIT_WINDOWS:
            self.commit()

    def finish(self, windows):
        """Write the windows that the folder has now, in their order."""
        stored = [window for shard in self._shards for window in shard.windows]
        if self._header["complete"] and stored == windows:
            old = self._index.read_header()
            is_same = old.get("allow_outside") == self._header.get("allow_outside")
            if not (is_same and is_own(old)):
                self._index.write_header(self._header)  # This user gave the names.
            return self._shards
        names = [
            self._index.write_shard(shard, number)
            for number, shard in enumerate(gather(self._shards, windows))
        ]
        header = self._header | {"shards": names, "complete": True}
        self._index.write_header(header)
        self._index.remove_other_shards(header)
        return self._index.read_shards(header)

    def commit(self):
        """Write the batches that are pending."""
        windows = [window for shard in self._pending for window in shard.windows]
        for shard in gather(self._pending, windows):
            number = len(self._header["shards"])
            name = self._index.write_shard(shard, number)
            shards = [*self._header["shards"], name]
            self._header |= {"shards": shards, "complete": False}
            self._index.write_header(self._header)
            self._shards.append(self._index.read_shard(name))
        self._pending = []


def unit_rows(embeddings):
    """Rows of length 1, of which the product is the cosine; a row of 0 stays.

    Args:
        embeddings: array `(rows, dim)`.

    Returns:
        float32 array of the same shape.

    Raises:
        MediaIndexError: if there are numbers that aren't finite.
    """
    if not np.isfinite(embeddings).all():
        raise MediaIndexError(
            "The model gives embeddings that are not finite: its weights are broken."
        )
    return unit_vectors(embeddings).astype(np.float32)


def _check_model(model):
    if getattr(model, "preprocessor", None) is None or not hasattr(model, "encode"):
        raise MediaIndexError(
            "Media are embedded by a `keras_vatt.VATT` with a preprocessor, which says "
            "what a clip is. Load one by `from_preset`, or give it a `preprocessor`."
        )
    if not {"video", "audio"} & set(model.backbone.modalities):
        raise MediaIndexError("This model neither sees nor hears.")


def _nothing_in(folder, ignored):
    text = f"There is no file of video or sound in {str(folder)!r}."
    if ignored:
        text += f" {len(ignored)} ignored: {ignored[0].where!r} {ignored[0].reason}."
    return text


def _state_of(index, header):
    """What is there already of an index, if this run may go on with it."""
    old = index.read_header()
    same = {key: value for key, value in old["model"].items() if key != "preset"}
    new = {key: value for key, value in header["model"].items() if key != "preset"}
    if same != new:
        raise MediaIndexError(
            f"The index {str(index.path)!r} was made with another model "
            f"({old['model'].get('preset')!r}): their embeddings can't be compared. "
            "Choose another folder for the output, or remove this one."
        )
    for key, what in (("window_seconds", "windows of {} s"), ("folder", "{!r}")):
        if old.get(key) != header[key]:
            raise MediaIndexError(
                f"The index {str(index.path)!r} was made of {what.format(old[key])}, "
                f"not of {what.format(header[key])}: choose another output."
            )
    if old.get("short_clips") != header["short_clips"]:
        raise MediaIndexError(
            f"The index {str(index.path)!r} was made {_rule_of(old)}, not with "
            f"`short_clips={header['short_clips']!r}`: choose another output."
        )
    return {"shards": old["shards"], "complete": old.get("complete") is True}


def _rule_of(header):
    if "short_clips" in header:
        return f"with `short_clips={header['short_clips']!r}`"
    return "by an earlier version, which had no rule for short clips"


def _report(shards, unreadable):
    used = {
        (number, owner)
        for number, shard in enumerate(shards)
        for owners in shard.rows.values()
        for owner in owners
    }
    lost = {}
    for shard in shards:
        for findings in shard.findings.values():
            # One a window, though it may be of both video and audio.
            for finding in {f.problem: f for f in reversed(findings)}.values():
                lost.setdefault((finding.where, finding.problem), []).append(finding)
    partial = [
        Finding(problem, path, _with_count(findings))
        for (path, problem), findings in sorted(lost.items())
    ]
    return CorpusReport(len(used), (*unreadable, *partial))


def _with_count(findings):
    reason = findings[0].reason
    return reason if len(findings) == 1 else f"{reason}; in {len(findings)} windows"


def read_report(output):
    """The report of the last run that made an index.

    Args:
        output: string or path of the index.

    Returns:
        `keras_vatt.data.CorpusReport`.

    Raises:
        MediaIndexError: if it has none.
    """
    path = pathlib.Path(output) / REPORT
    try:
        regular_file(output, REPORT, MediaIndexError, _MAX_REPORT_BYTES)
        return CorpusReport.load(path)
    except (OSError, LookupError, TypeError, json.JSONDecodeError) as error:
        raise MediaIndexError(f"{str(path)!r} can't be read: {error}") from error
