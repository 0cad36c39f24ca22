"""Clips of a set to the arrays that a model takes."""

import dataclasses

import numpy as np

from keras_vatt.data.media import MediaError, probe
from keras_vatt.data.raw_clips import raw_frames, raw_waveform
from keras_vatt.data.report import Problem
from keras_vatt.data.waveform import is_silent


@dataclasses.dataclass(frozen=True)
class ClipDecoder:
    """Turns a stretch of a file into its windows and crops.

    Video that is shorter than a clip of the model is shown again from its start, as
    the original data pipeline does: many clips of UCF101 and HMDB51 are.

    Args:
        modality: string, `"video"` or `"audio"`.
        spec: `keras_vatt.data.ClipSpec`, that of the model.
        num_windows: int. `1` is the middle.
        num_crops: int, of video. Defaults to `1`, the centre.
        refuse_silence: bool. Whether sound that is silent in all windows counts as
            none. Defaults to `False`.
    """

    modality: str
    spec: object
    num_windows: int
    num_crops: int = 1
    refuse_silence: bool = False

    @property
    def rows(self):
        """Windows and crops of a clip, an int."""
        return self.num_windows * (self.num_crops if self.modality == "video" else 1)

    def __call__(self, segment):
        """The arrays of a clip.

        Args:
            segment: `keras_vatt.data.media_segment.MediaSegment`.

        Returns:
            NumPy array: uint8 of shape `(rows, frames, height, width, 3)`, or float32
            of shape `(rows, samples, 1)`.

        Raises:
            keras_vatt.data.MediaError: if the file can't be used.
        """
        if self.modality == "video":
            return self._frames(segment)
        waveforms = raw_waveform(segment, self.spec, self.num_windows)
        if self.refuse_silence and is_silent(waveforms):
            raise MediaError(str(segment.path), Problem.SILENT, "is silent")
        return waveforms[..., np.newaxis]

    def _frames(self, segment):
        try:
            return raw_frames(segment, self.spec, self.num_windows, self.num_crops)
        except MediaError as error:
            if error.problem is not Problem.TOO_SHORT:
                raise
            frames = self._all_frames(segment, error)
        frames = frames[:, np.arange(self.spec.num_frames) % frames.shape[1]]
        return np.tile(frames, (self.num_windows, 1, 1, 1, 1))

    def _all_frames(self, segment, error):
        info = probe(segment.path)
        start = info.start if segment.start is None else segment.start
        end = info.end if segment.end is None else min(segment.end, info.end)
        num_frames = int((end - start) * self.spec.frames_per_second + 1e-6)
        if end <= start or num_frames >= self.spec.num_frames:
            raise error  # It has less than it promises.
        spec = dataclasses.replace(self.spec, num_frames=max(num_frames, 1))
        return raw_frames(segment, spec, 1, self.num_crops)
