"""Columns of a manifest: which are needed, and which were probably meant."""

_LIKELY_NAMES = {
    "path": ("video", "file", "filepath", "filename", "video_path", "file_path"),
    "caption": ("text", "captions", "sentence", "transcript", "description"),
    "start": ("begin", "start_time", "start_sec", "from"),
    "end": ("stop", "end_time", "end_sec", "to"),
}
_MOST_SHOWN = 200


def check_header(header, manifest):
    """Refuses the header of a CSV manifest that has no `path` column.

    Args:
        header: list of strings, the names of the columns.
        manifest: path, for the message.

    Raises:
        ValueError: If there is no such column. It shows the header.
    """
    if "path" in header:
        return
    raise ValueError(f"{manifest} {missing_column('path', header)}")


def missing_column(name, found):
    """Returns a message that says which column is missing, and which was meant.

    Args:
        name: string, the column.
        found: collection of strings, all available columns.

    Returns:
        String.
    """
    if not found:
        return f"has no `{name}` column: it is empty"
    shown = ", ".join(f"`{column}`" for column in found)
    message = f"has no `{name}` column. Its columns are {shown:.{_MOST_SHOWN}}"
    if len(found) == 1:
        (line,) = found
        delimiter = next((char for char in ";\t|" if char in line), None)
        if delimiter is not None:
            return f"{message}: separate them by commas instead of {delimiter!r}"
    meant = _meant(name, found)
    return message if meant is None else f"{message}: rename `{meant}` to `{name}`"


def renamed_columns(header):
    """Returns a message for each column that is ignored because of its name.

    Args:
        header: list of strings, the names of the columns.

    Returns:
        List of strings.
    """
    wanted = [name for name in _LIKELY_NAMES if name not in header]
    meant = ((name, _meant(name, header)) for name in wanted)
    return [
        f"the column `{column}` is not read: rename it to `{name}`, if that is what "
        "it is"
        for name, column in meant
        if column is not None
    ]


def _meant(name, found):
    likely = (name, *_LIKELY_NAMES[name])
    return next((column for column in found if column.lower() in likely), None)
