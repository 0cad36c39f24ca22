"""Uploads the presets of the published checkpoints to the Hugging Face Hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from keras_vatt.conversion._published import check_published, fetch_preset
from keras_vatt.models._preset_task import load_task
from keras_vatt.storage import PresetError
from keras_vatt.storage._hub import has_weights_on_hub
from keras_vatt.storage._memory_size import release_memory
from keras_vatt.storage._published_cache import cached_preset
from keras_vatt.storage._published_checkpoints import PUBLISHED


def publish_presets(
    owner: str,
    names: Iterable[str] = (),
    address: str | None = None,
    private: bool | None = None,
    overwrite: bool = False,
    keep: bool = False,
    report: Callable[[str], None] = print,
) -> dict[str, str]:
    """Converts published checkpoints and uploads them to `OWNER/NAME` on the Hub.

    An upload is one commit, so that a repository has either all files of a preset or
    none. Presets that are on the Hub already are skipped: after an interruption, call
    it again. A preset that fails doesn't stop the others.

    Args:
        owner: string, the user or organization on the Hub.
        names: iterable of strings, names of built-in presets. Defaults to `()`, all
            with a published checkpoint.
        address: string; see `fetch_preset`.
        private: bool. Whether new repositories are private. Defaults to `None`, the
            default of the account.
        overwrite: bool. Whether to upload presets that are on the Hub already.
            Defaults to `False`.
        keep: bool. Whether to keep the presets in the cache. Defaults to `False`: each
            one is removed after its upload, unless it was there before.
        report: function that gets a line of text for each preset. Defaults to `print`.

    Returns:
        Dict from the name of a preset to the error that stopped it; empty if none.

    Raises:
        PresetError: if no checkpoint of a name was published.

    Example:
    ```python
    from keras_vatt.conversion import publish_presets

    publish_presets("owner", ["vatt_wat_base_audioset"], private=True)
    ```
    """
    names = list(names) or sorted(PUBLISHED)
    for name in names:
        check_published(name)
    errors = {}
    for number, name in enumerate(names, start=1):
        try:
            outcome = _publish(name, owner, address, private, overwrite, keep)
        except PresetError as error:
            outcome = f"failed: {error}"
            errors[name] = str(error)
        report(f"{number}/{len(names)} {name}: {outcome}")
    return errors


def _publish(name, owner, address, private, overwrite, keep):
    repository = f"{owner}/{name}"
    if not overwrite and has_weights_on_hub(repository):
        return f"is on the Hub already: hf://{repository}"
    was_cached = cached_preset(name) is not None
    folder = fetch_preset(name, address=address)
    url = load_task(folder).push_to_hub(repository, private=private)
    release_memory()
    if not (keep or was_cached):
        shutil.rmtree(folder)
    return f"uploaded to {url}"
