"""The data pipeline: reads, decodes and batches video files with captions for `fit`.

`read_corpus` reads the segments of a corpus. `ClipSource` decodes their clips by index;
`build_cache` decodes them once, and `CachedClips` reads them from disk. `make_dataset`
makes batches of either. `make_demo_corpus` generates a corpus to start with.
"""

from typing import TYPE_CHECKING

from keras_vatt._lazy import lazy_attributes
from keras_vatt.data._augmentation import ClipAugmentation
from keras_vatt.data._cache import CachedClips, CacheError, build_cache
from keras_vatt.data._captions import nearest_captions
from keras_vatt.data._clip import Clip, decode_clip
from keras_vatt.data._clip_source import ClipSource
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._frame_augmentation import FrameAugmentation
from keras_vatt.data._manifest import Segment, read_corpus, write_manifest
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data._subtitles import Cue, read_subtitles
from keras_vatt.data.decoding._encoding import encode_clip
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.decoding._frames import decode_frames
from keras_vatt.data.decoding._limits import MediaLimits, media_limits, set_media_limits
from keras_vatt.data.decoding._media import Media, open_media, probe
from keras_vatt.data.decoding._media_info import MediaInfo
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._waveform import decode_waveform
from keras_vatt.data.demo._corpus import make_demo_corpus
from keras_vatt.data.demo._speech import Utterance, synthesize_speech

if TYPE_CHECKING:
    from keras_vatt.data._pipeline import ClipReader, make_dataset

__all__ = [
    "CacheError",
    "CachedClips",
    "Clip",
    "ClipAugmentation",
    "ClipReader",
    "ClipSource",
    "ClipSpec",
    "CorpusReport",
    "Cue",
    "Finding",
    "FrameAugmentation",
    "Media",
    "MediaError",
    "MediaInfo",
    "MediaLimits",
    "MediaSegment",
    "Problem",
    "Segment",
    "Utterance",
    "build_cache",
    "datasets",
    "decode_clip",
    "decode_frames",
    "decode_waveform",
    "encode_clip",
    "make_dataset",
    "make_demo_corpus",
    "media_limits",
    "nearest_captions",
    "open_media",
    "probe",
    "read_corpus",
    "read_subtitles",
    "set_media_limits",
    "synthesize_speech",
    "write_manifest",
]

# Grain, which the pipeline uses, imports JAX.
_PIPELINE = dict.fromkeys(["ClipReader", "make_dataset"], "keras_vatt.data._pipeline")

__getattr__, __dir__ = lazy_attributes(__name__, ["datasets"], _PIPELINE)
