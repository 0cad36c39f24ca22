"""The address below which the authors' files are downloaded."""

import ipaddress
import os
import re
import urllib.parse

from keras_vatt.storage._preset_files import PresetError

VARIABLE = "KERAS_VATT_WEIGHTS_URL"
PUBLIC = "https://storage.googleapis.com/tf_model_garden/vision/vatt"
# The same files for a browser, which asks to log in.
BROWSER = "https://storage.cloud.google.com/tf_model_garden/vision/vatt"


def weights_address(address: str | None = None) -> str:
    """Returns the base address of the published files.

    Args:
        address: string. Defaults to `None`: the environment variable
            `KERAS_VATT_WEIGHTS_URL`, or else the authors' public storage.

    Returns:
        String without a final slash.

    Raises:
        PresetError: if it is not an `https` address, nor an `http` address of this
            machine; or if it has a user name, a query or a fragment.
    """
    address = address or os.environ.get(VARIABLE) or PUBLIC
    if not _is_allowed(address):
        raise PresetError(
            f"The address of the published weights must begin with https://, or with "
            "http:// for a server on this machine, and have no user name, query or "
            f"fragment. Change {VARIABLE} or `--weights-url`. Received: "
            f"{_without_user(address)!r}"
        )
    return address.rstrip("/")


def _is_allowed(address):
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        return False
    if not address.isprintable() or " " in address:
        return False
    return parts.scheme == "https" or parts.scheme == "http" and _is_loopback(host)


def _without_user(address):
    """Hides a user name and a password, which messages must not show."""
    return re.sub(r"//[^/]*@", "//...@", address)


def _is_loopback(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
