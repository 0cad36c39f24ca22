"""Problems of the clips of a source, found when it is opened and while decoding."""

from __future__ import annotations

import collections
import dataclasses
import logging
from collections.abc import Callable, Iterable

from keras_vatt._printable import printable_line
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.decoding._file_errors import MediaError

_LOGGER = logging.getLogger(__name__)


class ClipFindings:
    """The problems of the clips of a source.

    Args:
        on_error: str. `"skip"` or `"raise"`, see `ClipSource`.
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self._known = []
        self._found_later = {}
        self._logged = set()

    def __len__(self) -> int:
        """Returns the number of problems that were found while decoding."""
        return len(self._found_later)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Adds problems that were found, and accepted, before the source is opened."""
        self._known.extend(findings)

    def add(self, finding: Finding) -> None:
        """Adds a problem that is found when the source is opened.

        Raises:
            MediaError: If it skips a clip and `on_error` is `"raise"`.
        """
        self._raise_if_wanted(finding)
        self._known.append(finding)

    def found(self, index: int, problem: Problem, where: str, reason: str) -> None:
        """Adds a problem that is found while a clip is decoded, and logs it once.

        Args:
            index: int. Index of the clip.
            problem: `Problem`.
            where: str. The clip, or the file that it shares with others.
            reason: str.
        """
        if (index, problem) in self._found_later:
            return
        finding = Finding(problem, where, reason)
        self._found_later[index, problem] = finding
        if finding in self._logged:
            return
        self._logged.add(finding)
        _LOGGER.warning(
            "%s: %s", problem.consequence, printable_line(f"{where} {reason}")
        )

    def report(self, num_clips: int) -> CorpusReport:
        """Returns the report on a source of `num_clips` clips.

        A problem of a file with several clips is listed once.
        """
        later = self._found_later.copy()
        skipped = {
            index for index, problem in later if problem.consequence == "skipped"
        }
        return CorpusReport(
            num_clips - len(skipped), (*self._known, *dict.fromkeys(later.values()))
        )

    def recall(
        self,
        findings: Iterable[Finding],
        where: Callable[[], Iterable[tuple[int, str]]],
    ) -> None:
        """Adds the problems that an earlier process found while decoding the clips.

        Args:
            findings: Iterable of `Finding`. Those of other clips are ignored.
            where: Function that returns the index and the name of each clip.

        Raises:
            MediaError: If a clip was skipped and `on_error` is `"raise"`.
        """
        known = {(finding.problem, finding.where) for finding in self._known}
        news = [f for f in findings if (f.problem, f.where) not in known]
        if not news:
            return
        names, indices = {f.where for f in news}, collections.defaultdict(list)
        for index, name in where():
            if name in names:
                indices[name].append(index)
        for finding in news:
            finding = dataclasses.replace(finding, split=None)
            for index in indices.get(finding.where, ()):
                self._found_later.setdefault((index, finding.problem), finding)
                self._raise_if_wanted(finding)

    def _raise_if_wanted(self, finding):
        is_skipped = finding.problem.consequence == "skipped"
        if is_skipped and self.on_error == "raise":
            raise MediaError(finding.where, finding.problem, finding.reason)
