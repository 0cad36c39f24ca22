"""Batches are the same in every run and for any number of workers; `fit` takes them."""

import itertools

import grain
import keras
import numpy as np
import pytest

from keras_vatt.data import (
    ClipAugmentation,
    ClipSource,
    MediaError,
    Problem,
    make_dataset,
)
from tests.data._corpus import SPEC, tokenize


class Numbers:
    """A source whose elements are their index and epoch."""

    def __init__(self, count, broken=()):
        self.count = count
        self.broken = broken
        self.reads = []

    def __len__(self):
        return self.count

    def clip(self, index, epoch):
        self.reads.append((index, epoch))
        if index in self.broken:
            raise MediaError(f"{index}.mp4", Problem.CORRUPT, "is damaged")
        return {"index": np.asarray(index), "epoch": np.asarray(epoch)}


def take(dataset, count):
    return list(itertools.islice(dataset, count))


def indices(batches):
    return [batch["index"].tolist() for batch in batches]


def test_training_goes_through_all_clips_in_another_order_each_epoch():
    batches = take(make_dataset(Numbers(12), 4, training=True, seed=3), 9)
    epochs = np.array(indices(batches)).reshape(3, 12)
    assert [sorted(epoch) for epoch in epochs.tolist()] == [list(range(12))] * 3
    assert len({tuple(epoch) for epoch in epochs.tolist()} | {tuple(range(12))}) == 4
    assert np.unique(batches[4]["epoch"]).tolist() == [1]


def test_a_remainder_is_dropped_so_that_no_batch_has_a_clip_twice():
    batches = indices(take(make_dataset(Numbers(7), 3, training=True), 40))
    assert all(len(set(batch)) == 3 for batch in batches)
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        assert len({*first, *second}) == 6
    assert set(itertools.chain(*batches)) == set(range(7))


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_the_order_depends_on_the_seed_alone(num_workers):
    dataset = make_dataset(
        Numbers(20), 4, training=True, seed=5, num_workers=num_workers
    )
    batches = indices(take(dataset, 12))
    assert batches == indices(take(make_dataset(Numbers(20), 4, True, seed=5), 12))
    assert batches != indices(take(make_dataset(Numbers(20), 4, True, seed=6), 12))


@pytest.mark.parametrize("start_step", [1, 4, 5, 13])
def test_a_resumed_run_sees_what_the_whole_run_would_have_seen(start_step):
    # 5 batches per epoch: some of these steps lie in the middle of one.
    whole = indices(take(make_dataset(Numbers(21), 4, True, seed=1), start_step + 7))
    rest = make_dataset(Numbers(21), 4, True, seed=1, start_step=start_step)
    assert indices(take(rest, 7)) == whole[start_step:]


@pytest.mark.parametrize("training", [True, False])
def test_shards_are_slices_of_the_batches_of_one_process(training):
    whole = take(make_dataset(Numbers(24), 6, training, seed=2), 4)
    shards = [
        take(make_dataset(Numbers(24), 6, training, 2, shard_index=i, shard_count=3), 4)
        for i in range(3)
    ]
    for step, batch in enumerate(whole):
        parts = [shard[step]["index"] for shard in shards]
        assert [len(part) for part in parts] == [2, 2, 2]
        np.testing.assert_array_equal(np.concatenate(parts), batch["index"])


def test_evaluation_is_one_pass_in_order_with_a_smaller_last_batch():
    batches = indices(make_dataset(Numbers(10), 4, training=False))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    rest = indices(make_dataset(Numbers(10), 4, training=False, start_step=2))
    assert rest == [[8, 9]]


def test_shards_of_an_evaluation_divide_its_last_batch():
    shards = [
        indices(make_dataset(Numbers(9), 4, False, shard_index=i, shard_count=2))
        for i in range(2)
    ]
    assert shards == [[[0, 1], [4, 5], [8]], [[2, 3], [6, 7]]]


def test_in_training_a_random_other_clip_replaces_a_broken_one():
    broken = set(range(1000, 2000))
    good = take(make_dataset(Numbers(4000), 40, True, seed=4), 100)
    batches = take(make_dataset(Numbers(4000, broken), 40, True, seed=4), 100)
    before, after = (np.concatenate(indices(b)) for b in (good, batches))
    is_broken = np.isin(before, list(broken))
    np.testing.assert_array_equal(after[~is_broken], before[~is_broken])
    assert not broken & set(after.tolist())
    # Other clips replace the 1,000 evenly: not one of them replaces many.
    assert np.bincount(after[is_broken]).max() < 10
    again = take(make_dataset(Numbers(4000, broken), 40, True, seed=4), 100)
    assert indices(again) == indices(batches)


def test_in_evaluation_a_broken_clip_is_skipped():
    batches = indices(make_dataset(Numbers(8, broken=(2, 3, 7)), 3, training=False))
    assert batches == [[0, 1, 4], [5, 6]]


def test_a_source_of_broken_clips_alone_ends_the_training():
    dataset = make_dataset(Numbers(3, broken=(0, 1, 2)), 2, training=True)
    with pytest.raises(RuntimeError, match="No clip .* can be decoded"):
        take(dataset, 1)


def test_other_errors_are_not_swallowed():
    class Wrong(Numbers):
        def clip(self, index, epoch):
            raise TypeError("a mistake in the source")

    for training in (True, False):
        with pytest.raises(TypeError, match="a mistake in the source"):
            take(make_dataset(Wrong(4), 2, training), 1)


