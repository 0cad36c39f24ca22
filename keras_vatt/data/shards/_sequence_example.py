"""Stored clips as `SequenceExample`, in the layout of DMVR and of VATT's data pipeline.

The names of the features are those of MediaSequence, which DMVR reads. Readers of DMVR
ignore the ones that it doesn't have: the rates, and the start and end of the clip.
"""

from __future__ import annotations

import math

import numpy as np
from google.protobuf.message import DecodeError

from keras_vatt.data.shards._example_messages import SequenceExample
from keras_vatt.data.shards._stored_clip import StoredClip, StoredFrames

# Where names differ, the first is written, and the others are read too: VATT's
# `ToyFactory` has other names than DMVR.
_IMAGES = "image/encoded"
_WAVEFORM = ("WAVEFORM/feature/floats", "waveform/floats")
_CAPTIONS = "caption/string"
_LABELS = ("clip/label/text", "label/text")
_NAME = "video/filename"
_START, _END = "clip/start/timestamp", "clip/end/timestamp"
_FRAME_RATE = "image/frame_rate"
_SAMPLING_RATE = "WAVEFORM/feature/sample_rate"
_MICROSECONDS = 1_000_000


def pack_example(clip: StoredClip) -> bytes:
    """Returns the serialized `SequenceExample` of a clip with `StoredFrames`."""
    example, media = SequenceExample(), clip.media
    context = example.context.feature
    context[_NAME].bytes_list.value.append(clip.name.encode("utf-8", "replace"))
    context[_START].int64_list.value.append(round(clip.start * _MICROSECONDS))
    if clip.end is not None:
        context[_END].int64_list.value.append(round(clip.end * _MICROSECONDS))
    context[_FRAME_RATE].float_list.packed = _floats([media.frames_per_second])
    context[_CAPTIONS].bytes_list.value.extend(map(str.encode, clip.captions))
    context[_LABELS[0]].bytes_list.value.extend(map(str.encode, clip.labels))
    steps = example.feature_lists.feature_list
    for image in media.images:
        steps[_IMAGES].feature.add().bytes_list.value.append(image)
    if media.waveform is not None:
        context[_SAMPLING_RATE].float_list.packed = _floats([media.sampling_rate])
        step = steps[_WAVEFORM[0]].feature.add()
        step.float_list.packed = _floats(media.waveform)
    return example.SerializeToString(deterministic=True)


def unpack_example(
    record: bytes, frames_per_second: float = 10.0, sampling_rate: int = 48_000
) -> StoredClip:
    """Reads a clip from a serialized `SequenceExample`.

    Args:
        record: `bytes`.
        frames_per_second: float. Rate of the frames, if the record has none. Defaults
            to `10.0`, as in HowTo100M.
        sampling_rate: int. Rate of the waveform in hertz, if the record has none.
            Defaults to `48_000`.

    Returns:
        `StoredClip`.

    Raises:
        ValueError: If it is not a `SequenceExample` with frames, or a rate or a text in
            it is invalid.
    """
    try:
        example = SequenceExample.FromString(record)
    except DecodeError as error:
        raise ValueError("it is not a SequenceExample") from error
    context, steps = example.context.feature, example.feature_lists.feature_list
    if _IMAGES not in steps:
        found = ", ".join(sorted(steps)[:5]) or "nothing"
        raise ValueError(f"it has no feature list {_IMAGES!r}, but {found}")
    images = [
        image for step in steps[_IMAGES].feature for image in step.bytes_list.value
    ]
    media = StoredFrames(
        tuple(images),
        _rate(context, _FRAME_RATE, frames_per_second),
        _waveform(steps),
        round(_rate(context, _SAMPLING_RATE, sampling_rate)),
    )
    start, end = (_seconds(context, name) for name in (_START, _END))
    return StoredClip(
        media,
        captions=tuple(filter(None, _texts(context, _CAPTIONS))),
        name="".join(_texts(context, _NAME)[:1]),
        start=start or 0.0,
        end=end,
        labels=tuple(_texts(context, *_LABELS)),
    )


def _floats(values):
    return np.asarray(values, "<f4").tobytes()


def _waveform(steps):
    name = next((name for name in _WAVEFORM if name in steps), None)
    if name is None or not steps[name].feature:
        return None
    packed = steps[name].feature[0].float_list.packed
    if len(packed) % 4:
        raise ValueError(f"its {name!r} is not a list of floats")
    return np.frombuffer(packed, "<f4")


def _rate(context, name, default):
    packed = context[name].float_list.packed if name in context else b""
    rate = default
    if len(packed) == 4:
        # The shortest decimal number of this float: 29.97, not 29.969999.
        rate = float(f"{float(np.frombuffer(packed, '<f4')[0]):.7g}")
    if not 0 < rate < math.inf:
        raise ValueError(f"its {name!r} is {rate}")
    return rate


def _texts(context, *names):
    name = next((name for name in names if name in context), None)
    if name is None:
        return []
    # A caption that is not UTF-8 is a caption with a few wrong characters.
    return [text.decode("utf-8", "replace") for text in context[name].bytes_list.value]


def _seconds(context, name):
    values = context[name].int64_list.value if name in context else ()
    return values[0] / _MICROSECONDS if values else None
