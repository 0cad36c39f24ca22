"""The learning-rate schedules of VATT and of gradient harmonization."""

from __future__ import annotations

import warnings

import keras

# Below this fraction of its schedule a run is warned of.
_MIN_FRACTION = 0.5


def warmup_cosine(
    peak: float = 1e-4,
    end: float = 5e-5,
    warmup_steps: int = 10_000,
    total_steps: int = 500_000,
    name: str = "warmup_cosine",
) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up from 0, then half a cosine, then constant.

    The defaults are the schedule of the gradient harmonization paper. VATT's own
    code warms up over 5,000 steps; its fine-tuning recipe is
    `warmup_cosine(5e-3, 0.0, 2_500, 100_000)`.

    Args:
        peak: float. Learning rate at the end of the warm-up. Defaults to
            `1e-4`.
        end: float. Learning rate from `total_steps` on. Defaults to `5e-5`.
        warmup_steps: int. Steps of warm-up. Defaults to `10_000`.
        total_steps: int. Steps until `end` is reached. Defaults to `500_000`.
        name: string. Name of the schedule.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`, finite at every step.

    Raises:
        ValueError: if the warm-up is not shorter than the whole, or a learning rate is
            negative or not finite.

    Example:
    ```python
    optimizer = keras.optimizers.Adam(keras_vatt.training.warmup_cosine())
    ```
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            "`warmup_steps` must be less than `total_steps`. Received: "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}"
        )
    if not (0 < peak < float("inf") and 0 <= end < float("inf")):
        raise ValueError(
            "`peak` must be positive, `end` not negative, and both finite. "
            f"Received: peak={peak}, end={end}"
        )
    # From an int Keras' schedule takes an integer pi.
    peak, end = float(peak), float(end)
    if warmup_steps == 0:
        return keras.optimizers.schedules.CosineDecay(
            peak, total_steps, alpha=end / peak, name=name
        )
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=total_steps - warmup_steps,
        alpha=end / peak,
        warmup_target=peak,
        warmup_steps=warmup_steps,
        name=name,
    )


def warn_of_a_long_schedule(optimizer, num_steps):
    """Warns if a run ends before half of the learning-rate schedule.

    Args:
        optimizer: `keras.optimizers.Optimizer`. Only the schedules of `warmup_cosine`
            have a length.
        num_steps: int, the batches that the run takes; `None` where it is unknown.
    """
    total_steps = _length(optimizer)
    if total_steps is None or num_steps is None:
        return
    last = int(optimizer.iterations) + num_steps
    if last < _MIN_FRACTION * total_steps:
        warnings.warn(
            f"The optimizer's learning-rate schedule takes {total_steps} steps, and "
            f"this run ends after {last}, with most of the schedule left. Train for "
            f"more epochs, or shorten it (`total_steps={last}`).",
            stacklevel=3,
        )


def _length(optimizer):
    """Steps of an optimizer's cosine schedule, an int; `None` without one."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = optimizer.get_config().get("learning_rate")
    if not isinstance(rate, dict) or rate.get("class_name") != "CosineDecay":
        return None
    config = rate["config"]
    return config["decay_steps"] + (config["warmup_steps"] or 0)
