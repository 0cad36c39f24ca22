"""From video files with captions to batches for `fit`.

A corpus is read into segments (`read_corpus`), whose clips are decoded by number
(`ClipSource`), perhaps once and for all (`build_cache`, `CachedClips`), and batched
(`make_dataset`). `make_demo_corpus` makes a corpus to try it with.
"""

from keras_vatt.data.augmentation import ClipAugmentation
from keras_vatt.data.cache import CachedClips, build_cache
from keras_vatt.data.captions import nearest_captions
from keras_vatt.data.clip_spec import ClipSpec
from keras_vatt.data.clips import Clip, ClipSource, decode_clip
from keras_vatt.data.demo_corpus import make_demo_corpus
from keras_vatt.data.encoding import encode_clip
from keras_vatt.data.frame_augmentation import FrameAugmentation
from keras_vatt.data.frames import decode_frames
from keras_vatt.data.limits import MediaLimits, media_limits, set_media_limits
from keras_vatt.data.manifest import Segment, read_corpus, write_manifest
from keras_vatt.data.media import Media, MediaError, MediaInfo, open_media, probe
from keras_vatt.data.media_segment import MediaSegment
from keras_vatt.data.pipeline import make_dataset
from keras_vatt.data.report import CorpusReport, Finding, Problem
from keras_vatt.data.speech import Utterance, synthesize_speech
from keras_vatt.data.subtitles import Cue, read_subtitles
from keras_vatt.data.waveform import decode_waveform

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
