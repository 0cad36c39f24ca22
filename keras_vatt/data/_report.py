"""Reports of the problems of a corpus, and of their consequences."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from keras_vatt._files import write_json
from keras_vatt._printable import printable_line


class Problem(enum.StrEnum):
    """Kinds of problems of a file, a clip or a row of a manifest."""

    MISSING = "missing"
    UNREACHABLE = "unreachable"
    CORRUPT = "corrupt"
    NO_VIDEO = "no_video"
    TOO_SHORT = "too_short"
    MALFORMED = "malformed"
    NO_AUDIO = "no_audio"
    SILENT = "silent"
    NO_CAPTION = "no_caption"
    SHORT = "short"
    IGNORED = "ignored"

    @property
    def consequence(self) -> str:
        """Consequence for the clip: it is skipped or repeated, or a modality is masked.

        A file that is ignored is not a part of the corpus: it is not read.
        """
        if self is Problem.SHORT:
            return "repeated or padded"
        if self in (Problem.NO_AUDIO, Problem.SILENT):
            return "audio masked"
        if self is Problem.NO_CAPTION:
            return "text masked"
        return "not read" if self is Problem.IGNORED else "skipped"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One problem, with the place where it was found.

    Args:
        problem: A `Problem`.
        where: str. The file, and the line or the seconds within it.
        reason: str. Description of the problem.
        split: str. Split of the clip, such as `"test"`. Defaults to `None`, unknown.
    """

    problem: Problem
    where: str
    reason: str
    split: str | None = None

    @classmethod
    def from_dict(cls, row: dict) -> Finding:
        """Creates a finding from a dict of its fields, with or without `split`."""
        problem = Problem(row["problem"])
        return cls(problem, row["where"], row["reason"], row.get("split"))


@dataclasses.dataclass(frozen=True)
class CorpusReport:
    """The number of used clips of a corpus, and all problems that were found.

    Printing a report gives a summary; `findings` has all problems.

    Args:
        used: int. Number of clips that can be used.
        findings: Tuple of `Finding`, in the order in which they were found.
        used_by_split: Dict from the name of a split to the number of its clips that can
            be used. Defaults to `None`, for a corpus without splits.

    Example:
    ```python
    from keras_vatt.data import CorpusReport, Finding, Problem

    report = CorpusReport(2, (Finding(Problem.CORRUPT, "a.mp4", "no index"),))
    print(report)
    report.count(Problem.CORRUPT)  # 1
    report.save("report.json")
    report = CorpusReport.load("report.json")
    ```
    """

    used: int
    findings: tuple[Finding, ...] = ()
    used_by_split: dict[str, int] | None = None

    @classmethod
    def of_splits(
        cls, findings: Iterable[Finding], reports: Mapping[str, CorpusReport]
    ) -> CorpusReport:
        """Merges the reports of several splits.

        Args:
            findings: Iterable of `Finding` about the corpus as a whole.
            reports: Dict from the name of a split to its `CorpusReport`.

        Returns:
            A `CorpusReport`, whose findings name their splits.
        """
        of_splits = (
            dataclasses.replace(finding, split=split)
            for split, report in reports.items()
            for finding in report.findings
        )
        used = {split: report.used for split, report in reports.items()}
        return cls(sum(used.values()), (*findings, *of_splits), used)

    def count(self, problem: Problem | str) -> int:
        """Returns the number of findings of one `Problem`."""
        return self.counts.get(Problem(problem), 0)

    @property
    def counts(self) -> dict[Problem, int]:
        """Number of findings per problem, without problems that were not found."""
        return dict(collections.Counter(finding.problem for finding in self.findings))

    def __str__(self) -> str:
        lines = [f"clips used: {self.used}"]
        if self.used_by_split:
            parts = (f"{count} {name}" for name, count in self.used_by_split.items())
            lines = [f"{lines[0]} ({', '.join(parts)})"]
        for problem, count in self.counts.items():
            lines.append(f"{problem} ({problem.consequence}): {count}")
            lines.extend(_examples_of(problem, self.findings))
        return "\n".join(lines)

    def to_dict(self) -> dict:
        """Returns the report as a dict of JSON types."""
        counts = {str(problem): count for problem, count in self.counts.items()}
        splits = {} if self.used_by_split is None else {"splits": self.used_by_split}
        findings = [_to_row(finding) for finding in self.findings]
        return {"used": self.used, **splits, "counts": counts, "findings": findings}

    @classmethod
    def from_dict(cls, data: dict) -> CorpusReport:
        """Creates a report from the result of `to_dict`."""
        findings = tuple(map(Finding.from_dict, data["findings"]))
        return cls(data["used"], findings, data.get("splits"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the report to a JSON file. The write is atomic.

        Args:
            path: str or path of the file.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CorpusReport:
        """Reads a report that `save` wrote.

        Args:
            path: str or path of the file.

        Returns:
            A `CorpusReport`.
        """
        return cls.from_dict(json.loads(pathlib.Path(path).read_text("utf-8")))


def first_reasons(findings: Sequence[Finding]) -> str:
    """Returns the places and reasons of the first findings in one line."""
    return "; ".join(f"{f.where}: {f.reason}" for f in findings[:3])


def _to_row(finding):
    row = dataclasses.asdict(finding)
    if finding.split is None:
        del row["split"]
    return row


def _examples_of(problem, findings, limit=5):
    found = [finding for finding in findings if finding.problem is problem]
    lines = [
        printable_line(f"  {finding.where}: {finding.reason}")
        for finding in found[:limit]
    ]
    if len(found) > limit:
        lines.append(f"  and {len(found) - limit} more")
    return lines
