"""Harmonizers by name and by configuration."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients

HARMONIZERS = [
    h.Sum(),
    h.Realignment(),
    h.Curriculum(),
    h.Curriculum(-0.2),
    h.Curriculum(h.LinearThreshold(-0.5, 0.2, steps=30)),
    h.Curriculum(keras.optimizers.schedules.PolynomialDecay(-0.4, 20, 0.1)),
    h.PCGrad(),
    h.GradVac(0.3),
    h.GradVac(h.LinearThreshold(0.0, 0.5, steps=20)),
    h.CAGrad(0.25),
    h.MGDA(),
    h.IMTLG(),
    h.UPGrad(),
    h.AlignedMTL("rmse"),
    h.Constant([0.5, 1.0, 2.0]),
    h.ConFIG(),
    h.DualProj(),
    h.FairGrad(0.5),
    h.Krum(0, 2),
    h.Mean(),
    h.NashMTL(),
    h.Random(7),
    h.MovingGradVac(0.3),
    h.SDMGrad(0.1, 0.2, 0.3, 4),
    h.MoDo(0.3, 0.2),
    h.PCD(0.3, 0.5),
    h.CRMOGM(h.CAGrad(0.7), alpha=0.5),
    h.CRMOGM(h.Chain([h.Curriculum(-0.9), h.MGDA()]), h.LinearThreshold(0.0, 0.9)),
    h.CRMOGM(h.MoDo(0.3), alpha=0.25),
    h.Chain([h.Curriculum(-0.1), h.Chain([h.GradVac(0.2), h.CAGrad(0.7)])]),
]


@pytest.mark.parametrize("harmonizer", HARMONIZERS, ids=lambda h: type(h).__name__)
def test_a_harmonizer_survives_its_configuration(harmonizer):
    config = keras.saving.serialize_keras_object(harmonizer)
    restored = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(restored) is type(harmonizer)
    assert restored.get_config() == harmonizer.get_config()
    gram = gram_of(sample_gradients("conflicting", 3))
    for step in (0, 10, 40):
        weights, apply = restored(gram, step)[:2]
        expected, expected_apply = harmonizer(gram, step)[:2]
        np.testing.assert_array_equal(
            ops.convert_to_numpy(weights), ops.convert_to_numpy(expected)
        )
        assert bool(apply) == bool(expected_apply)


def test_a_threshold_survives_its_configuration():
    threshold = h.LinearThreshold(-0.5, 0.25, steps=30)
    config = keras.saving.serialize_keras_object(threshold)
    restored = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(restored) is h.LinearThreshold
    assert restored.get_config() == {"start": -0.5, "end": 0.25, "steps": 30}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (None, h.Sum),
        ("sum", h.Sum),
        ("realign", h.Realignment),
        ("realignment", h.Realignment),
        ("Curriculum", h.Curriculum),
        ("pcgrad", h.PCGrad),
        ("PCGrad", h.PCGrad),
        ("gradvac", h.GradVac),
        ("cagrad", h.CAGrad),
        ("mgda", h.MGDA),
        ("imtlg", h.IMTLG),
        ("upgrad", h.UPGrad),
        ("AlignedMTL", h.AlignedMTL),
        ("config", h.ConFIG),
        ("dualproj", h.DualProj),
        ("fairgrad", h.FairGrad),
        ("krum", h.Krum),
        ("mean", h.Mean),
        ("modo", h.MoDo),
        ("MovingGradVac", h.MovingGradVac),
        ("nashmtl", h.NashMTL),
        ("pcd", h.PCD),
        ("random", h.Random),
        ("sdmgrad", h.SDMGrad),
    ],
)
def test_a_name_stands_for_its_class(name, kind):
    assert type(h.get(name)) is kind


@pytest.mark.parametrize(
    "name", ["curriculum+realign+mgda", "Curriculum + realign + mgda"]
)
def test_names_joined_by_a_plus_make_a_chain_from_left_to_right(name):
    chain = h.get(name)
    assert type(chain) is h.Chain
    kinds = [type(harmonizer) for harmonizer in chain.harmonizers]
    assert kinds == [h.Curriculum, h.Realignment, h.MGDA]


def test_a_harmonizer_stands_for_itself():
    harmonizer = h.CAGrad(0.3)
    assert h.get(harmonizer) is harmonizer


def test_a_configuration_stands_for_what_it_describes():
    config = keras.saving.serialize_keras_object(h.CAGrad(0.3))
    harmonizer = h.get(config)
    assert type(harmonizer) is h.CAGrad
    assert harmonizer.c == 0.3


@pytest.mark.parametrize(
    "identifier",
    [
        "adam",
        "",
        "sum+",
        "realign+adam",
        3,
        h.Sum,
        keras.saving.serialize_keras_object(h.LinearThreshold()),
    ],
    ids=str,
)
def test_anything_else_is_refused_with_the_names_there_are(identifier):
    with pytest.raises(ValueError, match="'realignment', 'sdmgrad', 'sum', 'upgrad'"):
        h.get(identifier)
