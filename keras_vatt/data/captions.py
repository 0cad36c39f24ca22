"""Which captions belong to a clip: its own, and the nearest ones in time."""

import heapq


def nearest_captions(segments, index, candidates):
    """Return the caption candidates of a segment for the MIL-NCE loss.

    Speech often names a thing a little before or after it is seen, so MIL-NCE
    (arXiv 1912.06430) takes several captions as possible positives: the segment's
    own caption, then those whose segments lie nearest, by the distance between
    centres; of two equally near ones the earlier comes first.

    A file with fewer captions repeats them in the same order: a repeated true
    caption is no wrong positive. (The original code pads with empty text.)

    Args:
        segments: List of `Segment` of one file, in any order.
        index: int, the segment in that list.
        candidates: int, the number of captions wanted; VATT is pre-trained with `5`.

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
    if not segments[index].caption:
        return []
    own = _centre(segments[index])

    def distance(position):
        centre = _centre(segments[position])
        return (position != index, abs(centre - own), centre)

    captioned = [i for i, segment in enumerate(segments) if segment.caption]
    nearest = heapq.nsmallest(candidates, captioned, key=distance)
    captions = [segments[position].caption for position in nearest]
    return [captions[i % len(captions)] for i in range(candidates)]


def _centre(segment):
    start = segment.start or 0.0
    return start if segment.end is None else (start + segment.end) / 2
