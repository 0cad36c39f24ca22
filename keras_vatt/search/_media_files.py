"""Media files of a folder, and stamps that show whether they have changed."""

import dataclasses
import os
import pathlib

from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._media_suffixes import (
    MEDIA_SUFFIXES,
    UNREAD_SUFFIXES,
    reason_unread,
)
from keras_vatt.search._errors import MediaIndexError

_OUTSIDE = "is a link out of the folder: `--allow-outside` (`allow_outside`) follows it"


@dataclasses.dataclass(frozen=True)
class MediaFile:
    """A file as it was found. If its size or time differs later, it has changed.

    Args:
        path: string, relative to the folder, with `/` between its parts.
        size: int, bytes.
        modified: int, nanoseconds of the clock of the file system.
    """

    path: str
    size: int
    modified: int


def find_media(
    folder: str | os.PathLike, allow_outside: bool = False
) -> tuple[list[MediaFile], list[Finding]]:
    """Finds the media files under a folder by their suffixes.

    Hidden files and folders are skipped. Links that lead out of the folder are skipped
    and named, unless `allow_outside` is set: then links to folders are followed,
    and each folder is searched once, however many links lead to it.

    Args:
        folder: string or path.
        allow_outside: bool. Defaults to `False`.

    Returns:
        Tuple of the list of `MediaFile` in alphabetical order, and of the list of
        `keras_vatt.data.Finding` that name media that are ignored, and why.

    Raises:
        MediaIndexError: if there is no such folder.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise MediaIndexError(f"There is no folder {str(folder)!r}.")
    scan = _Scan(root, allow_outside)
    links = scan.visit(root)
    while links:
        links = [inner for link in sorted(links) for inner in scan.follow(link)]
    files = sorted(scan.files, key=lambda file: file.path)
    return files, sorted(scan.findings, key=lambda finding: finding.where)


def file_inside(
    folder: str | os.PathLike, path: str, allow_outside: bool = False
) -> pathlib.Path:
    """Returns the path of a file of an index, which must not lead out of its folder.

    Args:
        folder: string or path of the folder that was indexed.
        path: string, relative to it.
        allow_outside: bool. Whether links in the folder may lead out of it; the path
            itself may not. Defaults to `False`.

    Returns:
        `pathlib.Path`, whether the file is there or not.

    Raises:
        MediaIndexError: if the path leads out of the folder, or is not that of a
            file of video or audio.
    """
    root = pathlib.Path(os.path.realpath(folder))
    try:
        resolved = pathlib.Path(os.path.realpath(root / path))
    except (OSError, ValueError) as error:
        raise MediaIndexError(f"{path!r:.200} leads nowhere: {error}") from error
    follows_links = allow_outside and _leads_down(path)
    if not (follows_links or resolved.is_relative_to(root)):
        raise MediaIndexError(f"{path!r} leads out of the folder {str(folder)!r}.")
    if resolved.suffix.lower() not in MEDIA_SUFFIXES:
        raise MediaIndexError(f"{path!r} is no file of video or audio.")
    if resolved.exists() and not resolved.is_file():
        raise MediaIndexError(f"{path!r} is no regular file.")
    return resolved


def _leads_down(path):
    path = pathlib.PurePath(path)
    return not path.anchor and ".." not in path.parts


class _Scan:
    """Collects media files, and findings about what is ignored.

    Args:
        root: `pathlib.Path` of the folder.
        allow_outside: bool.
    """

    def __init__(self, root, allow_outside):
        self.files = []
        self.findings = []
        self._root = root
        # Unlike `Path.resolve`, it leaves links that lead back to themselves alone.
        self._resolved = pathlib.Path(os.path.realpath(root))
        self._allow_outside = allow_outside
        self._visited = set()

    def visit(self, top):
        """Collects the media in a folder; returns the links to other folders."""
        links = []
        for parent, folders, names in os.walk(top, onerror=self._add_unlisted):
            resolved = os.path.realpath(parent)
            if resolved in self._visited:
                folders.clear()
                continue
            self._visited.add(resolved)
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = [pathlib.Path(parent, name) for name in folders]
            links += [path for path in paths if path.is_symlink()]
            for name in names:
                if not name.startswith("."):
                    self._add(pathlib.Path(parent, name))
        return links

    def follow(self, link):
        """Like `visit` for a link to a folder, if it may be followed."""
        if self._allow_outside:
            return self.visit(link)
        if not self._is_inside(os.path.realpath(link)):
            self._ignore(link, _OUTSIDE)
        return []

    def _add(self, path):
        suffix = path.suffix.lower()
        if suffix in UNREAD_SUFFIXES:
            self._ignore(path, reason_unread(suffix))
        elif suffix in MEDIA_SUFFIXES:
            reason = self._reason_to_ignore(path)
            if reason is None:
                self._add_stamped(path)
            else:
                self._ignore(path, reason)

    def _reason_to_ignore(self, path):
        target = pathlib.Path(os.path.realpath(path))
        if not (self._allow_outside or self._is_inside(target)):
            return _OUTSIDE
        if not target.is_file():
            return "is no regular file, or a link that leads nowhere"
        if target.suffix.lower() not in MEDIA_SUFFIXES:
            return "is a link to a file whose suffix is none of video or audio"
        return None

    def _add_stamped(self, path):
        name = self._name_of(path)
        if not _is_utf_8(name):
            self._ignore(path, "has a name that is not UTF-8: rename it")
            return
        try:
            status = path.stat()
        except OSError as error:  # It was removed meanwhile.
            self._ignore(path, f"can't be read ({error.strerror})")
            return
        self.files.append(MediaFile(name, status.st_size, status.st_mtime_ns))

    def _add_unlisted(self, error):
        reason = f"is a folder that can't be listed ({error.strerror})"
        self._ignore(pathlib.Path(error.filename), reason)

    def _ignore(self, path, reason):
        finding = Finding(Problem.IGNORED, self._name_of(path), reason)
        self.findings.append(finding)

    def _name_of(self, path):
        return path.relative_to(self._root).as_posix()

    def _is_inside(self, path):
        return pathlib.Path(path).is_relative_to(self._resolved)


def _is_utf_8(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # For bytes that Python keeps as surrogates.
        return False
    return True
