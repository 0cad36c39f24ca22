"""The study in `benchmarks/`: pairings, controls, records, differences and tables."""

import dataclasses
import importlib
import itertools
import json
import pathlib
import sys
import types

import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_vatt import VATT, harmonization, losses
from tests.models.tiny import tiny_backbone, tiny_batch

_FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks" / "harmonization_study"
_MODULES = [path.stem for path in _FOLDER.glob("*.py")]


@pytest.fixture
def study(monkeypatch):
    """Imports modules of the study; its folder is on the path, as if it were run."""
    monkeypatch.syspath_prepend(_FOLDER)
    yield importlib.import_module
    for name in _MODULES:
        sys.modules.pop(name, None)


def _contents(count=600):
    random = np.random.default_rng(0)
    parts = (("red", "green", "blue"), ("star", "circle"), ("up", "down", "left"))
    return [tuple(str(random.choice(part)) for part in parts) for _ in range(count)]


@pytest.mark.once
def test_independent_noise_misaligns_the_given_fraction_of_each_pair(study):
    noise = study("settings").Noise(0.4)
    contents = _contents()
    pairing = study("pairing").pair_clips(contents, noise, seed=1)
    wrong = {
        "audio": [contents[j] != contents[i] for i, j in enumerate(pairing.audio)],
        "text": [contents[j] != contents[i] for i, j in enumerate(pairing.text)],
    }
    np.testing.assert_array_equal(~pairing.audio_aligned, wrong["audio"])
    np.testing.assert_array_equal(~pairing.text_aligned, wrong["text"])
    for flags in wrong.values():
        assert abs(np.mean(flags) - 0.4) < 0.06
    both = np.mean(np.logical_and(*wrong.values()))
    assert abs(both - 0.16) < 0.05


@pytest.mark.once
def test_more_noise_misaligns_the_same_clips_and_more(study):
    noise, pair_clips = study("settings").Noise, study("pairing").pair_clips
    contents = _contents()
    less, more = (pair_clips(contents, noise(f), seed=1) for f in (0.2, 0.6))
    assert np.all(less.audio_aligned | ~more.audio_aligned)
    moved = ~less.audio_aligned
    np.testing.assert_array_equal(less.audio[moved], more.audio[moved])


@pytest.mark.once
def test_clustered_noise_moves_whole_videos_to_one_near_duplicate(study):
    noise, module = study("settings").Noise(0.5, kind="clustered"), study("pairing")
    contents = np.array(_contents())
    pairing = module.pair_clips(contents, noise, seed=1)
    np.testing.assert_array_equal(pairing.audio, pairing.text)
    found = module.videos(contents)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(600))
    for video in found:
        assert len(video) <= module.CLUSTER
        (own,) = np.unique(contents[video], axis=0)
        (source,) = np.unique(contents[pairing.text[video]], axis=0)
        (is_aligned,) = set(pairing.text_aligned[video])
        assert (own != source).sum() == (0 if is_aligned else 1)
    assert 0.3 < pairing.text_aligned.mean() < 0.7


@pytest.mark.once
@pytest.mark.parametrize(("where", "kept"), [("audio", "text"), ("caption", "audio")])
def test_noise_of_one_modality_leaves_the_other_aligned(study, where, kept):
    noise = study("settings").Noise(0.4, where=where)
    pairing = study("pairing").pair_clips(_contents(), noise, seed=1)
    assert getattr(pairing, f"{kept}_aligned").all()
    other = {"text": "audio", "audio": "text"}[kept]
    assert not getattr(pairing, f"{other}_aligned").all()


def test_random_skips_are_as_many_as_those_of_the_curriculum(study):
    curriculum = harmonization.Curriculum(0.0)
    numbers = np.random.default_rng(0).uniform(size=(5, 64))
    control = study("arms").RandomSkips(curriculum, numbers)
    cosines = np.random.default_rng(1).uniform(-1, 1, size=64)
    gram = np.ones((64, 2, 2), "float32")
    gram[:, 0, 1] = gram[:, 1, 0] = cosines
    _, expected = curriculum(gram, 3)
    weights, apply = control(gram, 3)
    expected, apply = (ops.convert_to_numpy(x) for x in (expected, apply))
    assert apply.sum() == expected.sum()
    assert (apply != expected).any()
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), 1.0)


def test_random_steps_skip_the_given_fraction(study):
    numbers = np.random.default_rng(0).uniform(size=1000)
    control = study("arms").RandomSteps(0.3, numbers)
    gram = np.eye(2, dtype="float32")
    applied = [bool(ops.convert_to_numpy(control(gram, n)[1])) for n in range(40)]
    np.testing.assert_array_equal(applied, numbers[:40] >= 0.3)


