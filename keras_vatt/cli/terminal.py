"""The terminal of the command line: nothing that is printed can control it.

Messages, warnings, logs and progress bars have names of files, captions, and what the
Hub says. The streams themselves are wrapped, so that a new message is escaped too.
"""

import contextlib
import logging
import re
import sys
import traceback

from keras_vatt._printable import printable

# What draws progress bars needs to go back in its line, or up by lines, and Keras to
# use colors. What follows may hold names, such as tqdm's description of a download.
_LAYOUTS = {
    "tqdm": re.compile(r"(?:\n|\x1b\[A)+\Z|\r(?: *\r)?"),
    "keras": re.compile(r"\x08*\r"),
}
_COLOR = re.compile(r"(\x1b\[(?:0|1|3[0-7]|38;5;\d{1,3})m)")


class PrintableStream:
    """A text stream that escapes control characters; see `printable`.

    Args:
        stream: text stream that is written to. Whatever else one asks of this object
            is asked of it.
    """

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Writes text; returns its length."""
        # The function that calls this one, or that calls `print`.
        writer = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        self._stream.write(_made_safe(text, writer, self._stream))
        return len(text)

    def writelines(self, lines):
        """Writes several texts."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def printable_streams():
    """Wraps the standard output, the standard error and the logs for a `with` block.

    Example:
    ```python
    @printable_streams()
    def main():
        print(os.listdir())
    ```
    """
    raw = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(PrintableStream, raw)
    handlers = _replace_in_handlers(
        dict(zip(raw, (sys.stdout, sys.stderr), strict=True))
    )
    try:
        yield
    except Exception:
        # Python shows it after this block.
        sys.excepthook = _show_exception
        raise
    finally:
        for handler, stream in handlers.items():
            handler.setStream(stream)
        sys.stdout, sys.stderr = raw


def _replace_in_handlers(replacements):
    """Replaces streams of log handlers, of which TensorFlow makes one when imported.

    Returns:
        Dict from a handler to the stream that it had.
    """
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    # A placeholder has no handlers.
    handlers = {h for logger in loggers for h in getattr(logger, "handlers", ())}
    found = {
        handler: handler.stream
        for handler in handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in replacements
    }
    for handler, stream in found.items():
        handler.setStream(replacements[stream])
    return found


def _show_exception(kind, error, trace):
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(printable(text))


def _made_safe(text, writer, stream):
    layout = _LAYOUTS.get(writer)
    if layout is None:
        # What the terminal's encoding doesn't have is escaped too.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = printable(text).encode(encoding, "backslashreplace")
        return text.decode(encoding)
    start = layout.match(text)
    end = start.end() if start else 0
    return text[:end] + _colored(text[end:], writer)


def _colored(text, writer):
    if writer != "keras":
        return printable(text)
    parts = _COLOR.split(text)
    # The parts between the colors.
    parts[::2] = map(printable, parts[::2])
    return "".join(parts)
