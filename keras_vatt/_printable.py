r"""Escapes control characters in untrusted text, such as file names and model cards.

Control characters can hide or replace lines of a terminal, set its title, or write to
the clipboard. Bidirectional controls can show a name as another one, such as `exe.mp4`
for `4pm.exe`.
"""

import re

# C0 and C1 control characters except tab and newline; characters with the Unicode
# property Bidi_Control; line and paragraph separators; and surrogates, by which Python
# represents bytes of a file name that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)
_BREAKS = re.compile("[\t\n]")


def printable(text):
    r"""Escapes control characters, as Python does in string literals.

    Args:
        text: string, with any number of lines.

    Returns:
        string. Tabs and newlines are kept, and `\r\n` becomes a newline.

    Example:
    ```python
    printable("\x1b[2Jtalk.mp4")  # The text "\\x1b[2Jtalk.mp4".
    ```
    """
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def printable_line(text):
    """Escapes control characters, including tabs and newlines.

    Otherwise, a file name with a newline could forge a line of a report.

    Args:
        text: string.

    Returns:
        string of one line.
    """
    return _BREAKS.sub(_escape, _UNSAFE.sub(_escape, text))


def _escape(match):
    return match[0].encode("unicode_escape").decode("ascii")
