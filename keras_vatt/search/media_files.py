"""Which media files lie in a folder, and whether they are still the same."""

import dataclasses
import os
import pathlib

from keras_vatt.search.errors import MediaIndexError

_VIDEO_SUFFIXES = (
    ".3g2 .3gp .asf .avi .flv .gif .m4v .mkv .mov .mp4 .mts .mxf .ogv .ts .webm .wmv"
)
_SOUND_SUFFIXES = ".aac .ac3 .aif .aiff .caf .flac .m4a .mka .mp3 .oga .ogg .opus .wav"
_SUFFIXES = frozenset(f"{_VIDEO_SUFFIXES} {_SOUND_SUFFIXES}".split())


@dataclasses.dataclass(frozen=True)
class MediaFile:
    """A file as it was found: another size or time means that it was changed.

    Args:
        path: string, relative to the folder, with `/` between its parts.
        size: int, bytes.
        modified: int, nanoseconds of the clock of the file system.
    """

    path: str
    size: int
    modified: int


def find_media(folder):
    """Media files under a folder, in alphabetical order, by their suffixes.

    Hidden files and folders are left out, and so are links that lead out of the
    folder: nothing but what lies in it can be found, or shown, later.

    Args:
        folder: string or path.

    Returns:
        List of `MediaFile`.

    Raises:
        MediaIndexError: if there is no such folder.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise MediaIndexError(f"There is no folder {str(folder)!r}.")
    # Unlike `Path.resolve`, it leaves links that lead back to themselves alone.
    resolved = pathlib.Path(os.path.realpath(root))
    found = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [pathlib.Path(parent, name) for name in names]
        found += [_stamped(path, root) for path in paths if _is_media(path, resolved)]
    return sorted(found, key=lambda file: file.path)


def file_inside(folder, path):
    """Path of a file of an index, which must not lead out of its folder.

    Args:
        folder: string or path of the folder that was indexed.
        path: string, relative to it.

    Returns:
        `pathlib.Path`, whether the file is there or not.

    Raises:
        MediaIndexError: if the path leads out of the folder, or is not that of a
            file of video or sound.
    """
    root = pathlib.Path(os.path.realpath(folder))
    try:
        resolved = pathlib.Path(os.path.realpath(root / path))
    except (OSError, ValueError) as error:
        raise MediaIndexError(f"{path!r:.200} leads nowhere: {error}") from error
    if not resolved.is_relative_to(root):
        raise MediaIndexError(f"{path!r} leads out of the folder {str(folder)!r}.")
    if resolved.suffix.lower() not in _SUFFIXES:
        raise MediaIndexError(f"{path!r} is no file of video or sound.")
    if resolved.exists() and not resolved.is_file():
        raise MediaIndexError(f"{path!r} is no regular file.")
    return resolved


def _is_media(path, root):
    if path.name.startswith(".") or path.suffix.lower() not in _SUFFIXES:
        return False
    target = pathlib.Path(os.path.realpath(path))
    is_inside = target.is_relative_to(root)
    return is_inside and target.is_file() and target.suffix.lower() in _SUFFIXES


def _stamped(path, root):
    status = path.stat()
    name = path.relative_to(root).as_posix()
    return MediaFile(name, status.st_size, status.st_mtime_ns)
