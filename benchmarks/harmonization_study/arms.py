"""The arms of the study: harmonizers, and the controls they are compared with.

Harmonizers, at the scope of the batch, of 8 groups or of each clip:

- `"sum"`: the plain sum of the losses. It also measures, without acting on them, the
  cosines of the clips. `"audit"` is the same, and compares the measures of
  `keras-vatt audit` with the truth during the training.
- `"realign"`, `"curriculum"`, `"curriculum+realign"`: Algorithms 1 and 2 of the paper,
  and both.
- `"pcgrad"`, `"gradvac"`, `"cagrad"`, `"upgrad"`. For two losses, PCGrad and UPGrad are
  Algorithm 1.
- `"random curriculum"`: skips as many clips of each batch as the curriculum does, at
  random (at the scope of the batch: as many steps as expected).

Controls, which skip a fraction of the clips of each batch, at the scope of the clip
(both losses lose it) or of the pair (one loss does):

- `"skip random"`; `"skip loss"`, those of the highest loss; `"skip similarity"`, those
  whose embeddings have the lowest cosine.
- `"oracle"`: the pairs that are misaligned.
- `"drop ..."`: the plain sum, after the worst fraction of the train clips by a measure
  of a first model was left out of the corpus. See `drops.py`.

The audio and the caption that are skipped leave the losses, as an anchor and as a
negative; the video stays a negative of other clips.
"""

import dataclasses
import functools

import numpy as np
from keras import ops

import keras_vatt
from keras_vatt import harmonization
from keras_vatt.harmonization import Harmonizer

_GROUPS = {"batch": 1, "8 groups": 8, "clip": "per_clip"}


def compile_arguments(run):
    """Returns the arguments of `VATT.compile` that the arm of a run needs.

    Args:
        run: `settings.Run`.

    Returns:
        Dict.
    """
    arm = run.arm
    if is_control(arm):
        return {}
    arguments = {
        "harmonizer": _harmonizer(run),
        "num_groups": _GROUPS[arm.scope],
    }
    if arm.gradients == "features":
        return arguments | {"compare": "features"}
    return arguments | {"harmonized_variables": arm.gradients}


def is_control(arm):
    return arm.rule == "oracle" or arm.rule.startswith(("skip ", "drop "))


def _harmonizer(run):
    arm, steps = run.arm, run.training.steps
    if arm.rule == "audit":
        return harmonization.get("sum")
    if "curriculum" not in arm.rule:
        return harmonization.get(arm.rule)
    numbers = np.random.default_rng((run.seed, 11)).uniform(
        size=(steps, _num_groups(run))
    )
    if arm.fraction:
        return RandomSteps(arm.fraction, numbers[:, 0])
    start, _, end = arm.threshold.partition(" to ")
    threshold = harmonization.LinearThreshold(float(start), float(end or start), steps)
    curriculum = harmonization.Curriculum(threshold)
    if arm.rule == "random curriculum":
        return RandomSkips(curriculum, numbers)
    if arm.rule == "curriculum+realign":
        return harmonization.Chain([curriculum, harmonization.Realignment()])
    return curriculum


def _num_groups(run):
    groups = _GROUPS[run.arm.scope]
    return run.training.batch_size if groups == "per_clip" else groups


class RandomSkips(Harmonizer):
    """Skips as many groups of a batch as a curriculum does, but random ones.

    Args:
        curriculum: `keras_vatt.harmonization.Curriculum`.
        numbers: float array `(steps, groups)`, the order in which groups are skipped.
    """

    def __init__(self, curriculum, numbers):
        self.curriculum = curriculum
        self.numbers = numbers.astype("float32")

    def harmonize(self, gram, step):
        _, apply = self.curriculum.harmonize(gram, step)
        numbers = ops.take(ops.convert_to_tensor(self.numbers), step, axis=0)
        return ops.ones_like(gram[..., 0]), ops.take(apply, ops.argsort(numbers))


class RandomSteps(Harmonizer):
    """Skips a fraction of the steps at random.

    Args:
        fraction: float.
        numbers: float array `(steps,)`, uniform in `[0, 1)`.
    """

    def __init__(self, fraction, numbers):
        self.fraction = fraction
        self.numbers = numbers.astype("float32")

    def harmonize(self, gram, step):
        number = ops.take(ops.convert_to_tensor(self.numbers), step)
        return ops.ones_like(gram[..., 0]), number >= self.fraction


class SelectiveVATT(keras_vatt.VATT):
    """A VATT whose losses leave out the clips of a batch that look the worst.

    Attributes:
        arm: `settings.Arm`, with the rule `"skip loss"` or `"skip similarity"`.
    """

    arm = None

    def branch_losses(self):
        losses = super().branch_losses()
        return [
            dataclasses.replace(
                loss,
                branches=tuple(self.backbone.modalities),
                per_sample=functools.partial(self._selected, losses, index),
            )
            for index, loss in enumerate(losses)
        ]

    def _selected(self, losses, index, outputs, batch):
        kept = kept_clips(self.arm, self._badness(losses, outputs, batch))[index]
        batch = self.mask_samples(batch, ops.stop_gradient(ops.cast(kept, "float32")))
        return losses[index].per_sample(outputs, batch)

    def _badness(self, losses, outputs, batch):
        """Returns how bad each clip looks, `(losses, clips)`."""
        if self.arm.rule == "skip similarity":
            return -ops.stack([_similarity(outputs, o) for o in ("audio", "text")])
        return ops.stack([loss.per_sample(outputs, batch) for loss in losses])


def _similarity(outputs, other):
    video, other = outputs["video"][f"to_{other}"], outputs[other]["to_video"]
    other = ops.reshape(other, ops.shape(video))
    return ops.sum(ops.normalize(video) * ops.normalize(other), axis=-1)


def kept_clips(arm, badness):
    """Returns which clips the losses keep, a bool tensor `(losses, clips)`."""
    if arm.scope == "clip":
        badness = ops.broadcast_to(ops.mean(badness, axis=0), ops.shape(badness))
    num_kept = round((1 - arm.fraction) * badness.shape[1])
    limit = ops.sort(badness, axis=1)[:, num_kept - 1 : num_kept]
    return badness <= limit
