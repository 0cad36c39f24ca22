"""A run ends without improvement, and keeps the weights of its best validation."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.pretraining import PretrainingError, _validation
from keras_vatt.pretraining._monitor import Monitor
from tests.pretraining.tiny_run import make_tiny_data, rows_of, run, weights_in

NAMES = ["val_loss", "text->video/recall_at_1", "text->video/median_rank"]
LOSSES = [3.0, 1.0, 2.0, 1.0, 0.5, 0.5]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped at step 4, and the weights of each validation."""
    folder = tmp_path_factory.mktemp("run")
    settings = make_tiny_data(folder)
    seen, results = [], _validation.validation_results

    def scripted_results(model, encoder, *arguments):
        loss = LOSSES[len(seen)]
        seen.append([np.array(keras.ops.convert_to_numpy(w)) for w in encoder.weights])
        return results(model, encoder, *arguments) | {"val_loss": loss}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_validation, "validation_results", scripted_results)
        options = {"validation_steps": 1, "patience": 2, "epochs": 3}
        run(settings, folder / "run", **options)
        yield lambda: run(settings, folder / "run", **options), folder / "run", seen


def test_the_run_ends_after_validations_without_improvement(stopped):
    _, folder, _ = stopped
    rows = rows_of(folder / "validation.csv")
    assert [row["val_loss"] for row in rows] == LOSSES[:4]
    assert len(rows_of(folder / "history.csv")) == 2
    assert "4" in {path.name for path in (folder / "checkpoints").iterdir()}


def test_the_weights_of_the_best_and_of_the_last_step_are_kept(stopped):
    _, folder, seen = stopped
    for name, step in (("best", 2), ("preset", 4)):
        pairs = zip(weights_in(folder / name), seen[step - 1], strict=True)
        for actual, expected in pairs:
            np.testing.assert_array_equal(actual, expected)
    assert any((a != b).any() for a, b in zip(seen[1], seen[3], strict=True))


def test_the_best_preset_names_its_step_and_its_value(stopped):
    _, folder, _ = stopped
    provenance = keras_vatt.VATT.from_preset(folder / "best").provenance
    assert provenance.training["step"] == 2
    assert provenance.training["chosen by"] == "val_loss"
    assert provenance.training["val_loss"] == 1.0
    assert "recall_at_10" in provenance.evaluation["validation text->video"]


def test_a_stopped_run_is_not_trained_further(stopped):
    resume, folder, seen = stopped
    before = weights_in(folder / "preset")
    assert len(resume()) == len(seen) == 4
    for actual, expected in zip(weights_in(folder / "preset"), before, strict=True):
        np.testing.assert_array_equal(actual, expected)


def rows_with(name, values):
    return [{"step": step, name: value} for step, value in enumerate(values, 1)]


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("val_loss", [2.0, 1.0, 3.0], 2),
        ("text->video/recall_at_1", [0.1, 0.3, 0.2], 2),
        ("text->video/median_rank", [4.0, 2.0, 9.0], 2),
        ("val_loss", [1.0, 1.0], 1),
        ("val_loss", [float("nan"), 5.0, float("nan")], 2),
    ],
)
def test_the_metric_decides_which_way_is_better(name, values, best):
    assert Monitor(name, None, NAMES).best(rows_with(name, values))["step"] == best


@pytest.mark.once
@pytest.mark.parametrize(
    ("patience", "values", "over"),
    [
        (2, [1.0, 2.0], False),
        (2, [1.0, 2.0, 1.0], True),
        (2, [1.0, 2.0, 0.5], False),
        (2, [float("nan")] * 2, True),
        (1, [], False),
        (None, [1.0] * 9, False),
    ],
)
def test_patience_counts_validations_since_the_best(patience, values, over):
    rows = rows_with("val_loss", values)
    assert Monitor("val_loss", patience, NAMES).is_over(rows) == over


@pytest.mark.once
def test_an_unknown_metric_is_refused_with_the_names_that_exist():
    with pytest.raises(PretrainingError, match="recall: .* val_loss, text->video/rec"):
        Monitor("recall", None, NAMES)
