"""Escapes control characters in all output of the command line.

Messages, warnings, logs and progress bars contain untrusted text: file names, captions,
answers of the Hub. This module wraps the streams, so that every message is escaped.
"""

import contextlib
import logging
import re
import sys
import traceback

from keras_vatt._printable import printable

# Libraries that draw progress bars move the cursor, and Keras uses colors. Only these
# sequences are kept: the text after them may be untrusted, such as a file name.
_LAYOUTS = {
    "tqdm": re.compile(r"(?:\n|\x1b\[A)+\Z|\r(?: *\r)?"),
    "keras": re.compile(r"\x08*\r"),
}
_COLOR = re.compile(r"(\x1b\[(?:0|1|3[0-7]|38;5;\d{1,3})m)")


class PrintableStream:
    """A text stream that escapes control characters; see `printable`.

    Args:
        stream: text stream to write to. All other attributes are those of this stream.
    """

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Writes text; returns its length."""
        # The caller of this method, or of `print`, which has no frame of its own.
        writer = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        self._stream.write(_made_safe(text, writer, self._stream))
        return len(text)

    def writelines(self, lines):
        """Writes several texts."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def printable_streams():
    """Wraps standard output, standard error and log handlers during a `with` block.

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
        # Python prints the traceback after this block, to the unwrapped stream.
        sys.excepthook = _show_exception
        raise
    finally:
        for handler, stream in handlers.items():
            handler.setStream(stream)
        sys.stdout, sys.stderr = raw


def _replace_in_handlers(replacements):
    """Replaces the streams of log handlers, such as the one of TensorFlow.

    Returns:
        Dict from handler to its original stream.
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
        # Characters that the terminal can't encode are escaped too.
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
    # Parts at odd positions are colors.
    parts[::2] = map(printable, parts[::2])
    return "".join(parts)
