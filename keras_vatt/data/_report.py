"""What was wrong with a corpus, and what was done about it."""

import collections
import dataclasses
import enum
import json
import pathlib

from keras_vatt._files import atomic_write
from keras_vatt._printable import printable_line


class Problem(enum.StrEnum):
    """What can be wrong with a file, a clip or a row of a manifest."""

    MISSING = "missing"
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
    def consequence(self):
        """Returns what happens to the clip: skipped, repeated, or a modality masked.

        A file that is ignored is none of the corpus in the first place.
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
        where: str, the file, and the line or the seconds within it.
        reason: str, what exactly is wrong.
        split: str, the split that it belongs to, such as `"test"`; `None` where that
            is unknown. Defaults to `None`.
    """

    problem: Problem
    where: str
    reason: str
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class CorpusReport:
    """How many clips of a corpus are used, and every problem by name.

    Printing a report gives a summary; `findings` has everything.

    Args:
        used: int, the clips that remain.
        findings: Tuple of `Finding`, in the order in which they were found.
        used_by_split: dict from the name of a split to its clips that remain. Defaults
            to `None`, for a corpus without splits.

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
    def of_splits(cls, findings, reports):
        """Makes one report of the reports of several splits.

        Args:
            findings: list of `Finding` of the corpus as a whole.
            reports: dict from the name of a split to its `CorpusReport`.

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

    def count(self, problem):
        """Return how many findings there are of one `Problem`."""
        return self.counts.get(Problem(problem), 0)

    @property
    def counts(self):
        """Findings per problem, a dict that leaves out problems never found."""
        return dict(collections.Counter(finding.problem for finding in self.findings))

    def __str__(self):
        lines = [f"clips used: {self.used}"]
        if self.used_by_split:
            parts = (f"{count} {name}" for name, count in self.used_by_split.items())
            lines = [f"{lines[0]} ({', '.join(parts)})"]
        for problem, count in self.counts.items():
            lines.append(f"{problem} ({problem.consequence}): {count}")
            lines.extend(_examples_of(problem, self.findings))
        return "\n".join(lines)

    def to_dict(self):
        """Return the report as a dict of JSON types."""
        counts = {str(problem): count for problem, count in self.counts.items()}
        splits = {} if self.used_by_split is None else {"splits": self.used_by_split}
        findings = [_to_row(finding) for finding in self.findings]
        return {"used": self.used, **splits, "counts": counts, "findings": findings}

    @classmethod
    def from_dict(cls, data):
        """Make a report from what `to_dict` returned."""
        findings = (
            Finding(
                Problem(row["problem"]), row["where"], row["reason"], row.get("split")
            )
            for row in data["findings"]
        )
        return cls(data["used"], tuple(findings), data.get("splits"))

    def save(self, path):
        """Write the whole report to a JSON file.

        Args:
            path: str or path of the file.
        """
        text = json.dumps(self.to_dict(), indent=2)
        with atomic_write(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Read a report that `save` wrote.

        Args:
            path: str or path of the file.

        Returns:
            A `CorpusReport`.
        """
        return cls.from_dict(json.loads(pathlib.Path(path).read_text("utf-8")))


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
