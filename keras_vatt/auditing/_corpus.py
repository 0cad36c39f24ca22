"""The segments of a corpus to audit, and the manifest of those to keep."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection

from keras_vatt.auditing._errors import AuditError
from keras_vatt.auditing._settings import AuditSettings
from keras_vatt.data._manifest import Segment, read_corpus, write_manifest
from keras_vatt.data._report import Finding, first_reasons

KEPT = "kept.jsonl"


@dataclasses.dataclass(frozen=True)
class AuditedCorpus:
    """The segments of a corpus.

    Args:
        segments: list of `Segment`, all of the corpus.
        numbers: list of ints, indices of the segments to audit.
        findings: list of `Finding`.
    """

    segments: list[Segment]
    numbers: list[int]
    findings: list[Finding]

    def write_kept(
        self, folder: pathlib.Path, measured: Collection[int], dropped: Collection[int]
    ) -> None:
        """Writes the manifest of the segments to keep.

        Segments of other splits are kept. Segments that can't be decoded are left out.

        Args:
            folder: `pathlib.Path`.
            measured: collection of ints, the segments that could be decoded.
            dropped: collection of ints, the segments to drop.
        """
        left_out = ({*self.numbers} - {*measured}) | {*dropped}
        kept = [s for n, s in enumerate(self.segments) if n not in left_out]
        write_manifest(folder / KEPT, kept)


def read_audited(settings: AuditSettings) -> AuditedCorpus:
    """Reads the segments of an audit.

    Args:
        settings: `AuditSettings`.

    Returns:
        `AuditedCorpus`.

    Raises:
        AuditError: if the corpus can't be read, or has no segment to audit.
    """
    try:
        segments, findings = read_corpus(
            settings.data, settings.allow_outside, settings.caption_language
        )
    except (ValueError, OSError) as error:
        raise AuditError(str(error)) from error
    if not segments:
        reason = first_reasons(findings) or "it has no video"
        raise AuditError(f"there is no clip in {settings.data!r}: {reason}")
    if settings.split is None:
        return AuditedCorpus(segments, list(range(len(segments))), findings)
    numbers = [n for n, s in enumerate(segments) if s.split == settings.split]
    if not numbers:
        splits = sorted({repr(s.split) for s in segments if s.split}) or ["none"]
        raise AuditError(
            f"no clip of {settings.data!r} has the split {settings.split!r}. Its "
            f"splits are: {', '.join(splits)}"
        )
    return AuditedCorpus(segments, numbers, findings)
