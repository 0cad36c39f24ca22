"""Suffixes by which media are known in a folder."""

_VIDEO = (
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .m2p .m2t .m2ts .m4v .mj2 .mk3d .mkv "
    ".mov .mp4 .mpe .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .ts .vob .webm .wmv"
)
_AUDIO = (
    ".aac .ac3 .aif .aifc .aiff .amr .ape .au .awb .caf .eac3 .flac .m4a .m4b .m4r "
    ".mka .mp2 .mp3 .mpga .oga .ogg .ogx .opus .snd .spx .tta .w64 .wav .weba .wma .wv"
)
MEDIA_SUFFIXES = frozenset(f"{_VIDEO} {_AUDIO}".split())

# Media that users have and whose formats are not opened: each is named in the report.
_UNREAD = (
    ".264 .265 .aax .dsf .dts .h264 .h265 .hevc .m2v .mid .midi .mod .mpc .ra .ram .rm "
    ".rmvb .swf .vivo .voc .wtv .y4m"
)
UNREAD_SUFFIXES = frozenset(_UNREAD.split())
