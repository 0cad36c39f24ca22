import pytest

from keras_vatt.planning import CHIPS, PlanningError, parse_topology

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("name", "num_chips", "num_devices"),
    [
        ("v2:2x2", 4, 8),
        ("v3:8x16", 128, 256),
        ("v4:2x2x1", 4, 4),
        ("v4:4x8x8", 256, 256),
        ("v5e:1x1", 1, 1),
        ("v5e:16x16", 256, 256),
        ("v5p:16x16x24", 6144, 6144),
        ("v6e:4x8", 32, 32),
    ],
)
def test_chips_and_devices_are_counted(name, num_chips, num_devices):
    topology = parse_topology(name)
    assert topology.name == name
    assert topology.num_chips == num_chips
    assert topology.num_devices == num_devices


@pytest.mark.parametrize(
    "name",
    ["", "v4", "v4:", "v9:2x2", "v7x:2x2x1", "v5e:2x2x1", "v4:2x2", "v5e:0x4"]
    + ["v5e:ax2", "v5e:2x", "v5e:32x32", "V5E:2x2"],
)
def test_what_is_no_topology_is_refused_with_those_known(name):
    with pytest.raises(PlanningError, match="use v2:NxM, v3:NxM, v4:NxMxK"):
        parse_topology(name)


def test_a_slice_of_half_a_host_is_refused():
    with pytest.raises(PlanningError, match="splits a host"):
        parse_topology("v5e:3x4")


def test_options_are_what_the_compiler_needs():
    assert parse_topology("v5e:2x4").options() == {}
    assert parse_topology("v5e:1x1").options() == {"chips_per_host_bounds": (1, 1, 1)}
    assert parse_topology("v4:2x2x1").options() == {"chip_config_name": "megacore"}


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_figures_of_a_chip_are_of_the_right_size(chip):
    """Catches wrong units, which would be off by a factor of 8 or 1000."""
    assert 0.9 <= chip.usable_gib * chip.devices / chip.hbm_gib <= 1.01
    assert 4e13 <= chip.peak_flops <= 1e15
    assert 5e11 <= chip.hbm_bandwidth <= 3e12
    assert 0.1 <= chip.link_bandwidth / chip.hbm_bandwidth <= 0.4
    assert 0.5 <= chip.price <= 10
