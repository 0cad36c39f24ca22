"""The common part of the sources that decode clips on access."""

from __future__ import annotations

import abc
from collections.abc import Iterable

import numpy as np

from keras_vatt.data._clip import Clip
from keras_vatt.data._clip_elements import Element, Tokenize, make_element
from keras_vatt.data._clip_findings import ClipFindings
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._report import CorpusReport, Finding
from keras_vatt.data.decoding._file_errors import check_on_error
from keras_vatt.data.decoding._short_clips import check_short_clips


class DecodingSource(abc.ABC):
    """The settings and the report of a source that decodes clips on access.

    Args:
        spec: see `ClipSource`.
        tokenize: see `ClipSource`.
        candidates: see `ClipSource`.
        training: see `ClipSource`.
        seed: see `ClipSource`.
        short_clips: see `ClipSource`.
        on_error: see `ClipSource`.

    Raises:
        ValueError: If `candidates` is not positive, or if `short_clips` or `on_error`
            is unknown.
    """

    def __init__(
        self,
        spec: ClipSpec,
        tokenize: Tokenize,
        candidates: int,
        training: bool,
        seed: int,
        short_clips: str,
        on_error: str,
    ) -> None:
        if candidates < 1:
            raise ValueError(f"`candidates` must be positive. Received: {candidates}")
        check_short_clips(short_clips)
        check_on_error(on_error)
        self.spec = spec
        self.tokenize = tokenize
        self.candidates = candidates
        self.training = training
        self.seed = seed
        self.short_clips = short_clips
        self.on_error = on_error
        self._findings = ClipFindings(on_error)

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of clips."""

    def __getitem__(self, index: int) -> Element:
        return self.clip(index)

    def clip(self, index: int, epoch: int = 0) -> Element:
        """Returns one element.

        Args:
            index: int. Index of the clip.
            epoch: int. Pass over the corpus, in training. Defaults to `0`.

        Returns:
            A dict of NumPy arrays.

        Raises:
            MediaError: If the clip can't be decoded. It is added to `report`.
        """
        decoded = self.decode(index, epoch)
        return make_element(decoded, self.spec, self.tokenize, self.candidates)

    @abc.abstractmethod
    def decode(self, index: int, epoch: int = 0) -> Clip:
        """Decodes one clip without tokenizing it.

        Args:
            index: int. Index of the clip.
            epoch: int. Pass over the corpus, in training. Defaults to `0`.

        Returns:
            A `Clip`.

        Raises:
            MediaError: If the clip can't be decoded. It is added to `report`.
        """

    @property
    def report(self) -> CorpusReport:
        """The current `CorpusReport`; decoding may still add findings."""
        return self._findings.report(len(self))

    @property
    def num_found_later(self) -> int:
        """Number of problems that were found while decoding."""
        return len(self._findings)

    def recall(self, findings: Iterable[Finding]) -> None:
        """Adds the problems that an earlier process found while decoding the clips.

        Args:
            findings: Iterable of `Finding`, such as those of a report that an
                interrupted run has saved. Those of other clips are ignored.

        Raises:
            MediaError: If a clip was skipped and `on_error` is `"raise"`.
        """
        places = ((index, self._where(index)) for index in range(len(self)))
        self._findings.recall(findings, lambda: places)

    @abc.abstractmethod
    def _where(self, index):
        """Returns the place of a clip, for messages."""

    def _random(self, index, epoch):
        """Returns the generator of the position of a clip in training."""
        return np.random.default_rng((self.seed, epoch, index))
