"""Checks the header of a manifest: missing columns, and columns with a wrong name."""

_LIKELY_NAMES = {
    "path": ("video", "file", "filepath", "filename", "video_path", "file_path"),
    "caption": ("text", "captions", "sentence", "transcript", "description"),
    "start": ("begin", "start_time", "start_sec", "from"),
    "end": ("stop", "end_time", "end_sec", "to"),
}
_MOST_SHOWN = 200


def check_header(header, manifest):
    """Raises a `ValueError` if a CSV manifest has no `path` column.

    Args:
        header: List of strings. Names of the columns.
        manifest: Path of the manifest, for the message.

    Raises:
        ValueError: If there is no such column. The message shows the header.
    """
    if "path" in header:
        return
    raise ValueError(f"{manifest} {missing_column('path', header)}")


def missing_column(name, found):
    """Returns a message that names a missing column, and the column to rename.

    Args:
        name: str. Name of the missing column.
        found: Collection of strings. Names of the available columns.

    Returns:
        A string.
    """
    if not found:
        return f"has no `{name}` column: the manifest is empty"
    shown = ", ".join(f"`{column}`" for column in found)
    message = f"has no `{name}` column. Its columns are {shown:.{_MOST_SHOWN}}"
    if len(found) == 1:
        (line,) = found
        delimiter = next((char for char in ";\t|" if char in line), None)
        if delimiter is not None:
            return f"{message}: separate them with commas instead of {delimiter!r}"
    meant = _meant(name, found)
    return message if meant is None else f"{message}: rename `{meant}` to `{name}`"


def renamed_columns(header):
    """Returns a message for each column that is ignored because of its name.

    Args:
        header: List of strings. Names of the columns.

    Returns:
        List of strings.
    """
    wanted = [name for name in _LIKELY_NAMES if name not in header]
    meant = ((name, _meant(name, header)) for name in wanted)
    return [
        f"the column `{column}` is not read: rename it to `{name}` to use it"
        for name, column in meant
        if column is not None
    ]


def _meant(name, found):
    likely = (name, *_LIKELY_NAMES[name])
    return next((column for column in found if column.lower() in likely), None)
