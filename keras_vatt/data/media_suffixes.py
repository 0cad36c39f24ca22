"""Suffixes of media files: which of them a corpus is made of, and which it is not."""

# Containers whose frames are decoded by time, see `keras_vatt.data.probe`.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2ts", ".m4v"}
    | {".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut"}
    | {".ogm", ".ogv", ".qt", ".tod", ".ts", ".vob", ".webm", ".wmv"}
)
_OTHER_VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".apng", ".av1", ".gif", ".h264", ".h265", ".hevc", ".ivf"}
    | {".m1v", ".m2v", ".rm", ".rmvb", ".swf", ".wtv", ".y4m"}
)
_AUDIO_SUFFIXES = frozenset(
    {".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".caf", ".flac", ".m4a", ".m4b"}
    | {".mka", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma", ".wv"}
)
_PARTIAL_SUFFIXES = frozenset({".crdownload", ".part", ".ytdl"})


def reason_to_ignore(path):
    """Returns why a media file is no part of a corpus, by its suffix.

    Args:
        path: `pathlib.Path` of a file whose suffix is none of `VIDEO_SUFFIXES`.

    Returns:
        String; `None` for what is no media file, such as an image or a text.
    """
    suffix = path.suffix.lower()
    if suffix in _AUDIO_SUFFIXES:
        return f"is audio without video ({suffix})"
    if suffix in _OTHER_VIDEO_SUFFIXES:
        return (
            f"is in a format that is not read ({suffix}): convert it, such as by "
            "`ffmpeg -i NAME NAME.mp4`"
        )
    if suffix in _PARTIAL_SUFFIXES and _is_media(path.with_suffix("")):
        return "is an unfinished download"
    return None


def _is_media(path):
    suffixes = VIDEO_SUFFIXES | _OTHER_VIDEO_SUFFIXES | _AUDIO_SUFFIXES
    return path.suffix.lower() in suffixes