def test_little_is_read_ahead():
    source = Numbers(1000)
    iterator = iter(make_dataset(source, 4, training=True, num_workers=2))
    next(iterator)
    assert len(source.reads) <= 4 + 4 + 2


def test_augmentation_depends_on_seed_epoch_and_clip():
    def augment(element, generator):
        return element | {"draw": generator.uniform()}

    def draws(seed, num_workers):
        dataset = make_dataset(
            Numbers(6),
            3,
            training=True,
            seed=seed,
            augment=augment,
            num_workers=num_workers,
        )
        return {
            (int(index), int(epoch)): float(draw)
            for batch in take(dataset, 8)
            for index, epoch, draw in zip(
                batch["index"], batch["epoch"], batch["draw"], strict=True
            )
        }

    once = draws(1, num_workers=0)
    assert len(set(once.values())) == 24
    assert draws(1, num_workers=3) == once
    assert draws(2, num_workers=0) != once


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 5, "shard_count": 2}, "divided among 2 shards"),
        ({"batch_size": 4, "shard_count": 2, "shard_index": 2}, "no shard 2"),
        ({"batch_size": 11}, "can't be drawn from 10 clips"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(Numbers(10), training=True, **arguments)


def test_clips_of_files_are_batched_alike_for_any_number_of_workers(many_clips):
    source = ClipSource(many_clips, SPEC, tokenize, candidates=2, training=True)
    augment = ClipAugmentation(noise=0.1, horizontal_flip=0.5)

    def batches(num_workers, start_step=0):
        dataset = make_dataset(
            source, 4, True, 9, start_step, augment=augment, num_workers=num_workers
        )
        return take(dataset, 5 - start_step)

    alone, together, resumed = batches(0), batches(3), batches(2, start_step=3)
    for expected, batch in zip(alone + alone[3:], together + resumed, strict=True):
        for key, value in expected.items():
            np.testing.assert_array_equal(batch[key], value)
    assert alone[0]["video"].shape == (4, 8, 16, 16, 3)
    assert alone[0]["video"].dtype == np.uint8
    assert alone[0]["text"].shape == (4, 2, 4)
    assert alone[0]["audio_mask"].tolist() == [1.0] * 4


class TinyModel(keras.Model):
    """Sums its inputs, so that its weights depend on the batches."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        frames = keras.ops.cast(inputs["video"], "float32") / 127.5 - 1.0
        features = [
            keras.ops.mean(frames, axis=(1, 2, 3)),
            keras.ops.mean(keras.ops.square(inputs["audio"]), axis=1),
            keras.ops.mean(keras.ops.cast(inputs["text"], "float32"), axis=1),
            keras.ops.expand_dims(inputs["audio_mask"], 1),
        ]
        return self.dense(keras.ops.concatenate(features, axis=1))

    def compute_loss(self, x, y, y_pred, sample_weight, training=True):
        return keras.ops.mean(keras.ops.square(y_pred - 1.0))


def test_fit_takes_the_batches_on_this_backend(many_clips):
    source = ClipSource(many_clips[:10], SPEC, tokenize, training=True)
    held_out = make_dataset(ClipSource(many_clips[5:], SPEC, tokenize), 4, False)
    training = make_dataset(source, 4, True)
    assert isinstance(training, grain.IterDataset)
    model = TinyModel()
    model.compile("sgd")
    options = {"shuffle": False, "verbose": 0}
    history = model.fit(
        training,
        epochs=2,
        steps_per_epoch=3,
        validation_data=held_out,
        validation_steps=2,
        **options,
    ).history
    assert np.isfinite(history["loss"]).all()
    loss = model.evaluate(held_out, steps=2, verbose=0)
    assert history["val_loss"][1] == pytest.approx(loss, rel=1e-5)
    assert history["val_loss"][0] != history["val_loss"][1]


def test_predict_gives_a_row_for_every_clip(many_clips):
    source = ClipSource(many_clips[:10], SPEC, tokenize)
    model = TinyModel()
    outputs = model.predict(make_dataset(source, 4, False), steps=3, verbose=0)
    assert outputs.shape == (10, 1)
    one_by_one = model.predict(make_dataset(source, 1, False), steps=10, verbose=0)
    np.testing.assert_allclose(outputs, one_by_one, rtol=1e-5, atol=1e-6)


def test_epochs_of_fit_continue_where_the_last_one_ended():
    class Sum(keras.Model):
        def __init__(self):
            super().__init__()
            self.total = self.add_weight(shape=(), initializer="zeros", name="total")

        def call(self, inputs):
            return keras.ops.cast(inputs["index"], "float32") * 0.0 + self.total

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            # A gradient of -index: plain gradient descent adds up the indices.
            index = keras.ops.cast(x["index"], "float32")
            return -keras.ops.mean(index) * self.total

    model = Sum()
    model.compile(keras.optimizers.SGD(1.0))
    dataset = make_dataset(Numbers(40), 1, training=True, seed=8)
    model.fit(dataset, epochs=3, steps_per_epoch=5, shuffle=False, verbose=0)
    expected = np.sum(indices(take(dataset, 15)))
    assert float(keras.ops.convert_to_numpy(model.total)) == expected
