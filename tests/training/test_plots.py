"""Plots show the logs of a run that they are for, and only those."""

import re

import matplotlib
import pytest
from PIL import Image

from keras_vatt.training import plot_cosines, plot_gradients, plot_losses

pytestmark = pytest.mark.once

HISTORY = [
    {
        "loss": 4.0 - epoch,
        "video_text_loss": 3.0,
        "gradient_cosine": -0.5,
        "conflict_rate": 1.0,
        "skip_rate": 0.5,
        "video_text_gradient_norm": 2.0,
        "val_loss": 5.0,
    }
    for epoch in range(3)
]


def texts_of(plot, history, path):
    """All strings in a plot but the numbers of its axes."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot(history, path)
    strings = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
    return [text for text in strings if re.match("[a-z]", text)]


def test_losses_of_training_and_validation_are_in_one_panel(tmp_path):
    texts = texts_of(plot_losses, HISTORY, tmp_path / "losses.svg")
    # The name of the axis is that of the total loss.
    assert sorted(texts) == ["epoch", "loss", "loss", "val_loss", "video_text_loss"]


def test_gradients_have_a_panel_for_each_kind_of_number(tmp_path):
    texts = texts_of(plot_gradients, HISTORY, tmp_path / "gradients.svg")
    assert len(texts) == len(set(texts))
    logged = set(HISTORY[0]) - {"loss", "video_text_loss", "val_loss"}
    assert logged < set(texts)
    assert {"gradient cosine", "gradient norm", "epoch"} < set(texts)
    assert len(texts) == len(logged) + 4


def test_panels_without_numbers_are_left_out(tmp_path):
    plain = [{"loss": 1.0, "nonfinite_rate": 0.0}]
    texts = texts_of(plot_gradients, plain, tmp_path / "gradients.svg")
    assert "nonfinite_rate" in texts
    assert not {"gradient cosine", "gradient norm"} & set(texts)


@pytest.mark.parametrize("plot", [plot_losses, plot_gradients])
@pytest.mark.parametrize("history", [[], HISTORY[:1], HISTORY * 5], ids=len)
def test_a_history_of_any_length_is_drawn(plot, history, tmp_path):
    plot(history, tmp_path / "plot.png")
    width, height = Image.open(tmp_path / "plot.png").size
    assert width == 8 * 120
    assert height % 120 == 0


def test_a_number_that_an_epoch_lacks_leaves_a_gap(tmp_path):
    history = [HISTORY[0], {"loss": 1.0}, HISTORY[2]]
    texts = texts_of(plot_losses, history, tmp_path / "losses.svg")
    assert "val_loss" in texts


@pytest.mark.parametrize("num_epochs", [0, 1, 3])
def test_histograms_of_any_number_of_epochs_are_drawn(num_epochs, tmp_path):
    counts = [None, [0.0] * 39 + [4.0], [1.0] * 40][:num_epochs]
    texts = texts_of(plot_cosines, counts, tmp_path / "cosines.svg")
    assert sorted(texts) == ["epoch", "fraction of groups", "gradient cosine"]
