"""Reads files of folders that a stranger may have written.

Presets, indexes and runs are shared. A folder of theirs may hold links to other files
of the reader, pipes that block, devices without end, and files of any size. So a file
is only opened if it is a regular one inside of its folder, and is only read up to a
limit.
"""

import json
import os
import pathlib
import stat


def contained_path(folder, name, error):
    """Returns the path of a file or folder, which must not lead out of its folder.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.

    Returns:
        `pathlib.Path`; `None` if nothing is there.
    """
    path, root = pathlib.Path(folder) / name, pathlib.Path(folder).resolve()
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError) as cause:  # For a loop of links.
        raise error(f"{str(path)!r} leads nowhere: {cause}") from cause
    if not (resolved.is_relative_to(root) or _in_hub_cache(resolved, root)):
        raise error(f"{str(path)!r} leads out of its folder {str(folder)!r}")
    if resolved.exists():
        return path
    if os.path.lexists(path):
        raise error(f"{str(path)!r} is a link that leads nowhere")
    return None


def regular_file(folder, name, error, max_bytes=None):
    """Returns the path of a regular file inside of a folder.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.
        max_bytes: int, the size that the file may have. Defaults to `None`, any.

    Returns:
        `pathlib.Path`; `None` if nothing is there.
    """
    path = contained_path(folder, name, error)
    if path is not None:
        check_regular(path, error, max_bytes)
    return path


def check_regular(path, error, max_bytes=None):
    """Refuses folders, pipes, devices, and files that are too large.

    Args:
        path: path of what exists.
        error: class of the exception that is raised.
        max_bytes: int. Defaults to `None`, any size.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as cause:
        raise error(f"{str(path)!r} can't be read: {cause}") from cause
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{str(path)!r} is no regular file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise error(
            f"{str(path)!r} has {status.st_size:,} bytes, more than the "
            f"{max_bytes:,} that such a file may have"
        )


def read_text(folder, name, error, max_bytes):
    """Returns the text of a regular file inside of a folder.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.
        max_bytes: int, the size that the file may have.

    Returns:
        String; `None` if nothing is there.
    """
    path = regular_file(folder, name, error, max_bytes)
    if path is None:
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as cause:
        raise error(f"{str(path)!r} can't be read: {cause}") from cause


def read_object(folder, name, error, max_bytes):
    """Returns the object in a JSON file inside of a folder.

    A key that comes twice is refused: readers differ in which value they take.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.
        max_bytes: int, the size that the file may have.

    Returns:
        Dict; `None` if there is no such file.
    """
    text = read_text(folder, name, error, max_bytes)
    if text is None:
        return None
    path = str(pathlib.Path(folder) / name)
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as cause:
        raise error(f"{path!r} can't be read: {cause}") from cause
    if not isinstance(content, dict):
        raise error(f"{path!r} can't be read: it holds no object")
    return content


def parse_json(text):
    """Returns what a JSON text holds.

    Args:
        text: string or bytes.

    Raises:
        ValueError: if it is no JSON, or an object has a key twice.
    """
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs):
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object has a key twice")
    return made


def _in_hub_cache(resolved, root):
    """Whether a link leads where the client of the Hub keeps the files of a preset.

    Its `snapshots` are folders of links into `blobs`, which is beside them.
    """
    return any(
        parent.name == "snapshots" and resolved.is_relative_to(parent.parent / "blobs")
        for parent in root.parents
    )
