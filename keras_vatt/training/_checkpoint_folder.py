"""The checkpoints of a run: which of them are whole, and how one gets its place."""

import asyncio
import os
import pathlib
import shutil
import warnings

import jax
import numpy as np
import orbax.checkpoint as ocp

from keras_vatt._errors import KerasVATTError
from keras_vatt.training._checksums import find_damage, has_checksums, write_checksums

# A checkpoint of this suffix was damaged. It is never read again.
DAMAGED = ".damaged"
_NONE, _NONE_WHOLE = -1, -2


class CheckpointError(KerasVATTError, ValueError):
    """A checkpoint that can't be resumed from."""


class SealedPath(ocp.path.atomicity.AtomicRenameTemporaryPath):
    """The place where Orbax writes a checkpoint, sealed with checksums at the end.

    Orbax finishes the checkpoint under a name that is still a temporary one. There
    the files of all processes get their checksums, and then the checkpoint its name:
    none that has it lacks them. The first process does so, in a background thread.
    """

    def __init__(self, temporary_path, final_path, **options):
        # Orbax makes the folders of items in the same way.
        self._is_item = ocp.path.atomicity.TMP_DIR_SUFFIX in final_path.parent.name
        self._sealed = final_path
        if not self._is_item:
            suffix = f"{ocp.path.atomicity.TMP_DIR_SUFFIX}-unsealed"
            final_path = final_path.with_name(final_path.name + suffix)
        super().__init__(temporary_path, final_path, **options)
        self._unsealed = final_path

    def get_final(self):
        return self._sealed

    async def finalize(self):
        await super().finalize()
        if self._is_item:
            return
        await asyncio.to_thread(write_checksums, self._unsealed, self._sealed.name)
        self._unsealed.rename(self._sealed)


def is_bucket(folder):
    """Returns whether a folder is a bucket, such as `gs://...`, a bool.

    There are no renames there, and the store keeps checksums of its own.
    """
    return "://" in os.fspath(folder)


def newest_whole(folder, unreadable):
    """Find the newest checkpoint that is as it was written.

    With several processes, the first one looks and tells the others.

    Args:
        folder: path of the checkpoints.
        unreadable: dict from step to what is wrong with it, of checkpoints that are
            known to be damaged. Those that are found here are added.

    Returns:
        Int, the step; `None` if there is no checkpoint.

    Raises:
        CheckpointError: if there are checkpoints and all are damaged.
    """
    found = _search(folder, unreadable) if jax.process_index() == 0 else _NONE
    if jax.process_count() > 1:
        found = _of_first_process(found)
    if found == _NONE_WHOLE:
        raise CheckpointError(_nothing_left(folder, unreadable))
    return None if found == _NONE else found


def set_aside(folder, damages):
    """Rename damaged checkpoints, so that the run can write those steps again.

    With several processes, all of them call it, and the first one does it.

    Args:
        folder: path of the checkpoints.
        damages: dict from step to what is wrong with it, which the first process
            knows.

    Returns:
        Bool, in all processes, whether any was renamed.

    Raises:
        CheckpointError: if that can't be done.
    """
    for step in damages if jax.process_index() == 0 else ():
        place = pathlib.Path(folder) / str(step)
        aside = place.with_name(place.name + DAMAGED)
        try:
            shutil.rmtree(aside, ignore_errors=True)
            place.rename(aside)
        except OSError as error:
            raise CheckpointError(
                f"The damaged checkpoint {str(place)!r} can't be renamed, which makes "
                f"way for the run that resumes: {error.strerror}"
            ) from error
    if jax.process_count() > 1:
        return bool(_of_first_process(len(damages)))
    return bool(damages)


def warn_of_damage(folder, step, damages):
    """Warn that a run resumes from an older checkpoint or an unchecked one.

    Args:
        folder: path of the checkpoints.
        step: int, the step that the run resumes from.
        damages: dict from step to what is wrong with it.
    """
    if jax.process_index() != 0:
        return
    for damaged, reason in damages.items():
        warnings.warn(
            f"The checkpoint of step {damaged} is damaged: {reason}. The run resumes "
            f"from the older one of step {step}. What is left of the damaged one is "
            f"in '{pathlib.Path(folder) / str(damaged)}{DAMAGED}'.",
            stacklevel=4,
        )
    if not has_checksums(pathlib.Path(folder) / str(step)):
        warnings.warn(
            f"The checkpoint of step {step} in {str(folder)!r} has no checksums, as it "
            "was written by an earlier version: damage of it can't be noticed.",
            stacklevel=4,
        )


def _search(folder, unreadable):
    steps = _steps(pathlib.Path(folder))
    for step in steps:
        if step in unreadable:
            continue
        damage = find_damage(pathlib.Path(folder) / str(step))
        if damage is None:
            return step
        unreadable[step] = damage
    return _NONE_WHOLE if steps else _NONE


def _steps(folder):
    """The steps of all checkpoints in a folder, the newest first."""
    if not folder.is_dir():
        return []
    names = [path.name for path in folder.iterdir()]
    return sorted(
        (int(n) for n in names if n.isascii() and n.isdecimal()), reverse=True
    )


def _nothing_left(folder, damages):
    text = f"No checkpoint in {str(folder)!r} is whole, so the run can't be resumed. "
    if not damages:  # Only the first process knows more.
        return text + "The first process says what is damaged."
    reasons = "; ".join(f"step {step}: {reason}" for step, reason in damages.items())
    return (
        f"{text}{reasons}. Copy them here again from a backup, or start a new run in "
        "another folder."
    )


def _of_first_process(number):
    """The number that the first process has; all processes wait for one another."""
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))
