import pytest

from keras_vatt.planning import CHIPS
from keras_vatt.planning._roofline import cost, estimate

pytestmark = pytest.mark.once


def test_each_part_is_its_amount_over_the_assumed_rate():
    chip = CHIPS["v5e"]
    line = estimate(chip, 1e13, 2e11, 1e9, 0.5, 0.8)
    assert line.compute == pytest.approx(1e13 / (0.5 * 197e12))
    assert line.memory == pytest.approx(2e11 / (0.8 * 819e9))
    assert line.communication == pytest.approx(1e9 / (0.8 * 200e9))
    assert line.bound == "memory"
    assert line.seconds == pytest.approx(line.memory + line.communication)
    assert line.overlapped_seconds == pytest.approx(line.memory)


def test_two_cores_share_what_their_chip_has():
    chip = CHIPS["v3"]
    line = estimate(chip, 1e13, 1e10, 3e9, 0.4, 1.0)
    assert line.compute == pytest.approx(2 * 1e13 / (0.4 * 123e12))
    assert line.memory == pytest.approx(2 * 1e10 / 900e9)
    assert line.communication == pytest.approx(2 * 3e9 / 328e9)
    assert line.bound == "compute"


def test_communication_can_be_the_longest():
    line = estimate(CHIPS["v6e"], 1e10, 1e8, 1e11)
    assert line.bound == "communication"
    assert line.overlapped_seconds == line.communication
    assert line.seconds == line.communication + max(line.compute, line.memory)


def test_cost_is_chip_hours_times_the_price():
    assert cost(7200, 256, 1.2) == pytest.approx(2 * 256 * 1.2)
