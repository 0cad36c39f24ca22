"""Finds the files of a folder of videos, and reports those that are not read."""

import dataclasses
import os
import pathlib

from keras_vatt.data._caption_tables import CAPTION_TABLE_NAMES
from keras_vatt.data._remote_path import RemotePath
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._subtitles import SUBTITLE_SUFFIXES
from keras_vatt.data.decoding._media_suffixes import VIDEO_SUFFIXES, reason_to_ignore

_CAPTION_SUFFIXES = (*SUBTITLE_SUFFIXES, ".csv")
_HINT = "If you trust this corpus, pass `allow_outside=True` or `--allow-outside`."


@dataclasses.dataclass
class FolderContent:
    """Videos, caption files and findings of a folder.

    Args:
        videos: Dict from the real path of each video, or from its URL, a string, to
            the path at which it was found: a `pathlib.Path` or a `RemotePath`.
        captions: List of such paths. Files that may have captions.
        findings: List of `Finding`. Media files that are not read.
    """

    videos: dict = dataclasses.field(default_factory=dict)
    captions: list = dataclasses.field(default_factory=list)
    findings: list = dataclasses.field(default_factory=list)

    def ignore(self, path, reason, problem=Problem.IGNORED):
        """Adds a finding about a file that is not read."""
        self.findings.append(Finding(problem, str(path), reason))


def find_files(root, allow_outside):
    """Finds the videos and the caption files under a folder, in alphabetical order.

    Hidden files and folders are skipped. Links to files of the folder are followed, but
    each file is used once. With `allow_outside`, links to other places are followed
    too, each folder once.

    Args:
        root: `pathlib.Path` of a folder.
        allow_outside: bool. Whether links may lead out of it.

    Returns:
        A `FolderContent`.
    """
    content = FolderContent()
    paths = sorted(_walk(root, allow_outside, content))
    # Links come last, so that a file is used under its own name.
    for path in sorted(paths, key=os.path.islink):
        if _is_wanted(path, content) and _is_readable(
            path, root, allow_outside, content
        ):
            _take(path, content)
    content.videos = dict(sorted(content.videos.items(), key=lambda item: item[1]))
    return content


def select_files(root, files):
    """Selects the videos and the caption files of a remote folder, as `find_files`.

    Stores have no links.

    Args:
        root: `RemotePath` of the folder.
        files: List of the result of `list_remote`.

    Returns:
        A `FolderContent`.
    """
    content = FolderContent()
    for path in files:
        if _is_hidden(path, root):
            continue
        if isinstance(path, str):
            content.ignore(path, "has a name that is not a path")
        elif _is_wanted(path, content):
            _take(path, content)
    content.videos = dict(sorted(content.videos.items(), key=lambda item: item[1]))
    return content


def _is_hidden(path, root):
    below = str(path).removeprefix(str(root))
    return any(
        part.startswith(".") and part not in (".", "..") for part in below.split("/")
    )


def outside_reason(what):
    """Returns why a path that leads out of a corpus is rejected."""
    return f"{what} outside the folder of the corpus. {_HINT}"


def _walk(root, allow_outside, content):
    """Yields the paths of all files that are not hidden."""
    waiting, seen = [root], {os.path.realpath(root)}
    while waiting:
        walk = os.walk(waiting.pop(), onerror=lambda error: _unreadable(error, content))
        for parent, folders, names in walk:
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (pathlib.Path(parent, name) for name in folders):
                target = os.path.realpath(path)
                if not path.is_symlink():
                    seen.add(target)
                elif _is_followed(path, target, root, allow_outside, seen, content):
                    seen.add(target)
                    waiting.append(path)
            yield from (pathlib.Path(parent, n) for n in names if n[0] != ".")


def _is_followed(path, target, root, allow_outside, seen, content):
    """Returns whether a link to a folder is followed; if not, adds a finding."""
    real_root = os.path.realpath(root)
    if pathlib.Path(target).is_relative_to(real_root):
        reason = "is a link to a folder of the corpus, which is read under its own name"
    elif not allow_outside:
        reason = outside_reason("is a link to a folder")
    elif pathlib.Path(real_root).is_relative_to(target):
        reason = "is a link to a folder that the corpus is in"
    elif target in seen:
        reason = "is a link to a folder that is read under another name"
    else:
        return True
    content.ignore(path, reason)
    return False


def _is_wanted(path, content):
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix in _CAPTION_SUFFIXES:
        return True
    if path.name in CAPTION_TABLE_NAMES:
        return True
    reason = reason_to_ignore(path)
    if reason is not None:
        content.ignore(path, reason)
    return False


def _is_readable(path, root, allow_outside, content):
    """Returns whether a path leads to a readable file; if not, adds a finding."""
    if not os.path.exists(path):
        content.ignore(path, "is a link to a file that doesn't exist", Problem.MISSING)
    elif not os.path.isfile(path):
        content.ignore(path, "is not a regular file")
    elif not allow_outside and leads_outside(root, path):
        content.ignore(path, outside_reason("is a link to a file"))
    else:
        return True
    return False


def leads_outside(folder, path):
    """Returns whether a path leads out of a folder, by `..` or by links."""
    real_path = pathlib.Path(os.path.realpath(path))
    return not real_path.is_relative_to(os.path.realpath(folder))


def _take(path, content):
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        content.captions.append(path)
        return
    is_remote = isinstance(path, RemotePath)
    real_path = str(path) if is_remote else os.path.realpath(path)
    if real_path in content.videos:
        content.ignore(path, f"is the same file as {content.videos[real_path]}")
    else:
        content.videos[real_path] = path


def _unreadable(error, content):
    content.ignore(error.filename, f"can't be read ({error.strerror})")
