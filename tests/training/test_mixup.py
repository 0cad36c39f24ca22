"""Mixup mixes sounds and labels by the same shares, the same ones for a seed."""

import keras
import numpy as np
import pytest
import scipy.stats
from models.tiny import tiny_backbone

import keras_vatt
from keras_vatt.training import LabelledClips, Mixup, mixed_batches


def numbered_batch(size=6):
    """Clips that can be told from each other, with one-hot labels."""
    clips = np.eye(size, dtype="float32")[:, :, np.newaxis]
    return clips, np.eye(size, dtype="float32")


def test_clips_and_labels_are_mixed_by_the_same_shares():
    clips, labels = numbered_batch()
    mixed, mixed_labels = Mixup()(clips, labels, np.random.default_rng(0))
    assert mixed.shape == clips.shape
    assert mixed.dtype == mixed_labels.dtype == np.float32
    np.testing.assert_array_equal(mixed[..., 0], mixed_labels)
    np.testing.assert_allclose(mixed_labels.sum(axis=1), 1.0, rtol=1e-6)
    # At most two clips in each, the own one among them; each a partner once.
    assert ((mixed_labels > 0).sum(axis=1) <= 2).all()
    assert (np.diag(mixed_labels) > 0).all()
    np.testing.assert_array_equal((mixed_labels > 0).sum(axis=0) <= 2, True)


@pytest.mark.parametrize("alpha", [0.5, 5.0])
def test_shares_are_drawn_from_a_beta_distribution(alpha):
    size = 4000
    labels = np.zeros((size, 2), "float32")
    labels[:, 0] = 1
    own = np.arange(size, dtype="float32")[:, np.newaxis] + 1
    _, mixed = Mixup(alpha)(own, np.hstack([own, labels]), np.random.default_rng(0))
    order = np.random.default_rng(0)
    order.beta(alpha, alpha, size)
    partner = order.permutation(size)
    apart = partner != np.arange(size)
    others = own[partner, 0]
    share = (mixed[:, 0] - others)[apart] / (own[:, 0] - others)[apart]
    _, p = scipy.stats.kstest(share, scipy.stats.beta(alpha, alpha).cdf)
    assert p > 0.01


def test_whole_numbers_become_rows():
    clips = np.ones((3, 2, 1), "float32")
    _, rows = Mixup(num_classes=4)(clips, [0, 3, 3], np.random.default_rng(0))
    assert rows.shape == (3, 4)
    with pytest.raises(ValueError, match="num_classes"):
        Mixup()(clips, [0, 3, 3], np.random.default_rng(0))
    with pytest.raises(ValueError, match="from 0 to 3"):
        Mixup(num_classes=3)(clips, [0, 3, 3], np.random.default_rng(0))
    with pytest.raises(ValueError, match="label for each"):
        Mixup(num_classes=4)(clips, [0, 3], np.random.default_rng(0))


def test_frames_are_mixed_as_the_floats_that_they_stand_for():
    frames = np.array([[0, 255], [255, 0]], "uint8")
    mixed, _ = Mixup()(frames, np.eye(2), np.random.default_rng(0))
    assert np.abs(mixed).max() <= 1
    np.testing.assert_allclose(mixed.sum(axis=1), 0, atol=1e-6)


def test_smoothing_after_mixing_is_smoothing_before_it():
    clips, labels = numbered_batch()
    smooth = lambda rows: 0.9 * rows + 0.1 / rows.shape[1]  # noqa: E731
    before, after = (np.random.default_rng(3) for _ in range(2))
    _, smoothed_first = Mixup()(clips, smooth(labels), before)
    _, mixed_first = Mixup()(clips, labels, after)
    np.testing.assert_allclose(smooth(mixed_first), smoothed_first, rtol=1e-5)


def test_it_comes_back_from_its_config():
    mixup = Mixup(2.0, 7)
    assert Mixup.from_config(mixup.get_config()) == mixup
    with pytest.raises(ValueError, match="alpha"):
        Mixup(0.0)


def test_an_epoch_has_every_clip_once_and_another_order_each_time():
    batches = LabelledClips(np.arange(7)[:, np.newaxis], np.arange(7), batch_size=3)
    assert batches.num_batches == 3
    epochs = []
    for _ in range(2):
        clips, labels = zip(*(batches[i] for i in range(3)), strict=True)
        labels = np.concatenate(labels)
        np.testing.assert_array_equal(np.concatenate(clips)[:, 0], labels)
        assert sorted(labels) == list(range(7))
        epochs.append(labels.tolist())
        batches.on_epoch_end()
    assert epochs[0] != epochs[1]


def test_batches_are_the_same_for_a_seed_and_differ_between_epochs():
    def epochs(seed):
        clips, labels = numbered_batch()
        batches = mixed_batches(LabelledClips(clips, labels, 3), seed=seed)
        for _ in range(2):
            yield batches[0][0]
            batches.on_epoch_end()

    first, second = epochs(0)
    again = list(epochs(0))
    np.testing.assert_array_equal(again, [first, second])
    assert np.any(first != second)
    assert np.any(first != next(epochs(1)))


def test_weights_are_refused():
    class Weighted(keras.utils.PyDataset):
        num_batches = 1

        def __getitem__(self, index):
            return (*numbered_batch(), np.ones(6))

    with pytest.raises(ValueError, match="weights"):
        mixed_batches(Weighted())[0]


def test_clips_are_converted_and_augmented_one_by_one():
    batches = LabelledClips(
        ["1", "2"],
        [0, 1],
        convert=lambda clips: np.array([[float(clip)] for clip in clips]),
        augmentation=lambda clip, generator: clip + generator.integers(10, 20),
    )
    clips, labels = batches[0]
    np.testing.assert_array_equal(clips, batches[0][0])
    added = clips[:, 0] - (labels + 1)
    assert ((added >= 10) & (added < 20)).all()


def test_a_classifier_is_fitted_in_one_line():
    backbone = tiny_backbone(modalities=("audio",))
    model = keras_vatt.VATTAudioClassifier(backbone, num_classes=3)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True), None)
    sounds = np.random.default_rng(0).uniform(-1, 1, (6, 96, 1)).astype("float32")
    labels = np.array([0, 1, 2, 0, 1, 2])
    batches = mixed_batches(LabelledClips(sounds, labels, 3), num_classes=3)
    history = model.fit(batches, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
