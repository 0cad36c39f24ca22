"""Estimates the time of a step from its FLOPs, memory traffic and communication."""

from __future__ import annotations

import dataclasses

from keras_vatt.planning._topologies import Chip

FORMULA = (
    "step = max(FLOPs / (u x peak FLOP/s), HBM bytes / (w x HBM bytes/s)) "
    "+ sent bytes / (w x link bytes/s)"
)


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Lower bounds in seconds for the three parts of a step.

    Attributes:
        compute: float, time of the FLOPs.
        memory: float, time of the traffic between a chip and its memory.
        communication: float, time of the traffic between devices.
    """

    compute: float
    memory: float
    communication: float

    @property
    def seconds(self) -> float:
        """Seconds of a step that doesn't overlap communication; see `FORMULA`."""
        return max(self.compute, self.memory) + self.communication

    @property
    def overlapped_seconds(self) -> float:
        """Seconds of a step that overlaps communication with computation."""
        return max(self.compute, self.memory, self.communication)

    @property
    def bound(self) -> str:
        """The slowest part: `"compute"`, `"memory"` or `"communication"`."""
        return max(dataclasses.asdict(self).items(), key=lambda item: item[1])[0]


def estimate(
    chip: Chip,
    flops: float,
    memory_bytes: float,
    sent_bytes: float,
    flops_utilization: float = 0.4,
    bandwidth_utilization: float = 0.7,
) -> Roofline:
    """Computes the roofline of a step.

    Args:
        chip: `keras_vatt.planning.Chip`.
        flops: float, FLOPs of one device.
        memory_bytes: float, bytes that one device moves to and from its memory.
        sent_bytes: float, bytes that one device sends.
        flops_utilization: float, the assumed fraction of the peak FLOP/s. Defaults
            to `0.4`.
        bandwidth_utilization: float, the assumed fraction of both bandwidths.
            Defaults to `0.7`.

    Returns:
        `Roofline`.
    """
    # The figures of `chip` are for all of its devices together.
    flops, memory_bytes, sent_bytes = (
        amount * chip.devices for amount in (flops, memory_bytes, sent_bytes)
    )
    return Roofline(
        compute=flops / (flops_utilization * chip.peak_flops),
        memory=memory_bytes / (bandwidth_utilization * chip.hbm_bandwidth),
        communication=sent_bytes / (bandwidth_utilization * chip.link_bandwidth),
    )


def cost(seconds: float, num_chips: int, price: float) -> float:
    """Computes the cost of using chips for some time.

    Args:
        seconds: float, the time.
        num_chips: int, number of chips.
        price: float, US dollars per chip-hour.

    Returns:
        float, US dollars.
    """
    return seconds / 3600 * num_chips * price
