"""Signs names that a user has given, to recognize them in files read later.

Some files refer to data outside of their folder, such as a preset or a folder of media
files. Names that this user has given in a command may be opened without asking; names
in files from someone else may not. So such names are signed with a key that only this
user of this machine has. Files without a valid signature can still be used, if the user
gives the names again.
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
        String; `None` if no key can be stored.
    """
    key = _read_key() or _make_key()
    return None if key is None else _signature(names, key)


def is_signed(names, signature):
    """Returns whether this user has signed names.

    Args:
        names: dict of JSON types.
        signature: signature that was stored with the names. May have any type.

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
    """Returns the path of the key, in the folder of the user's Keras settings."""
    default = pathlib.Path("~").expanduser() / ".keras"
    return pathlib.Path(os.environ.get("KERAS_HOME", default)) / _KEY_FILE


def _read_key():
    """Returns the key; `None` if there is none or others have access to it."""
    with contextlib.suppress(OSError):
        status = os.lstat(_key_path())
        is_private = stat.S_ISREG(status.st_mode) and _is_private(status)
        if is_private and status.st_size == _KEY_BYTES:
            return _key_path().read_bytes()
    return None


def _is_private(status):
    if not hasattr(os, "getuid"):  # On Windows, home folders are private by default.
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _make_key():
    """Makes a key, unless another process has made one, and returns it."""
    path = _key_path()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    return _read_key()
