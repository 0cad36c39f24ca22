"""The data pipeline: reads, decodes and batches video files with captions for `fit`.

`read_corpus` reads the segments of a corpus. `ClipSource` decodes their clips by index;
`build_cache` decodes them once, and `CachedClips` reads them from disk. For large
datasets, `prepare_shards` writes shards, which `open_records` opens and `StoredClips`
decodes. `make_dataset` makes batches of all of them. `make_demo_corpus` generates a
corpus to start with.
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
    from keras_vatt.data._mixed_clips import MixedClips
    from keras_vatt.data._pipeline import ClipReader, make_dataset
    from keras_vatt.data.shards._clips import StoredClips
    from keras_vatt.data.shards._errors import ShardError
    from keras_vatt.data.shards._preparation import prepare_shards
    from keras_vatt.data.shards._records import OpenedRecords, open_records
    from keras_vatt.data.shards._stored_form import StoredForm
    from keras_vatt.data.shards._verification import verify_shards

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
    "MixedClips",
    "OpenedRecords",
    "Problem",
    "Segment",
    "ShardError",
    "StoredClips",
    "StoredForm",
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
    "open_records",
    "prepare_shards",
    "probe",
    "read_corpus",
    "read_subtitles",
    "set_media_limits",
    "synthesize_speech",
    "verify_shards",
    "write_manifest",
]

# Grain, which the pipeline uses, imports JAX; clients of object stores are slow, too.
_LAZY = {
    "ClipReader": "_pipeline",
    "MixedClips": "_mixed_clips",
    "OpenedRecords": "shards._records",
    "ShardError": "shards._errors",
    "StoredClips": "shards._clips",
    "StoredForm": "shards._stored_form",
    "make_dataset": "_pipeline",
    "open_records": "shards._records",
    "prepare_shards": "shards._preparation",
    "verify_shards": "shards._verification",
}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    ["datasets"],
    {name: f"keras_vatt.data.{module}" for name, module in _LAZY.items()},
)
