"""Search of a folder of media by text, audio and video.

`embed_folder` makes an index of a folder, `MediaIndex` searches it.
"""

from keras_vatt.search._embedding import embed_folder, read_report
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_index import MediaIndex, SearchResult
from keras_vatt.search._queries import unknown_words

__all__ = [
    "MediaIndex",
    "MediaIndexError",
    "SearchResult",
    "embed_folder",
    "read_report",
    "unknown_words",
]
