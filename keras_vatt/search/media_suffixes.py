"""Suffixes by which media are known in a folder."""

_VIDEO = (
    ".3g2 .3gp .asf .avi .divx .f4v .flv .gif .m2t .m2ts .m4v .mj2 .mk3d .mkv .mov "
    ".mp4 .mts .mxf .nut .ogm .ogv .qt .ts .webm .wmv"
)
_AUDIO = (
    ".aac .ac3 .aif .aifc .aiff .caf .flac .m4a .m4b .m4r .mka .mp2 .mp3 .mpga .oga "
    ".ogg .ogx .opus .spx .wav .weba .wma"
)
MEDIA_SUFFIXES = frozenset(f"{_VIDEO} {_AUDIO}".split())

# Media that users have and that are not read: each is named in the report.
_UNREAD = (
    ".amr .ape .au .dts .dv .eac3 .m2p .m2v .mid .midi .mpc .mpe .mpeg .mpg .ra .rm "
    ".rmvb .snd .tta .vob .voc .w64 .wtv .wv"
)
UNREAD_SUFFIXES = frozenset(_UNREAD.split())
