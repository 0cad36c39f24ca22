"""Checks references in a run's settings to data, presets and hosts outside the run.

A resumed run reads its settings from its folder, which may come from someone else. They
could name any file of this machine, or any repository on the Hub. So what they name is
used only if this user started the run, or gives the name again.
"""

import os
import pathlib

from keras_vatt._files import write_json
from keras_vatt._signature import is_signed, sign
from keras_vatt._untrusted import read_object, regular_file
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.storage import built_in_presets

SIGNATURE = "settings.signature"
_MAX_BYTES = 1_000_000
_PROCESSES = ("coordinator", "num_processes", "process_id")
# Places that earlier versions did not know.
_ADDED = ("allow_outside", "initialize_from", "tracker")
_MAX_NAMED = 5


def sign_places(settings, folder):
    """Signs what a run's settings name outside the run as given by this user.

    Args:
        settings: `PretrainSettings`.
        folder: `pathlib.Path` of the run.
    """
    signature = sign(_places(settings))
    write_json(folder / SIGNATURE, {"signature": signature})


def check_settings_file(folder, name):
    """Raises an error unless the stored settings are a regular file of the run.

    Args:
        folder: `pathlib.Path` of the run.
        name: string, the name of the file.

    Raises:
        PretrainingError: if the file is a link out of the folder, is not a regular
            file, or is too large.
    """
    regular_file(folder, name, PretrainingError, _MAX_BYTES)


def is_own_run(settings, folder):
    """Returns whether this user has signed what a run's settings name.

    Args:
        settings: `PretrainSettings` as stored in the run's folder.
        folder: `pathlib.Path` of the run.

    Returns:
        bool.
    """
    stored = read_object(folder, SIGNATURE, PretrainingError, _MAX_BYTES) or {}
    return is_signed(_places(settings), stored.get("signature"))


def check_processes(settings, given):
    """Raises an error if someone else's settings name processes to connect to.

    Args:
        settings: `PretrainSettings` of a run that someone else has started.
        given: dict of the settings that the user gives now.

    Raises:
        PretrainingError: if the settings name processes and the user does not.
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
    """Raises an error if someone else's run refers to files outside of its folder.

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
        "preset": _unless_built_in(settings.preset),
        "initialize_from": _unless_built_in(settings.initialize_from),
        "vocabulary": settings.vocabulary,
        "allow_outside": settings.allow_outside or None,
        # It may send data to another host, in the name of this user.
        "tracker": settings.tracker,
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
            "the run was started by someone else, and has links out of its folder, "
            f"pipes or devices: {', '.join(map(repr, special[:_MAX_NAMED]))}. Remove "
            "them first"
        )


def _refuse(places):
    if places:
        options = " ".join(_option(name, place) for name, place in places.items())
        raise PretrainingError(
            "the run was started by someone else, or on another machine, and its "
            "settings refer to data, models or hosts outside of its folder. If you "
            f"trust them, add: {options}"
        )


def _option(name, place):
    option = f"--{name.replace('_', '-')}"
    if place is True:
        return option
    values = place if isinstance(place, tuple | list) else [place]
    return " ".join(f"{option} {str(value)!r:.200}" for value in values)


def _places(settings):
    names = ("data", "preset", "vocabulary", *_PROCESSES)
    places = {"file": "settings.json"} | {n: getattr(settings, n) for n in names}
    # Left out if not set, as in the signatures of runs of earlier versions.
    added = {name: getattr(settings, name) for name in _ADDED}
    return places | {name: value for name, value in added.items() if value}


def _unless_built_in(preset):
    return None if preset in built_in_presets() else preset


def _special_files(folder):
    """Lists the paths of pipes and devices in a folder, and of links out of it."""
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
