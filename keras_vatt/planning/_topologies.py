"""The TPUs that a step can be compiled for, and what their chips have.

The figures are those of Google's public documentation of each TPU version
(cloud.google.com/tpu/docs), written down in 2026 without looking them up again: check
those that you plan with. Prices are an assumption, not a quotation.
"""

import dataclasses
import math
import re

from keras_vatt.planning._errors import PlanningError

PRICE_NOTE = (
    "on-demand list price in the United States as of 2025, an assumption: look yours "
    "up and give it by --price"
)

# XLA's default; a slice of a single chip has to say that it isn't part of a host's 4.
_CHIPS_PER_HOST = (2, 2, 1)


@dataclasses.dataclass(frozen=True)
class Chip:
    """One version of TPU.

    Attributes:
        name: string, the first part of a topology's name.
        dimensions: int, of the torus or mesh that its slices are: 2 or 3.
        devices: int, how many devices a chip is to JAX: its cores, or 1 where they
            work as one.
        hbm_gib: float, the memory of a chip in GiB, as documented.
        usable_gib: float, the part that XLA lets a program have on one device: what
            its refusals name.
        peak_flops: float, bfloat16 FLOP/s of a chip.
        hbm_bandwidth: float, bytes per second between a chip and its memory.
        link_bandwidth: float, bytes per second that a chip sends over all of its
            links. Documents give both directions together from v5e on; here it is
            one.
        price: float, US dollars for a chip and hour; see `PRICE_NOTE`.
        largest: tuple of ints, the largest slice.
        options: dict, what XLA needs to know besides the name.
    """

    name: str
    dimensions: int
    devices: int
    hbm_gib: float
    usable_gib: float
    peak_flops: float
    hbm_bandwidth: float
    link_bandwidth: float
    price: float
    largest: tuple[int, ...]
    options: dict = dataclasses.field(default_factory=dict)


# The links of v2 and v3 are in "A Domain Specific Supercomputer for Training Deep
# Neural Networks" (4 of 496 and 656 Gbit/s), those of v4 in "TPU v4: An Optically
# Reconfigurable Supercomputer" (6 of 50 GB/s).
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v2", 2, 2, 16, 7.48, 45e12, 700e9, 248e9, 1.125, (16, 16)),
        Chip("v3", 2, 2, 32, 15.48, 123e12, 900e9, 328e9, 2.00, (32, 32)),
        Chip(
            "v4",
            *(3, 1, 32, 30.75, 275e12, 1200e9, 300e9, 3.22, (16, 16, 16)),
            # Both cores of a chip as one device, as Cloud TPU runs them.
            {"chip_config_name": "megacore"},
        ),
        Chip("v5e", 2, 1, 16, 15.75, 197e12, 819e9, 200e9, 1.20, (16, 16)),
        Chip("v5p", 3, 1, 95, 95.73, 459e12, 2765e9, 600e9, 4.20, (16, 16, 24)),
        Chip("v6e", 2, 1, 32, 31.24, 918e12, 1638e9, 400e9, 2.70, (16, 16)),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice of TPU chips.

    Attributes:
        chip: `Chip`.
        shape: tuple of ints, its chips along each dimension.
    """

    chip: Chip
    shape: tuple[int, ...]

    @property
    def name(self):
        """As it was given, such as `"v4:2x2x1"`."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def num_chips(self):
        """How many chips it has, an int."""
        return math.prod(self.shape)

    @property
    def num_devices(self):
        """How many devices it is to JAX, an int."""
        return self.num_chips * self.chip.devices

    def options(self):
        """Keyword arguments of `jax.experimental.topologies.get_topology_desc`."""
        options = dict(self.chip.options)
        if self.num_chips == 1:
            options["chips_per_host_bounds"] = (1, 1, 1)
        return options


def parse_topology(name):
    """A slice by its name.

    Args:
        name: string, the version and the chips along each dimension, such as
            `"v5e:4x4"` or `"v4:4x4x8"`.

    Returns:
        `Topology`.

    Raises:
        PlanningError: if there is no such slice; the message lists those known.

    Example:
    ```python
    parse_topology("v3:8x16").num_devices  # 256: a v3 chip is two devices
    ```
    """
    version, _, extents = name.partition(":")
    chip = CHIPS.get(version)
    if chip is None or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", extents):
        raise PlanningError(f"there is no topology {name!r}: {known_topologies()}")
    shape = tuple(map(int, extents.split("x")))
    if len(shape) != chip.dimensions or not _fits(shape, chip.largest):
        raise PlanningError(
            f"{version} has no slice of {extents} chips: {known_topologies()}"
        )
    if math.prod(shape) > 1 and any(map(_splits_host, shape, _CHIPS_PER_HOST)):
        raise PlanningError(
            f"{name!r} cuts hosts apart, which are 2x2 chips each: give even numbers "
            f"for the first two dimensions"
        )
    return Topology(chip, shape)


def known_topologies():
    """What `parse_topology` takes, a string of one line."""
    forms = [f"{c.name}:{'x'.join('NMK'[: c.dimensions])}" for c in CHIPS.values()]
    largest = [f"{c.name}:{'x'.join(map(str, c.largest))}" for c in CHIPS.values()]
    return f"known are {', '.join(forms)}, up to {', '.join(largest)}"


def _fits(shape, largest):
    return all(map(int.__le__, sorted(shape), sorted(largest)))


def _splits_host(extent, host_extent):
    return extent % host_extent != 0
