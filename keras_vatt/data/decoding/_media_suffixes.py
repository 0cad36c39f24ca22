"""Suffixes of media files: which of them are read, and which are named as ignored."""

_VIDEO = (
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .m2p .m2t .m2ts .m4v .mj2 .mk3d .mkv "
    ".mov .mp4 .mpe .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .ts .vob .webm .wmv"
)
_AUDIO = (
    ".aac .ac3 .aif .aifc .aiff .amr .ape .au .awb .caf .eac3 .flac .m4a .m4b .m4r "
    ".mka .mp2 .mp3 .mpga .oga .ogg .ogx .opus .snd .spx .tta .w64 .wav .weba .wma .wv"
)
_IMAGE = ".bmp .gif .jpeg .jpg .png .tif .tiff .webp"
_UNREAD = (
    ".264 .265 .aax .apng .av1 .dsf .dts .h264 .h265 .hevc .ivf .m1v .m2v .mid .midi "
    ".mod .mpc .ra .ram .rm .rmvb .swf .tod .vivo .voc .wtv .y4m"
)

# Containers whose frames are decoded by time, see `keras_vatt.data.probe`.
VIDEO_SUFFIXES = frozenset(_VIDEO.split())
AUDIO_SUFFIXES = frozenset(_AUDIO.split())
# Images, see `_images.py`; a GIF may also be a video.
IMAGE_SUFFIXES = frozenset(_IMAGE.split())
# Media that users have and whose formats are not opened.
UNREAD_SUFFIXES = frozenset(_UNREAD.split())
MEDIA_SUFFIXES = VIDEO_SUFFIXES | AUDIO_SUFFIXES
_PARTIAL_SUFFIXES = frozenset({".crdownload", ".part", ".ytdl"})


def reason_to_ignore(path):
    """Returns why a media file is ignored in a corpus of videos, by its suffix.

    Args:
        path: `pathlib.Path` of a file whose suffix is none of `VIDEO_SUFFIXES`.

    Returns:
        String; `None` for other files, such as images and texts.
    """
    suffix = path.suffix.lower()
    if suffix in AUDIO_SUFFIXES:
        return f"is audio without video ({suffix})"
    if suffix in UNREAD_SUFFIXES:
        return reason_unread(suffix)
    if suffix in _PARTIAL_SUFFIXES and _is_media(path.with_suffix("")):
        return "is an unfinished download"
    return None


def reason_unread(suffix):
    """Returns what is wrong with a file of a suffix of `UNREAD_SUFFIXES`."""
    return (
        f"is in a format that is not read ({suffix}): convert it, such as by "
        "`ffmpeg -i NAME NAME.mp4`"
    )


def _is_media(path):
    return path.suffix.lower() in MEDIA_SUFFIXES | UNREAD_SUFFIXES
