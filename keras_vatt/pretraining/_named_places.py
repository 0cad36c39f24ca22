"""Checks of what a run's settings name outside of its folder: data, presets, hosts.

The settings of a run that resumes are read from its folder, which may come from someone
else. Then they could name any file of this machine, or anything on the Hub. So what
they name is used only if this user has started the run, or names it again.
"""

import json
import os
import pathlib

from keras_vatt._files import atomic_write
from keras_vatt._signature import is_signed, sign
from keras_vatt._untrusted import read_object, regular_file
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.storage import built_in_presets

SIGNATURE = "settings.signature"
_MAX_BYTES = 1_000_000
_PROCESSES = ("coordinator", "num_processes", "process_id")
_MAX_NAMED = 5


def sign_places(settings, folder):
    """Notes in a run's folder that this user has given what its settings name.

    Args:
        settings: `PretrainSettings`.
        folder: `pathlib.Path` of the run.
    """
    signature = sign(_places(settings))
    with atomic_write(folder / SIGNATURE) as partial:
        partial.write_text(json.dumps({"signature": signature}), encoding="utf-8")


def check_settings_file(folder, name):
    """Refuses stored settings that are no regular file of the run.

    Args:
        folder: `pathlib.Path` of the run.
        name: string, the name of the file.

    Raises:
        PretrainingError: if the file leads out of the folder, is a pipe or the like,
            or is too large.
    """
    regular_file(folder, name, PretrainingError, _MAX_BYTES)


def is_own_run(settings, folder):
    """Returns whether this user has started a run with these places.

    Args:
        settings: `PretrainSettings`, as they are stored.
        folder: `pathlib.Path` of the run.

    Returns:
        bool.
    """
    stored = read_object(folder, SIGNATURE, PretrainingError, _MAX_BYTES) or {}
    return is_signed(_places(settings), stored.get("signature"))


def check_processes(settings, given):
    """Refuses to join other processes by a stranger's settings.

    Args:
        settings: `PretrainSettings` of a run that someone else has started.
        given: dict of the settings that the user gives now.

    Raises:
        PretrainingError: if they name processes and the user does not.
    """
    alone = {"coordinator": None, "num_processes": 1, "process_id": None}
    _refuse(
        {
            name: getattr(settings, name)
            for name in _PROCESSES
            if getattr(settings, name) != alone[name] and name not in given
        }
    )


def check_places(settings, given, folder):
    """Refuses what a stranger's settings name, and links out of the run and pipes.

    Args:
        settings: `PretrainSettings` of a run that someone else has started.
        given: dict of the settings that the user gives now.
        folder: `pathlib.Path` of the run.

    Raises:
        PretrainingError: if the settings name anything that the user does not, or the
            folder of the run has links that lead out of it, pipes or devices.
    """
    outside = {
        "data": None if settings.data == "demo" else settings.data,
        "preset": None if settings.preset in built_in_presets() else settings.preset,
        "vocabulary": settings.vocabulary,
        "allow_outside": settings.allow_outside or None,
    }
    _refuse(
        {
            name: place
            for name, place in outside.items()
            if place is not None and name not in given
        }
    )
    special = _special_files(folder)
    if special:
        raise PretrainingError(
            "the run was started by someone else, and has links out of its folder or "
            f"no regular files: {', '.join(map(repr, special[:_MAX_NAMED]))}. Remove "
            "them first"
        )


def _refuse(places):
    if places:
        options = " ".join(_option(name, place) for name, place in places.items())
        raise PretrainingError(
            "the run was started by someone else, or on another machine, and its "
            f"settings name what lies outside of it. If you trust them, add: {options}"
        )


def _option(name, place):
    option = f"--{name.replace('_', '-')}"
    return option if place is True else f"{option} {str(place)!r:.200}"


def _places(settings):
    names = ("data", "preset", "vocabulary", *_PROCESSES)
    places = {"file": "settings.json"} | {n: getattr(settings, n) for n in names}
    # Runs that an earlier version has begun are signed without it.
    return places | ({"allow_outside": True} if settings.allow_outside else {})


def _special_files(folder):
    """Paths of what is neither a regular file or folder nor a link to one inside."""
    root = pathlib.Path(folder).resolve()
    found = []
    for parent, folders, names in os.walk(root):
        paths = [pathlib.Path(parent, name) for name in (*folders, *names)]
        found += [path.relative_to(root) for path in paths if _is_special(path, root)]
    return sorted(map(str, found))


def _is_special(path, root):
    if path.is_symlink():
        return not pathlib.Path(os.path.realpath(path)).is_relative_to(root)
    return not (path.is_file() or path.is_dir())
