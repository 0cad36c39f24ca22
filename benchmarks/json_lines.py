"""Results of long benchmarks, one JSON object per line, which survive a stop."""

import json
import os


def read_lines(path):
    """Returns the objects of a file, or an empty list if there is no file.

    A line that was cut off by a stop is ignored.
    """
    return list(_objects(path)) if path.exists() else []


def _objects(path):
    for line in path.read_text("utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def add_line(path, content):
    """Appends an object to a file, on the disk when the function returns."""
    with path.open("a", encoding="utf-8") as file:
        # After a stop in the middle of a line, start on a new one.
        file.write(("\n" if _is_cut(path) else "") + json.dumps(content) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _is_cut(path):
    content = path.read_bytes()
    return bool(content) and not content.endswith(b"\n")
