"""The TPU topologies that a step can be compiled for, and the figures of their chips.

The figures are those of Google's public documentation of each TPU version
(cloud.google.com/tpu/docs), written from memory in 2026: check those that you plan
with. Prices are assumptions, not quotes.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from keras_vatt.planning._errors import PlanningError

PRICE_NOTE = (
    "assumed on-demand list price in the United States as of 2025; pass yours by "
    "--price"
)

# XLA's default. A slice of one chip must override it; see `Topology.options`.
_CHIPS_PER_HOST = (2, 2, 1)


@dataclasses.dataclass(frozen=True)
class Chip:
    """The chip of a TPU version.

    Attributes:
        name: string, the first part of a topology's name, such as `"v5e"`.
        dimensions: int, dimensions of the torus or mesh of a slice: 2 or 3.
        devices: int, number of JAX devices per chip: the number of its cores, or 1 if
            the cores act as one device.
        hbm_gib: float, the documented memory of a chip in GiB.
        usable_gib: float, the memory in GiB that XLA lets a program use on one device,
            from XLA's out-of-memory messages.
        peak_flops: float, bfloat16 FLOP/s of a chip.
        hbm_bandwidth: float, bytes per second between a chip and its memory.
        link_bandwidth: float, bytes per second that a chip sends over all of its
            links, in one direction. (From v5e on, the documentation adds up both.)
        price: float, US dollars per chip-hour; see `PRICE_NOTE`.
        largest: tuple of ints, the shape of the largest slice.
        options: dict, further arguments that XLA needs for this version.
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
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


# Sources of the link bandwidths: "A Domain Specific Supercomputer for Training Deep
# Neural Networks" for v2 and v3 (4 links of 496 and 656 Gbit/s), "TPU v4: An Optically
# Reconfigurable Supercomputer" for v4 (6 links of 50 GB/s).
CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip("v2", 2, 2, 16, 7.48, 45e12, 700e9, 248e9, 1.125, (16, 16)),
        Chip("v3", 2, 2, 32, 15.48, 123e12, 900e9, 328e9, 2.00, (32, 32)),
        Chip(
            "v4",
            *(3, 1, 32, 30.75, 275e12, 1200e9, 300e9, 3.22, (16, 16, 16)),
            # Cloud TPU runs both cores of a chip as one device.
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
        shape: tuple of ints, number of chips along each dimension.
    """

    chip: Chip
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name that `parse_topology` accepts, such as `"v4:2x2x1"`."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def num_chips(self) -> int:
        """Number of chips."""
        return math.prod(self.shape)

    @property
    def num_devices(self) -> int:
        """Number of JAX devices."""
        return self.num_chips * self.chip.devices

    def options(self) -> dict[str, Any]:
        """Returns keyword arguments of JAX's `topologies.get_topology_desc`."""
        options = dict(self.chip.options)
        if self.num_chips == 1:
            options["chips_per_host_bounds"] = (1, 1, 1)
        return options


def parse_topology(name: str) -> Topology:
    """Parses the name of a slice of TPU chips.

    Args:
        name: string, the TPU version and the number of chips along each dimension,
            such as `"v5e:4x4"` or `"v4:4x4x8"`.

    Returns:
        `Topology`.

    Raises:
        PlanningError: if the slice doesn't exist. The message lists the known ones.

    Example:
    ```python
    parse_topology("v3:8x16").num_devices  # 256: a v3 chip has two devices
    ```
    """
    version, _, extents = name.partition(":")
    chip = CHIPS.get(version)
    if chip is None or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", extents):
        raise PlanningError(f"unknown topology {name!r}: {known_topologies()}")
    shape = tuple(map(int, extents.split("x")))
    if len(shape) != chip.dimensions or not _fits(shape, chip.largest):
        raise PlanningError(
            f"{version} has no slice of {extents} chips: {known_topologies()}"
        )
    if math.prod(shape) > 1 and any(map(_splits_host, shape, _CHIPS_PER_HOST)):
        raise PlanningError(
            f"the topology {name!r} splits a host, which has 2x2 chips: use even "
            "numbers for the first two dimensions"
        )
    return Topology(chip, shape)


def known_topologies() -> str:
    """Describes in one line the names that `parse_topology` accepts."""
    forms = [f"{c.name}:{'x'.join('NMK'[: c.dimensions])}" for c in CHIPS.values()]
    largest = [f"{c.name}:{'x'.join(map(str, c.largest))}" for c in CHIPS.values()]
    return f"use {', '.join(forms)}, up to {', '.join(largest)}"


def _fits(shape, largest):
    return all(map(int.__le__, sorted(shape), sorted(largest)))


def _splits_host(extent, host_extent):
    return extent % host_extent != 0
