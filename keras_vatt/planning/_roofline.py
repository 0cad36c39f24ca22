"""How long a step takes at best, from what it computes, reads and sends."""

import dataclasses

FORMULA = (
    "step = max(FLOPs / (u x peak FLOP/s), HBM bytes / (w x HBM bytes/s)) "
    "+ sent bytes / (w x link bytes/s)"
)


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds that a step spends on each of the three, were it alone.

    Attributes:
        compute: float, on its FLOPs.
        memory: float, on what it moves between the chip and its memory.
        communication: float, on what the devices send to one another.
    """

    compute: float
    memory: float
    communication: float

    @property
    def seconds(self):
        """Of a step that waits for its communication, a float: `FORMULA`."""
        return max(self.compute, self.memory) + self.communication

    @property
    def overlapped_seconds(self):
        """Of a step that computes while it communicates, a float."""
        return max(self.compute, self.memory, self.communication)

    @property
    def bound(self):
        """What takes longest: `"compute"`, `"memory"` or `"communication"`."""
        return max(dataclasses.asdict(self).items(), key=lambda item: item[1])[0]


def estimate(
    chip,
    flops,
    memory_bytes,
    sent_bytes,
    flops_utilization=0.4,
    bandwidth_utilization=0.7,
):
    """The roofline of a step.

    Args:
        chip: `keras_vatt.planning.Chip`.
        flops: float, FLOPs of one device.
        memory_bytes: float, bytes that one device moves to and from its memory.
        sent_bytes: float, bytes that one device sends.
        flops_utilization: float, the assumed share of the peak FLOP/s. Defaults to
            `0.4`.
        bandwidth_utilization: float, the assumed share of both bandwidths. Defaults
            to `0.7`.

    Returns:
        `Roofline`.
    """
    # The cores of a chip share what it has.
    flops, memory_bytes, sent_bytes = (
        amount * chip.devices for amount in (flops, memory_bytes, sent_bytes)
    )
    return Roofline(
        compute=flops / (flops_utilization * chip.peak_flops),
        memory=memory_bytes / (bandwidth_utilization * chip.hbm_bandwidth),
        communication=sent_bytes / (bandwidth_utilization * chip.link_bandwidth),
    )


def cost(seconds, num_chips, price):
    """US dollars.

    Args:
        seconds: float, how long the chips are held.
        num_chips: int.
        price: float, US dollars for a chip and hour.

    Returns:
        float.
    """
    return seconds / 3600 * num_chips * price
