"""From video files with captions to batches for `fit`.

A corpus is read into segments (`read_corpus`), whose clips are decoded by number
(`ClipSource`), perhaps once and for all (`build_cache`, `CachedClips`), and batched
(`make_dataset`). `make_demo_corpus` makes a corpus to try it with.
"""

from keras_vatt._lazy import lazy_attributes
from keras_vatt.data._augmentation import ClipAugmentation
from keras_vatt.data._cache import CachedClips, build_cache
from keras_vatt.data._captions import nearest_captions
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._clips import Clip, ClipSource, decode_clip
from keras_vatt.data._frame_augmentation import FrameAugmentation
from keras_vatt.data._manifest import Segment, read_corpus, write_manifest
from keras_vatt.data._pipeline import make_dataset
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data._subtitles import Cue, read_subtitles
from keras_vatt.data.decoding._encoding import encode_clip
from keras_vatt.data.decoding._frames import decode_frames
from keras_vatt.data.decoding._limits import MediaLimits, media_limits, set_media_limits
from keras_vatt.data.decoding._media import (
    Media,
    MediaError,
    MediaInfo,
    open_media,
    probe,
)
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._waveform import decode_waveform
from keras_vatt.data.demo._corpus import make_demo_corpus
from keras_vatt.data.demo._speech import Utterance, synthesize_speech

__all__ = [
    "CachedClips",
    "Clip",
    "ClipAugmentation",
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

__getattr__, __dir__ = lazy_attributes(__name__, ["datasets"])
