"""The clips that `"drop ..."` arms leave out: the worst ones of a first model."""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np
from measures import measure
from records import key_of
from settings import SUM
from training import Trained

from keras_vatt.auditing._ranking import badness
from keras_vatt.auditing._settings import RANKED_BY


def dropped_clips(run, folder):
    """Returns the train clips that the arm of a run leaves out.

    Args:
        run: `settings.Run`. For `"drop loss"`, `"drop similarity"` and `"drop
            gradient"`, a model is trained first by the plain sum, with the same seed.
        folder: path of the folder of the corpora, where its measures are kept.

    Returns:
        int array of train clips; empty for other arms.
    """
    arm = run.arm
    if not arm.rule.startswith("drop "):
        return np.empty(0, "int64")
    if arm.rule == "drop random":
        scores = np.random.default_rng((run.seed, 13)).uniform(
            size=run.corpus.train_clips
        )
    else:
        name = RANKED_BY[arm.rule.removeprefix("drop ")]
        scores = badness(name, _first_measures(run, folder)[name])
    return np.argsort(-scores)[: round(arm.fraction * len(scores))]


def keep_measures(run, folder, measures):
    """Keeps the measures of a model of the plain sum, for `"drop ..."` arms."""
    path = _path(run, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{os.getpid()}_{path.name}")
    np.savez(partial, **measures)
    partial.replace(path)


def _first_measures(run, folder):
    path = _path(run, folder)
    if not path.is_file():
        first = dataclasses.replace(run, arm=SUM)
        keep_measures(run, folder, measure(Trained(first, folder).fit()))
    with np.load(path) as measures:
        return dict(measures)


def _path(run, folder):
    key = key_of(dataclasses.replace(run, arm=SUM))
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return pathlib.Path(folder) / "measures" / f"{digest}.npz"
