"""The `data_report.json` of a run, updated while clips are decoded."""

import math
import time

from keras_vatt._untrusted import read_object
from keras_vatt.data import CorpusReport

DATA_REPORT = "data_report.json"

_MAX_BYTES = 256 * 2**20
_LONG_REPORT, _SECONDS_BETWEEN_LONG_REPORTS = 1000, 60.0


class DataReport:
    """The report on the data of a run: clips used, and problems found.

    Args:
        folder: `pathlib.Path` of the run.
        findings: list of `keras_vatt.data.Finding` from reading the corpus.
        clips: dict from the name of a split to its source of clips.
    """

    def __init__(self, folder, findings, clips):
        self._folder = folder
        self._findings = findings
        self._clips = clips
        # A cache has the findings of all of its clips, so it needs no updates.
        self._sources = {
            split: source
            for split, source in clips.items()
            if hasattr(source, "recall")
        }
        self._num_saved, self._saved_at = 0, -math.inf

    def __str__(self):
        return str(self._report())

    def recall(self):
        """Restores the findings of the run before it was interrupted.

        Raises:
            MediaError: if a clip was skipped and the clip sources raise errors.
            ValueError: if the stored report can't be read.
        """
        stored = read_object(self._folder, DATA_REPORT, ValueError, _MAX_BYTES)
        if stored is None:
            return
        try:
            findings = CorpusReport.from_dict(stored).findings
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{DATA_REPORT} is damaged: {error}") from error
        for split, source in self._sources.items():
            source.recall(f for f in findings if f.split in (split, None))

    def save(self):
        """Writes the report to the folder of the run."""
        self._num_saved, self._saved_at = self._num_found(), time.monotonic()
        self._report().save(self._folder / DATA_REPORT)

    def save_if_new(self):
        """Writes the report if there are new findings since it was written.

        A long one is written once a minute, as it has all findings.
        """
        is_recent = time.monotonic() - self._saved_at < _SECONDS_BETWEEN_LONG_REPORTS
        if self._num_found() > self._num_saved and not (
            is_recent and self._num_saved > _LONG_REPORT
        ):
            self.save()

    def _num_found(self):
        return sum(source.num_found_later for source in self._sources.values())

    def _report(self):
        reports = {split: clips.report for split, clips in self._clips.items()}
        return CorpusReport.of_splits(self._findings, reports)
