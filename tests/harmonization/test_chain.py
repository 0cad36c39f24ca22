"""Harmonizers in order."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients, weights_of


@pytest.mark.parametrize("size", [2, 3])
def test_each_member_sees_the_gradients_as_the_last_left_them(size):
    gradients = sample_gradients("conflicting", size)
    first = weights_of(h.IMTLG(), gradients)
    second = weights_of(h.UPGrad(), first[:, None] * gradients)
    weights = weights_of(h.Chain([h.IMTLG(), h.UPGrad()]), gradients)
    np.testing.assert_allclose(weights, first * second, rtol=1e-4)


@pytest.mark.parametrize(
    ("thresholds", "apply"),
    [((-1.0, -1.0), True), ((-1.0, 1.0), False), ((1.0, -1.0), False)],
)
def test_a_step_is_applied_if_every_member_says_so(thresholds, apply):
    chain = h.Chain([h.Curriculum(threshold) for threshold in thresholds])
    assert bool(chain(np.eye(2))[1]) == apply


def test_curriculum_then_realignment_is_both_algorithms_of_the_paper():
    gradients = sample_gradients("conflicting", 2)
    gram = gram_of(gradients)
    cosine = float(gram[0, 1] / np.sqrt(gram[0, 0] * gram[1, 1]))
    assert cosine < 0
    for threshold, apply in [(cosine - 0.01, True), (cosine + 0.01, False)]:
        both = h.Chain([h.Curriculum(threshold), h.Realignment()])
        weights, applied = both(gram)
        assert bool(applied) == apply
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), 1 - gram[0, 1] / np.diag(gram), rtol=1e-5
        )


def test_a_chain_in_a_chain_is_the_longer_chain():
    gradients = sample_gradients("conflicting", 3)
    nested = h.Chain([h.IMTLG(), h.Chain([h.PCGrad(), h.UPGrad()])])
    flat = h.Chain([h.IMTLG(), h.PCGrad(), h.UPGrad()])
    np.testing.assert_allclose(
        weights_of(nested, gradients), weights_of(flat, gradients), rtol=1e-5
    )


def test_members_read_their_schedules_at_the_step():
    chain = h.Chain([h.Curriculum(h.LinearThreshold(-1.0, 1.0, steps=10)), h.Sum()])
    assert bool(chain(np.eye(2), 4)[1])
    assert not bool(chain(np.eye(2), 6)[1])


def test_a_loss_that_a_member_leaves_out_stays_out():
    # The shortest point of the hull is the first gradient alone.
    gram = np.array([[1.0, 2.0], [2.0, 9.0]])
    weights, _ = h.Chain([h.MGDA(), h.Realignment()])(gram)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("members", [[], ["sum"], [h.Sum(), None]])
def test_what_is_no_list_of_harmonizers_is_refused(members):
    with pytest.raises(ValueError, match="non-empty list of `Harmonizer`"):
        h.Chain(members)


def test_a_member_with_a_state_is_refused():
    with pytest.raises(ValueError, match=r"without a state .* \['PCD', 'CRMOGM'\]"):
        h.Chain([h.Realignment(), h.PCD(), h.CRMOGM(h.Sum())])
    with pytest.raises(ValueError, match="without a state"):
        h.get("curriculum+modo")
