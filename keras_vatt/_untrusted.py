"""Reads files of untrusted folders.

Presets, indexes and runs may come from someone else. Their folders may contain links to
private files of the reader, pipes that block, devices that never end, and files of any
size. So only regular files inside of a folder are opened, up to a limit on their size.
"""

import json
import os
import pathlib
import stat


def contained_path(folder, name, error):
    """Returns the path of a file or folder, after a check that it is inside a folder.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.

    Returns:
        `pathlib.Path`; `None` if it does not exist.
    """
    path, root = pathlib.Path(folder) / name, pathlib.Path(folder).resolve()
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError) as cause:  # For a loop of links.
        raise error(f"{str(path)!r} can't be resolved: {cause}") from cause
    if not (resolved.is_relative_to(root) or _in_hub_cache(resolved, root)):
        raise error(f"{str(path)!r} leads out of its folder {str(folder)!r}")
    if resolved.exists():
        return path
    if os.path.lexists(path):
        raise error(f"{str(path)!r} is a broken link")
    return None


def regular_file(folder, name, error, max_bytes=None):
    """Returns the path of a regular file inside of a folder.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.
        max_bytes: int. Maximum size of the file. Defaults to `None`, any size.

    Returns:
        `pathlib.Path`; `None` if it does not exist.
    """
    path = contained_path(folder, name, error)
    if path is not None:
        check_regular(path, error, max_bytes)
    return path


def check_regular(path, error, max_bytes=None):
    """Raises an error for folders, pipes, devices, and files that are too large.

    Args:
        path: path of an existing file.
        error: class of the exception that is raised.
        max_bytes: int. Maximum size of the file. Defaults to `None`, any size.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as cause:
        raise error(f"{str(path)!r} can't be read: {cause}") from cause
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{str(path)!r} is not a regular file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise error(
            f"{str(path)!r} has {status.st_size:,} bytes, more than the limit of "
            f"{max_bytes:,} for such files"
        )


def read_text(folder, name, error, max_bytes):
    """Returns the text of a regular file inside of a folder.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.
        max_bytes: int. Maximum size of the file.

    Returns:
        String; `None` if the file does not exist.
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

    Duplicate keys are an error, because JSON readers differ in which value they use.

    Args:
        folder: string or path.
        name: string, the relative path.
        error: class of the exception that is raised.
        max_bytes: int. Maximum size of the file.

    Returns:
        Dict; `None` if the file does not exist.
    """
    text = read_text(folder, name, error, max_bytes)
    if text is None:
        return None
    return parse_object(text, str(pathlib.Path(folder) / name), error)


def parse_object(text, path, error):
    """Parses the JSON object in a file.

    Args:
        text: string or bytes, the content of the file.
        path: string, its path or URL, for messages.
        error: class of the exception that is raised.

    Returns:
        Dict.
    """
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as cause:
        raise error(f"{path!r} can't be read: {cause}") from cause
    if not isinstance(content, dict):
        raise error(f"{path!r} can't be read: expected a JSON object")
    return content


def parse_json(text):
    """Parses JSON text.

    Args:
        text: string or bytes.

    Raises:
        ValueError: if the text is not valid JSON, or an object has duplicate keys.
    """
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs):
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object has duplicate keys")
    return made


def _in_hub_cache(resolved, root):
    """Returns whether a link leads to the `blobs` of the Hub's cache from a snapshot.

    A preset in the cache is a folder in `snapshots`, whose files are links to `blobs`.
    """
    return any(
        parent.name == "snapshots" and resolved.is_relative_to(parent.parent / "blobs")
        for parent in root.parents
    )
