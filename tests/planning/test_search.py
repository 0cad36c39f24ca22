"""Tests of the search, with a formula in place of compilations."""

import pytest

from keras_vatt.planning._search import largest_fitting

pytestmark = pytest.mark.once


def device(limit, fixed, slope, bend=0.0):
    """Returns a `measure` for `largest_fitting`, and the list of its calls."""
    asked = []

    def measure(units):
        asked.append(units)
        needed = fixed + slope * units + bend * units**2
        return needed if needed <= limit else None

    return measure, asked


@pytest.mark.parametrize(("fixed", "slope"), [(20, 1), (2, 0.9), (10, 3.7), (50, 7)])
def test_linear_memory_is_found_by_four_compilations(fixed, slope):
    measure, asked = device(100, fixed, slope)
    found = largest_fitting(measure, 100)
    assert found.units == int((100 - fixed) / slope)
    assert len(asked) <= 4
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("bend", [0.0005, 0.002, 0.01])
def test_a_guess_that_is_too_large_is_stepped_down_until_it_fits(bend):
    measure, asked = device(100, 10, 1.0, bend)
    found = largest_fitting(measure, 100)
    assert found.tried[asked[2]] is None
    assert found.tried[found.units] <= 100
    assert asked[1] < found.units == asked[-1] < asked[2]
    assert len(asked) <= 7


def test_a_guess_that_is_too_small_is_stepped_up_once():
    measure, asked = device(100, 10, 1.0, bend=-0.001)
    found = largest_fitting(measure, 100)
    assert found.units == asked[3] > asked[2]


@pytest.mark.parametrize("largest", [0, 1, 2, 3, 4, 5])
def test_small_devices_need_no_guess(largest):
    measure, _ = device(largest, 0, 1)
    found = largest_fitting(measure, largest)
    assert found.units == largest
    assert all((n is None) == (units > largest) for units, n in found.tried.items())
