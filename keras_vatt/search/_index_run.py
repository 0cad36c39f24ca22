"""One run that makes an index, or brings it up to date."""

from __future__ import annotations

import math

import numpy as np

from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.inference._common_spaces import fuse
from keras_vatt.search._approximate import (
    build_approximate_indexes,
    drop_approximate_indexes,
)
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._store import VectorStore
from keras_vatt.search._store_errors import writing
from keras_vatt.search._stored_windows import EmbeddedWindow, to_table
from keras_vatt.search._windows import Window

# A run that is killed loses about so many windows at most.
COMMIT_WINDOWS = 512

# A later run may succeed: the disk may be back, or the file may be readable again.
_RETRIED = {Problem.CORRUPT, Problem.MISSING}

# Keys of a header that the store adds.
_MARKS = {"format", "version", "signature"}

# Settings that must be the same in a run and in the index that it continues.
_RULES = {
    "window_seconds": "with windows of {} s",
    "folder": "of the folder {!r}",
    "short_clips": "with `short_clips={!r}`",
}


class IndexRun:
    """A store for `keras_vatt.inference`, which writes the windows that are embedded.

    Windows are written in commits of whole batches: an interrupted run that is resumed
    computes the same batches.

    Args:
        store: `VectorStore`.
        header: dict. The model, the folder and the rules of this run.
        fused: tuple of the names of the embeddings of video and of audio whose mean is
            stored too. Defaults to `()`, none.
        batch_size: int. Defaults to `1`.

    Raises:
        MediaIndexError: if there is an index of another model, other windows or other
            rules.
    """

    def __init__(
        self,
        store: VectorStore,
        header: dict,
        fused: tuple[str, ...] = (),
        batch_size: int = 1,
    ):
        self._store = store
        self._header = header
        self._fused = fused
        self._commit_windows = batch_size * math.ceil(COMMIT_WINDOWS / batch_size)
        self._old = store.read_header() if store.exists() else {}
        self._has_begun = False
        self._pending = []
        self._known = set()
        self._retried = np.zeros(0, np.uint64)
        if self._old:
            _check_same(self._old, header, store.location)
            self._read_known()

    def _read_known(self):
        """Reads which windows are done.

        In an index that is complete, those that could not be decoded are tried again.
        """
        stored = self._store.read_windows("findings")
        windows, is_retried = stored.windows(), np.zeros(len(stored), bool)
        if self._old["complete"]:
            is_retried[:] = [
                bool({finding.problem for finding in findings} & _RETRIED)
                for findings in stored.findings()
            ]
        self._retried = stored.row_ids[is_retried]
        pairs = zip(windows, is_retried, strict=True)
        self._known = {window for window, again in pairs if not again}

    def __contains__(self, window: Window) -> bool:
        """Returns whether a window is done."""
        return window in self._known

    def add(
        self,
        window: Window,
        outputs: dict[str, dict[str, np.ndarray]],
        findings: tuple[Finding, ...] = (),
    ) -> None:
        """Keeps the embeddings of a window, which are written with the next commit.

        Args:
            window: `Window`.
            outputs: dict from modality and name to a unit vector of shape `(1, dim)`.
            findings: tuple of `keras_vatt.data.Finding`.
        """
        embeddings = {
            f"{modality}_{name}": rows[0]
            for modality, named in outputs.items()
            for name, rows in named.items()
        }
        parts = [embeddings[name] for name in self._fused if name in embeddings]
        if parts:
            embeddings["both"] = fuse([part[np.newaxis] for part in parts])[0]
        self._pending.append(EmbeddedWindow(window, embeddings, tuple(findings)))
        if len(self._pending) >= self._commit_windows:
            self.flush()

    def flush(self) -> None:
        """Writes the windows that are pending, in one commit."""
        if self._pending:
            self._begin()
            self._store.append(to_table(self._pending))
            self._pending = []

    def finish(
        self, windows: list[Window], findings: list[Finding], approximate: bool
    ) -> CorpusReport:
        """Removes windows that the folder no longer has, and completes the index.

        Args:
            windows: list of all windows of the folder.
            findings: list of `Finding` of files without windows.
            approximate: bool. Whether the index has approximate indexes.

        Returns:
            `CorpusReport`.
        """
        stale = self._stale_rows(set(windows))
        if len(stale):
            self._begin()
            self._store.delete(stale)
        has_changed = self._has_begun or not self._old.get("complete")
        measured = self._old.get("approximate")
        if has_changed or approximate != (measured is not None):
            measured = self._index_vectors(approximate)
        report = _report(self._store.read_windows("findings"), findings)
        header = self._header | {"complete": True, "report": report.to_dict()}
        if measured is not None:
            header["approximate"] = measured
        if self._has_begun or self._is_outdated(header):
            self._store.write_header(header)
        return report

    def _is_outdated(self, header):
        """Returns whether the stored header must be replaced.

        That of another user must: only this user's names are signed by this user.
        """
        old = {key: value for key, value in self._old.items() if key not in _MARKS}
        return old != header or not self._store.is_own(self._old)

    def _begin(self):
        """Marks the index as incomplete before its windows change."""
        if self._has_begun:
            return
        report = {key: self._old[key] for key in ("report",) if key in self._old}
        self._store.write_header(self._header | report | {"complete": False})
        self._has_begun = True
        if len(self._retried):
            self._store.delete(self._retried)

    def _stale_rows(self, windows):
        """Returns the rows of windows that are gone, or that two runs have added."""
        stored = self._store.read_windows()
        seen, stale = set(), []
        for row_id, window in zip(stored.row_ids, stored.windows(), strict=True):
            if window not in windows or window in seen:
                stale.append(row_id)
            seen.add(window)
        return np.asarray(stale, np.uint64)

    def _index_vectors(self, approximate):
        """Builds or drops the approximate indexes; returns their measured recall."""
        if not self._store.has_windows():
            return {} if approximate else None
        self._begin()
        self._store.compact()
        with writing(self._store.location):
            drop_approximate_indexes(self._store.table)
            if not approximate:
                return None
            return build_approximate_indexes(
                self._store.table, self._store.embedding_columns()
            )


def _check_same(old, new, location):
    """Refuses to continue an index that was made otherwise."""
    models = [
        {key: value for key, value in header["model"].items() if key != "preset"}
        for header in (old, new)
    ]
    if models[0] != models[1]:
        raise MediaIndexError(
            f"The index {location!r} was made with another model "
            f"({old['model'].get('preset')!r}): their embeddings can't be compared. "
            "Choose another folder for the output, or remove this one."
        )
    for key, text in _RULES.items():
        if old.get(key) != new[key]:
            raise MediaIndexError(
                f"The index {location!r} was made {text.format(old.get(key))}, not "
                f"{text.format(new[key])}. Choose another output."
            )


def _report(stored, findings):
    used = int((stored.has("video") | stored.has("audio")).sum())
    lost = {}
    for found in stored.findings():
        # One per window, even if it is about both video and audio.
        for finding in {f.problem: f for f in reversed(found)}.values():
            lost.setdefault((finding.where, finding.problem), []).append(finding)
    partial = [
        Finding(problem, path, _with_count(found))
        for (path, problem), found in sorted(lost.items())
    ]
    return CorpusReport(used, (*findings, *partial))


def _with_count(findings):
    reason = findings[0].reason
    return reason if len(findings) == 1 else f"{reason}; in {len(findings)} windows"
