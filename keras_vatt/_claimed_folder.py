"""Folders that belong to one piece of work, which resumes in them."""

import json
import pathlib

from keras_vatt._files import is_free_folder, write_json
from keras_vatt._untrusted import read_object

_SETTINGS = "settings.json"
_MAX_SETTINGS_BYTES = 4_000_000


def claim_folder(folder, facts, work, error, name=_SETTINGS):
    """Marks a folder as that of a piece of work, unless it has other files.

    Args:
        folder: string or path. It is created if it is missing.
        facts: dict. What the files in the folder depend on. Values that are not JSON
            types are replaced by their strings.
        work: string. Name of the work for messages, such as `"an evaluation"`.
        error: class of the exception that is raised if the folder has work with other
            facts, or files of any other kind.
        name: string. Name of the file that keeps the facts. Defaults to
            `"settings.json"`.
    """
    folder = pathlib.Path(folder)
    facts = json.loads(json.dumps(facts, default=str))
    found = read_object(folder, name, error, _MAX_SETTINGS_BYTES)
    if found is not None:
        differing = [key for key in facts | found if found.get(key) != facts.get(key)]
        if differing:
            raise error(
                f"{str(folder)!r} has {work} with other settings "
                f"({', '.join(differing)}): choose another folder"
            )
        return
    if not is_free_folder(folder):
        raise error(f"{str(folder)!r} is not empty: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / name, facts)
