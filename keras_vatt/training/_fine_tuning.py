"""The optimizer of VATT's fine-tuning: momentum, and clipping of the backbone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt._keras_internals import built_variables
from keras_vatt.training._schedules import warmup_cosine

_WARMUP_FRACTION = 0.025  # 2,500 of 100,000 steps.


@keras.saving.register_keras_serializable(package="keras_vatt")
class FineTuningSGD(keras.optimizers.SGD):
    """Gradient descent with momentum that clips the backbone's gradients only.

    If the gradients of all variables of the backbone together have a larger norm than
    `backbone_clipnorm`, they are scaled down to it. A classifier's head, whose weights
    start from random ones, learns from its gradients as they are. Follows the
    fine-tuning of the original VATT code.

    A variable belongs to the head if the layer that owns it, the last but one part of
    the variable's `path`, is named `head_name`.

    With loss scaling, of a `keras.optimizers.LossScaleOptimizer` around it or by
    `loss_scale_factor`, the unscaled gradients are clipped. On the replicas of a
    TensorFlow strategy each clips its own before they are summed, as with Keras'
    `global_clipnorm`.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`.
            Defaults to `5e-3`.
        momentum: float. Defaults to `0.9`.
        backbone_clipnorm: float. `None` turns clipping off. Defaults to `0.75`.
        head_name: string. Name of the layer that is the head. Defaults to
            `"classifier"`, what VATT's classifiers call theirs.
        **kwargs: other arguments of `keras.optimizers.SGD`.

    Raises:
        ValueError: if `backbone_clipnorm` is not positive, or if gradients are to be
            accumulated or clipped in another way too.

    Example:
    ```python
    classifier.compile(
        optimizer=keras_vatt.training.FineTuningSGD(learning_rate=1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    ```
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 5e-3,
        momentum: float = 0.9,
        backbone_clipnorm: float | None = 0.75,
        head_name: str = "classifier",
        name: str = "fine_tuning_sgd",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        if backbone_clipnorm is not None and not backbone_clipnorm > 0:
            raise ValueError(
                "`backbone_clipnorm` must be positive, or `None` for no clipping. "
                f"Received: backbone_clipnorm={backbone_clipnorm}"
            )
        if backbone_clipnorm is not None:
            _refuse_other_clipping(self)
        self.backbone_clipnorm = backbone_clipnorm
        self.head_name = head_name

    def apply(
        self, grads: list[Any], trainable_variables: list[Any] | None = None
    ) -> None:
        """Updates the variables.

        Args:
            grads: list of gradients; `None` for a variable without one.
            trainable_variables: list of the variables. Defaults to `None`, those that
                the optimizer was built with.
        """
        if self.backbone_clipnorm is not None:
            variables = trainable_variables
            if variables is None:
                variables = built_variables(self)
            else:
                variables = trainable_variables = list(variables)
            grads = self._clipped(list(grads), variables)
        super().apply(grads, trainable_variables)

    def _clipped(self, grads, variables):
        # Keras raises an error if their numbers differ.
        chosen = [
            index
            for index, (grad, variable) in enumerate(
                zip(grads, variables, strict=False)
            )
            if grad is not None and not self._is_of_head(variable)
        ]
        if not chosen:
            return grads
        limit = self.backbone_clipnorm * (self.loss_scale_factor or 1.0)
        scale = limit / ops.maximum(_global_norm([grads[i] for i in chosen]), limit)
        for index in chosen:
            grads[index] = grads[index] * ops.cast(scale, grads[index].dtype)
        return grads

    def _is_of_head(self, variable):
        return variable.path.split("/")[-2:-1] == [self.head_name]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "backbone_clipnorm": self.backbone_clipnorm,
                "head_name": self.head_name,
            }
        )
        return config


def fine_tuning_optimizer(
    peak: float = 5e-3,
    warmup_steps: int | None = None,
    total_steps: int = 100_000,
    momentum: float = 0.9,
    backbone_clipnorm: float | None = 0.75,
    **kwargs: Any,
) -> FineTuningSGD:
    """Returns `FineTuningSGD` with the learning rates of VATT's fine-tuning.

    The learning rate rises from 0 to `peak` over the warm-up and falls along half a
    cosine to 0 at `total_steps`. With all defaults this is the schedule of VATT's
    fine-tuned models; pass `total_steps` for a shorter one of the same shape.

    Args:
        peak: float. The highest learning rate. Defaults to `5e-3`.
        warmup_steps: int. Defaults to `None`, 2.5 % of `total_steps`.
        total_steps: int. Batches of the whole training. Defaults to `100_000`.
        momentum: float. Defaults to `0.9`.
        backbone_clipnorm: float. See `FineTuningSGD`. Defaults to `0.75`.
        **kwargs: other arguments of `FineTuningSGD`.

    Returns:
        A `FineTuningSGD`.

    Raises:
        ValueError: if the warm-up is not shorter than the schedule.

    Example:
    ```python
    steps_per_epoch = len(clips) // 32
    classifier.compile(
        optimizer=fine_tuning_optimizer(total_steps=10 * steps_per_epoch),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    ```
    """
    if warmup_steps is None:
        warmup_steps = round(_WARMUP_FRACTION * total_steps)
    schedule = warmup_cosine(peak, 0.0, warmup_steps, total_steps)
    return FineTuningSGD(schedule, momentum, backbone_clipnorm, **kwargs)


def _refuse_other_clipping(optimizer):
    given = {
        name: getattr(optimizer, name)
        for name in (
            "clipnorm",
            "clipvalue",
            "global_clipnorm",
            "gradient_accumulation_steps",
        )
        if getattr(optimizer, name) is not None
    }
    if given:
        raise ValueError(
            "`FineTuningSGD` clips the gradients of each step by `backbone_clipnorm`, "
            "which can't be combined with other clipping or accumulated gradients. "
            f"Remove one, or set `backbone_clipnorm=None`. Received: {given}"
        )


def _global_norm(grads):
    squares = [ops.sum(ops.square(ops.cast(grad, "float32"))) for grad in grads]
    return ops.sqrt(sum(squares))
