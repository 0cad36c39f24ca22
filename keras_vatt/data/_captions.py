"""Caption candidates of a clip: its own caption, and the nearest ones in time."""

import bisect
import heapq
import itertools
from collections.abc import Sequence

from keras_vatt.data._manifest import Segment


def nearest_captions(
    segments: Sequence[Segment], index: int, candidates: int
) -> list[str]:
    """Returns the caption candidates of a segment for the MIL-NCE loss.

    Speech often names a thing a little before or after it is visible, so MIL-NCE
    (arXiv 1912.06430) takes several captions as possible positives: the caption of the
    segment, then those of the nearest segments, by the distance between centers; of two
    at the same distance the earlier comes first.

    The captions of a file with too few of them are repeated in the same order: a
    repeated true caption is not a wrong positive. (The original code pads with empty
    text.)

    Args:
        segments: List of `Segment` of one file, in any order.
        index: int, index of the segment in that list.
        candidates: int, number of captions; VATT is pre-trained with `5`.

    Returns:
        List of `candidates` strings. Empty if the segment itself has no caption.

    Example:
    ```python
    from keras_vatt.data import Segment, nearest_captions

    cues = ["chop the onion", "fry it", "add the rice"]
    segments = [Segment("a.mp4", t, t + 2, cue) for t, cue in enumerate(cues)]
    nearest_captions(segments, 1, 2)  # ["fry it", "chop the onion"]
    ```
    """
    return CaptionOrder(segments).nearest(index, candidates)


class CaptionOrder:
    """The captions of one file, sorted once to find the nearest ones of each segment.

    Args:
        segments: List of `Segment` of one file, in any order.
    """

    def __init__(self, segments):
        self._segments = segments
        self._order = sorted(
            (_center(segment), position)
            for position, segment in enumerate(segments)
            if segment.caption
        )

    def nearest(self, index, candidates):
        """Returns the caption candidates of one segment, see `nearest_captions`."""
        if not self._segments[index].caption:
            return []
        center = _center(self._segments[index])
        place = bisect.bisect_left(self._order, (center, index))
        nearest_first = heapq.merge(
            self._earlier(place, candidates),
            self._order[place + 1 : place + candidates],
            key=lambda entry: (abs(entry[0] - center), entry[0]),
        )
        others = itertools.islice(nearest_first, candidates - 1)
        positions = [index, *(position for _, position in others)]
        captions = [self._segments[position].caption for position in positions]
        return [captions[i % len(captions)] for i in range(candidates)]

    def _earlier(self, end, count):
        """Yields earlier entries, the latest first; those of one time in order."""
        while end > 0:
            center = self._order[end - 1][0]
            start = bisect.bisect_left(self._order, (center, -1))
            yield from self._order[start : min(end, start + count)]
            end = start


def _center(segment):
    start = segment.start or 0.0
    return start if segment.end is None else (start + segment.end) / 2
