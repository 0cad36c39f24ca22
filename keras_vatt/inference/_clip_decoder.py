"""Decoding of the clips of a dataset to the arrays of a model."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._filled_clips import filled_clips
from keras_vatt.data.decoding._images import raw_images
from keras_vatt.data.decoding._media import MediaError
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import filled_reason
from keras_vatt.data.decoding._waveform import is_silent
from keras_vatt.inference._pipeline import DecodedItem


@dataclasses.dataclass(frozen=True)
class ClipDecoder:
    """Decodes a segment of a file to its windows and crops.

    Args:
        modality: string. `"video"`, `"audio"` or `"image"`.
        spec: `keras_vatt.data.ClipSpec` of the model.
        num_windows: int. Number of windows. `1` is the middle; images have only one.
        num_crops: int. Number of crops per window of video, or per image. Defaults to
            `1`, the center.
        short_clips: string. Rule for clips that are shorter than the model's:
            `"repeat"`, `"pad"` or `"error"`. Defaults to `"repeat"`, as in the original
            data pipeline: many clips of UCF101 and HMDB51 are short.
        refuse_silence: bool. Whether a clip whose windows are all silent raises an
            error. Defaults to `False`.
    """

    modality: str
    spec: ClipSpec
    num_windows: int
    num_crops: int = 1
    short_clips: str = "repeat"
    refuse_silence: bool = False

    @property
    def rows(self) -> int:
        """Number of windows and crops of a clip."""
        return self.num_windows * (1 if self.modality == "audio" else self.num_crops)

    def __call__(self, segment: MediaSegment) -> DecodedItem:
        """Decodes a clip.

        Args:
            segment: `keras_vatt.data.MediaSegment`.

        Returns:
            `DecodedItem` of one modality, with an example for each window and crop:
            uint8 of shape `(examples, frames, height, width, 3)`, of images
            `(examples, height, width, 3)`, or float32 of shape
            `(examples, samples, 1)`. A clip that was repeated or padded has a finding.

        Raises:
            keras_vatt.data.MediaError: if the file can't be used.
        """
        with filled_clips() as reasons:
            examples = self._decode(segment)
        findings = ()
        if reasons:
            reason = filled_reason(reasons[0], self.short_clips)
            findings = (Finding(Problem.SHORT, str(segment.path), reason),)
        return DecodedItem({self.modality: examples}, findings)

    def _decode(self, segment):
        if self.modality == "image":
            return raw_images(segment.path, self.spec.frame_size, self.num_crops)
        if self.modality == "video":
            return raw_frames(
                segment, self.spec, self.num_windows, self.num_crops, self.short_clips
            )
        waveforms = raw_waveform(segment, self.spec, self.num_windows, self.short_clips)
        if self.refuse_silence and is_silent(waveforms):
            raise MediaError(str(segment.path), Problem.SILENT, "is silent")
        return waveforms[..., np.newaxis]
