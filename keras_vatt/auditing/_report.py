"""Writes the report of an audit: a table, and a JSON file with all numbers."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib

import numpy as np

from keras_vatt._files import atomic_write, write_json
from keras_vatt._printable import printable_line
from keras_vatt.auditing._ranking import MEASURES, AuditedClip
from keras_vatt.auditing._settings import RANKED_BY, AuditSettings
from keras_vatt.data._report import CorpusReport
from keras_vatt.inference._versions import package_versions

TABLE, REPORT, DATA_REPORT = "audit.csv", "audit.json", "data_report.json"
_QUANTILES = (0.05, 0.5, 0.95)
# Settings that do not change a number.
_NOT_FACTS = {"progress", "num_workers", "output"}


@dataclasses.dataclass(frozen=True)
class AuditResult:
    """The result of `audit`.

    Args:
        clips: list of `AuditedClip`, the worst first. Clips without the measure of the
            ranking come last.
        counts: dict of ints: clips with `"video_audio_and_text"`, with `"video_audio"`
            alone, with `"video_text"` alone, `"not_measured"`, which have neither audio
            nor a caption, and `"dropped"`.
        num_negatives: dict from `"audio"` and `"text"` to int. Number of other clips
            that each clip was contrasted with.
        auroc: dict. Agreement with the ground truth in the manifest: from the pair that
            is misaligned and a measure to the area under the ROC curve. `None` if the
            manifest has none.
        data_report: `keras_vatt.data.CorpusReport`, the clips that could not be used.
    """

    clips: list[AuditedClip]
    counts: dict[str, int]
    num_negatives: dict[str, int]
    auroc: dict | None
    data_report: CorpusReport

    @property
    def ranked(self) -> list[AuditedClip]:
        """The clips with a rank, the worst first."""
        return [clip for clip in self.clips if clip.rank is not None]

    def to_dict(self, settings: AuditSettings) -> dict:
        """Returns the report as a dict of JSON types.

        Args:
            settings: `AuditSettings` of the audit.
        """
        values = dataclasses.asdict(settings)
        return {
            "settings": {
                n: _plain(v) for n, v in values.items() if n not in _NOT_FACTS
            },
            "versions": package_versions(),
            "counts": self.counts,
            "negatives": self.num_negatives,
            "problems": {str(p): n for p, n in self.data_report.counts.items()},
            "summary": {name: _summary(self.clips, name) for name in MEASURES},
            "auroc": self.auroc,
            "clips": [_row(clip) for clip in self.clips],
        }

    def scope(self, settings: AuditSettings) -> list[str]:
        """Returns lines with the numbers of clips with a rank and of unusable ones.

        Args:
            settings: `AuditSettings` of the audit.
        """
        measure = RANKED_BY[settings.by].replace("_", " ")
        lines = [f"{len(self.ranked)} of {len(self.clips)} clips ranked by {measure}"]
        unusable = {
            problem: count
            for problem, count in self.data_report.counts.items()
            if problem.consequence == "skipped"
        }
        if unusable:
            parts = ", ".join(
                f"{count} {problem}" for problem, count in unusable.items()
            )
            total = sum(unusable.values())
            lines.append(f"{total} could not be used ({parts}), see {DATA_REPORT}")
        return lines

    def summary(self, settings: AuditSettings, num_worst: int = 5) -> str:
        """Returns the counts, the areas and the worst clips as lines of text.

        Args:
            settings: `AuditSettings` of the audit.
            num_worst: int. Number of clips to name. Defaults to `5`.
        """
        lines = [f"{n.replace('_', ' ')}: {count}" for n, count in self.counts.items()]
        lines += self.scope(settings)
        for pair, areas in (self.auroc or {}).items():
            shown = ", ".join(map(_area, areas, areas.values()))
            lines.append(f"AUROC, {pair.replace('_', ' ')} misaligned: {shown}")
        measure = RANKED_BY[settings.by]
        lines += ["", f"worst by {measure.replace('_', ' ')}:"]
        for clip in self.ranked[:num_worst]:
            value = getattr(clip, measure)
            place = printable_line(f"{clip.segment}: {clip.segment.caption}")
            lines.append(f"  {value:8.3f}  {place}")
        return "\n".join(lines)


def write_report(
    folder: pathlib.Path, result: AuditResult, settings: AuditSettings
) -> None:
    """Writes `audit.csv`, `audit.json` and `data_report.json`, atomically.

    Args:
        folder: `pathlib.Path`.
        result: `AuditResult`.
        settings: `AuditSettings`.
    """
    result.data_report.save(folder / DATA_REPORT)
    # File names may have bytes that are not UTF-8.
    encoding = {"encoding": "utf-8", "errors": "surrogateescape"}
    with (
        atomic_write(folder / TABLE) as partial,
        partial.open("w", newline="", **encoding) as file,
    ):
        names = ["rank", "path", "start", "end", "caption", *MEASURES]
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows(map(_row, result.clips))
    write_json(folder / REPORT, result.to_dict(settings), indent=1)


def _area(measure, area):
    numbers = f"{area['misaligned']} of {area['clips']} clips"
    return f"{measure.replace('_', ' ')} {area['auroc']:.3f} ({numbers})"


def _row(clip):
    segment = clip.segment
    return {
        "rank": clip.rank,
        "path": str(segment.path),
        "start": segment.start,
        "end": segment.end,
        "caption": segment.caption,
        **clip.measures(),
    }


def _summary(clips, name):
    values = [getattr(clip, name) for clip in clips]
    values = np.array([value for value in values if value is not None])
    if not len(values):
        return {"clips": 0}
    quantiles = np.quantile(values, _QUANTILES).tolist()
    named = zip(_QUANTILES, quantiles, strict=True)
    return {
        "clips": len(values),
        "mean": float(values.mean()),
        **{f"quantile_{q:.2f}": value for q, value in named},
    }


def _plain(value):
    return os.fspath(value) if isinstance(value, os.PathLike) else value