@pytest.mark.parametrize("scope", ["clip", "pair"])
def test_clips_of_the_highest_loss_leave_the_losses(study, scope):
    arms, arm = study("arms"), study("settings").Arm("skip loss", scope, fraction=0.25)
    model = arms.SelectiveVATT(tiny_backbone())
    model.compile("sgd")
    plain, batch = super(arms.SelectiveVATT, model).branch_losses(), tiny_batch(8, 1)
    batch = {name: rows for name, rows in batch.items() if "mask" not in name}
    outputs = {n: b(batch, training=False) for n, b in model.branches().items()}
    terms = np.stack(
        [ops.convert_to_numpy(loss.per_sample(outputs, {})) for loss in plain]
    )
    ranked = np.broadcast_to(terms.mean(axis=0), terms.shape)
    ranked = ranked if scope == "clip" else terms
    model.arm = arm
    for index, loss in enumerate(model.branch_losses()):
        kept = np.ones(8, "float32")
        kept[ranked[index].argsort()[-2:]] = 0
        masked = model.mask_samples({}, ops.convert_to_tensor(kept))
        expected = plain[index].per_sample(outputs, masked)
        np.testing.assert_allclose(
            ops.convert_to_numpy(loss.per_sample(outputs, {})),
            ops.convert_to_numpy(expected),
            rtol=1e-5,
            atol=1e-6,
        )


def test_pairs_of_the_highest_loss_are_those_that_the_loss_itself_skips(study):
    arms, arm = study("arms"), study("settings").Arm("skip loss", "pair", fraction=0.3)
    model = arms.SelectiveVATT(tiny_backbone())
    model.arm = arm
    model.compile("sgd")
    batch = tiny_batch(8, 1)
    batch = {name: rows for name, rows in batch.items() if "mask" not in name}
    outputs = {n: b(batch, training=False) for n, b in model.branches().items()}
    selected = [loss.per_sample(outputs, {}) for loss in model.branch_losses()]
    model.compile("sgd", loss=losses.AsymmetricNCE(skip_fraction=0.3))
    skipping = [loss.per_sample(outputs, {}) for loss in VATT.branch_losses(model)]
    for ours, library in zip(selected, skipping, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(library), rtol=1e-5
        )


def test_pcgrad_and_upgrad_are_realignment_for_two_losses():
    random = np.random.default_rng(0)
    rows = random.normal(size=(200, 2, 5)).astype("float32")
    gram = rows @ rows.swapaxes(1, 2)
    expected, _ = harmonization.get("realign")(gram)
    for name in ("pcgrad", "upgrad"):
        weights, _ = harmonization.get(name)(gram)
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights),
            ops.convert_to_numpy(expected),
            rtol=1e-3,
            atol=1e-3,
        )


@pytest.mark.once
def test_all_arms_see_the_same_clips_in_the_same_order(study):
    settings = study("settings")
    (run, *_) = settings.runs_of("demo_confirm")
    orders = []
    for rule in ("sum", "oracle", "skip random"):
        trained = object.__new__(study("training").Trained)
        arm = settings.Arm(rule, "pair", fraction=0.3)
        trained.run = dataclasses.replace(run, arm=arm)
        flags = np.ones(100, bool)
        trained.pairing = study("pairing").Pairing(*[np.arange(100)] * 2, flags, flags)
        trained.train = types.SimpleNamespace(batch=lambda rows, _: {"rows": rows})
        batches = itertools.islice(trained._batches(np.arange(100)), 8)
        orders.append(np.stack([batch["rows"] for (batch,) in batches]))
    np.testing.assert_array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[0], orders[2])


@pytest.mark.once
def test_configs_define_runs_and_name_the_arms_that_they_compare(study):
    settings = study("settings")
    for name in settings.experiment_names():
        runs = settings.runs_of(name)
        arms = {str(run.arm) for run in runs}
        assert runs
        compared = settings.comparisons_of(name)
        assert {arm for arm, _ in compared} <= arms
        assert len(set(compared)) == len(compared)


@pytest.mark.once
def test_records_survive_a_line_that_was_cut_off(study, tmp_path):
    records, settings = study("records"), study("settings")
    first, second, third = settings.runs_of("demo_oracle")[:3]
    records.add_record("a", first, {"outcomes": 1}, tmp_path)
    records.add_record("a", second, {"outcomes": 2}, tmp_path)
    path = tmp_path / "a.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    records.add_record("a", third, {"outcomes": 3}, tmp_path)
    found = records.read_records(tmp_path)
    assert found[records.key_of(first)] == {"outcomes": 1}
    assert records.key_of(second) not in found
    assert found[records.key_of(third)] == {"outcomes": 3}
    assert json.loads(path.read_text().splitlines()[-1])


@pytest.mark.once
def test_differences_are_paired_by_seed_as_in_scipy(study):
    random = np.random.default_rng(0)
    values, references = random.uniform(size=(2, 6))
    found = study("differences").difference(
        dict(enumerate(values)), dict(enumerate(references)) | {99: 0.0}
    )
    expected = stats.ttest_rel(values, references)
    assert found.seeds == 6
    assert found.mean == pytest.approx(np.mean(values - references))
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.once
def test_p_values_are_corrected_by_holms_method(study):
    corrected = study("differences").corrected([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.once
def test_tables_are_those_of_the_stored_results(study):
    summary, records = study("summary"), study("records").read_records()
    stored = (_FOLDER / "tables.md").read_text("utf-8")
    assert stored == summary.all_tables(records)
    guide = summary.GUIDE.read_text("utf-8")
    assert guide == summary.with_tables(guide, records)


@pytest.mark.once
def test_a_run_is_found_by_all_of_its_settings(study):
    settings, records = study("settings"), study("records")
    run = settings.runs_of("demo_oracle")[0]
    assert records.key_of(run) == records.key_of(dataclasses.replace(run))
    other = dataclasses.replace(run, noise=settings.Noise(0.123))
    assert records.key_of(run) != records.key_of(other)
