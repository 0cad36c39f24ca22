"""The error that a user of the command line can fix."""


class CommandError(Exception):
    """Bad arguments or missing files; its message is one clear line.

    Other exceptions are defects and show their traceback.
    """
