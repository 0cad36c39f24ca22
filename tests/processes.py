"""Programs that tests run in a process of their own."""

import subprocess
import sys


def run(code, *arguments):
    """Runs Python code in a new process, and returns the `CompletedProcess`."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
