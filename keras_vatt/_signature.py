"""Tells files that this user's own commands wrote from those of others.

Some files name what lies outside of their folder, such as a preset or a folder of
media. What a user has named in a command may be opened again without asking; what a
stranger's file names may not. So such names are signed by a key that only this user of
this machine has. A file without a valid signature can still be used, with the names
given once more.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import stat

_KEY_FILE = "keras_vatt.key"
_KEY_BYTES = 32


def sign(names):
    """Returns the signature of names that this user has given.

    Args:
        names: dict of JSON types.

    Returns:
        String; `None` where no key can be kept.
    """
    key = _read_key() or _make_key()
    return None if key is None else _signature(names, key)


def is_signed(names, signature):
    """Returns whether this user has signed names.

    Args:
        names: dict of JSON types.
        signature: what was stored with them, of any type.

    Returns:
        bool.
    """
    key = _read_key()
    if key is None or not isinstance(signature, str) or not signature.isascii():
        return False
    return hmac.compare_digest(signature, _signature(names, key))


def _signature(names, key):
    text = json.dumps(names, sort_keys=True).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def _key_path():
    """Path of the key, in the folder in which Keras keeps a user's settings."""
    default = pathlib.Path("~").expanduser() / ".keras"
    return pathlib.Path(os.environ.get("KERAS_HOME", default)) / _KEY_FILE


def _read_key():
    """The key, unless others could have read or written it."""
    with contextlib.suppress(OSError):
        status = os.lstat(_key_path())
        is_private = stat.S_ISREG(status.st_mode) and _is_private(status)
        if is_private and status.st_size == _KEY_BYTES:
            return _key_path().read_bytes()
    return None


def _is_private(status):
    if not hasattr(os, "getuid"):  # Windows keeps a user's folder to the user.
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _make_key():
    """A new key, or the one that another process has made meanwhile."""
    path = _key_path()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    return _read_key()
