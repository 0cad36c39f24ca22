"""Several sources of clips as one, in fixed proportions."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from keras_vatt.data._clip_order import shuffled_pass
from keras_vatt.data._report import CorpusReport, Finding


class MixedClips:
    """Several sources of clips, mixed in fixed proportions in training.

    The proportions hold at every point of a run, to within a few clips, and do not
    depend on the sizes of the sources: a small one is passed through more often.
    Each is shuffled on its own, again in each of its passes: a batch across the end of
    a pass may have a clip twice. Out of training, the clips
    of the sources follow one another.

    Args:
        sources: Sequence of sources, such as `ClipSource` and `StoredClips`.
        weights: Sequence of positive floats, one per source. Their sum need not be 1.

    Raises:
        ValueError: If there are no sources, a source is empty, there is another number
            of weights, or a weight is not positive.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import MixedClips

    class Numbers:
        def __init__(self, numbers):
            self.numbers = numbers

        def __len__(self):
            return len(self.numbers)

        def clip(self, index, epoch=0):
            return {"number": np.asarray(self.numbers[index])}

    mixed = MixedClips([Numbers([1, 2, 3]), Numbers([10, 20])], [0.7, 0.3])
    # make_dataset(mixed, batch_size=2, training=True)
    ```
    """

    def __init__(self, sources: Sequence[Any], weights: Sequence[float]) -> None:
        if not sources or len(sources) != len(weights):
            raise ValueError(
                "`sources` and `weights` must have the same length. Received: "
                f"{len(sources)} and {len(weights)}"
            )
        if not all(0 < weight < math.inf for weight in weights):
            raise ValueError(f"`weights` must be positive. Received: {list(weights)}")
        empty = [number for number, source in enumerate(sources) if not len(source)]
        if empty:
            raise ValueError(f"Source {empty[0]} of `sources` has no clips.")
        self.sources = tuple(sources)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        self._ends = list(itertools.accumulate(map(len, sources)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Any:
        return self.clip(index)

    def clip(self, index: int, epoch: int = 0) -> Any:
        """Returns the element of a clip.

        Args:
            index: int. Index over the clips of all sources, one after the other.
            epoch: int. Pass over its source, in training. Defaults to `0`.
        """
        number, index = self._locate(index)
        return self.sources[number].clip(index, epoch)

    def training_order(
        self, position: int, batch_size: int, seed: int
    ) -> tuple[int, int]:
        """Returns the pass and the index of the clip at a position of a training run.

        Args:
            position: int. Number of clips of the run before this one.
            batch_size: int. Passes of the sources do not end with a batch.
            seed: int.

        Raises:
            ValueError: If a source has fewer clips than its part of a batch.
        """
        for source, weight in zip(self.sources, self.weights, strict=True):
            if len(source) < math.floor(weight * batch_size):
                raise ValueError(
                    f"A source has {len(source)} clips, fewer than its part of a batch "
                    f"of {batch_size}, {weight:.0%}: use a smaller weight or batch."
                )
        number, earlier = self._choose(position)
        source = self.sources[number]
        epoch, index = shuffled_pass(len(source), earlier, 1, seed + number)
        return epoch, self._ends[number] - len(source) + index

    @property
    def on_error(self) -> str:
        """`"raise"` if a source raises errors, else `"skip"`."""
        rules = {getattr(source, "on_error", "skip") for source in self.sources}
        return "raise" if "raise" in rules else "skip"

    @property
    def report(self) -> CorpusReport:
        """The merged `CorpusReport` of the sources."""
        reports = [source.report for source in self.sources]
        findings = itertools.chain(*(report.findings for report in reports))
        return CorpusReport(sum(report.used for report in reports), tuple(findings))

    @property
    def num_found_later(self) -> int:
        """Number of problems that were found while decoding."""
        return sum(getattr(s, "num_found_later", 0) for s in self.sources)

    def recall(self, findings: Iterable[Finding]) -> None:
        """Adds the problems that an earlier process found, see `ClipSource.recall`."""
        findings = list(findings)
        for source in self.sources:
            if hasattr(source, "recall"):
                source.recall(findings)

    def _locate(self, index):
        index = range(len(self))[index]
        number = bisect.bisect_right(self._ends, index)
        return number, index - self._ends[number] + len(self.sources[number])

    def _choose(self, position):
        """Returns the source of a position, and the clips of it that came before.

        Of `n` clips, the first source gets `n * weight`, rounded. The rest is
        divided among the others in the same way.
        """
        rest = 1.0
        for number, weight in enumerate(self.weights[:-1]):
            share = weight / rest
            before, after = (_rounded(n * share) for n in (position, position + 1))
            if after > before:
                return number, before
            position -= before
            rest -= weight
        return len(self.weights) - 1, position


def _rounded(number):
    return math.floor(number + 0.5)
