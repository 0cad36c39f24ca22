"""Decodes the clips of a dataset to the arrays that a model takes."""

import dataclasses

import numpy as np

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._images import raw_images
from keras_vatt.data.decoding._media import MediaError
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import filled_reason
from keras_vatt.data.decoding._waveform import is_silent


@dataclasses.dataclass(frozen=True)
class DecodedClip:
    """The arrays of a clip.

    Args:
        rows: NumPy array with a row for each window and crop: uint8 of shape
            `(rows, frames, height, width, 3)`, of images `(rows, height, width, 3)`,
            or float32 of shape `(rows, samples, 1)`.
        short: string, why and how the clip was repeated or padded. Defaults to `None`
            for a clip that is long enough.
    """

    rows: np.ndarray
    short: str | None = None


@dataclasses.dataclass(frozen=True)
class ClipDecoder:
    """Turns a segment of a file into its windows and crops.

    Args:
        modality: string, `"video"`, `"audio"` or `"image"`.
        spec: `keras_vatt.data.ClipSpec`, that of the model.
        num_windows: int. `1` is the middle, and all that an image has.
        num_crops: int, of video and images. Defaults to `1`, the center.
        short_clips: string, the rule for clips that are shorter than the model's:
            `"repeat"`, `"pad"` or `"error"`. Defaults to `"repeat"`, as in the original
            data pipeline: many clips of UCF101 and HMDB51 are short.
        refuse_silence: bool. Whether audio that is silent in all windows counts as
            none. Defaults to `False`.
    """

    modality: str
    spec: object
    num_windows: int
    num_crops: int = 1
    short_clips: str = "repeat"
    refuse_silence: bool = False

    @property
    def rows(self):
        """Windows and crops of a clip, an int."""
        return self.num_windows * (1 if self.modality == "audio" else self.num_crops)

    def __call__(self, segment):
        """Decodes a clip.

        Args:
            segment: `keras_vatt.data.MediaSegment`.

        Returns:
            `DecodedClip`.

        Raises:
            keras_vatt.data.MediaError: if the file can't be used.
        """
        try:
            return DecodedClip(self._decode(segment, "error"))
        except MediaError as error:
            if error.problem is not Problem.TOO_SHORT or self.short_clips == "error":
                raise
            refusal = error.reason
        rows = self._decode(segment, self.short_clips)
        return DecodedClip(rows, filled_reason(refusal, self.short_clips))

    def _decode(self, segment, short_clips):
        if self.modality == "image":
            return raw_images(segment.path, self.spec.frame_size, self.num_crops)
        if self.modality == "video":
            return raw_frames(
                segment, self.spec, self.num_windows, self.num_crops, short_clips
            )
        waveforms = raw_waveform(segment, self.spec, self.num_windows, short_clips)
        if self.refuse_silence and is_silent(waveforms):
            raise MediaError(str(segment.path), Problem.SILENT, "is silent")
        return waveforms[..., np.newaxis]
